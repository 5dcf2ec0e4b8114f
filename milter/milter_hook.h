/*
 * milter_hook.h - what the policy is asked about a session's records
 *
 * Log hooks and disposition hooks (policy language, 15.4) are asked before the
 * custody that a record is about, and what they want queued is committed with
 * it: so neither a message without its record's message nor the other way
 * round.  Records of refusals have no custody; their messages get one of their
 * own, and when that fails the refusal stands and an error line is all.
 *
 * Threads: the session's.
 */
#ifndef MILTER_MILTER_HOOK_H
#define MILTER_MILTER_HOOK_H

#include "logs/log_record.h"
#include "milter/milter_session.h"

struct hooked {
	struct session *s;
	int64_t deadline; /* of events and of a custody of their own */
	struct {
		struct message **items;
		size_t count, size;
	} messages;
};

bool hooks_needed(const struct session *s);
/* `about`: the message that the record is about; NULL: none. */
void hook_ask(struct hooked *h, const struct log_record *record,
    const struct message *about);
/* A custody of their own. */
void hooked_commit(struct hooked *h);
void hooked_release(struct hooked *h);

/* Does the logger's filter_event let it through? */
bool hook_filter(struct session *s, const char *event,
    const struct message *about, int64_t deadline) MUST_USE;

#endif

/*
 * milter_reply.h - what a callback answers, and how the text travels
 *
 * A session decides with a struct answer; milter_callbacks.c alone turns it
 * into SMFIS_* and smfi_setmlreply.  What the text may look like is here
 * (policy language, 4.2), free of libmilter, so that tests read it.
 *
 *	kind		before end of message	at end of message
 *	CONTINUE	CONTINUE		-
 *	ACCEPT		never: an open relay	ACCEPT, the MTA keeps it
 *	DISCARD		-			DISCARD, after our COMMIT only
 *	REFUSE 4yz	TEMPFAIL and text	the same, all recipients
 *	REFUSE 5yz	REJECT and text		the same, all recipients
 *
 * Ownership: texts live in the arena that was given.
 */
#ifndef MILTER_MILTER_REPLY_H
#define MILTER_MILTER_REPLY_H

#include "base/arena.h"
#include "lua/script.h"
#include "mail/smtp_reply.h"

enum answer_kind {
	ANSWER_CONTINUE,
	ANSWER_ACCEPT,
	ANSWER_DISCARD,
	ANSWER_REFUSE,
};

struct answer {
	enum answer_kind kind;
	struct smtp_reply reply; /* ANSWER_REFUSE: code, enhanced, text */
	bool shed;   /* load, room or shutdown: no Rejection record */
	bool poison; /* 421 to whatever this connection asks next (D20) */
};

#define REPLY_LINES_MAX 32
#define REPLY_LINE_MAX 510 /* bytes of a line with its codes, without CRLF */

/* In the shape of smfi_setmlreply: '%' is doubled, lines ends with NULL. */
struct reply_lines {
	char rcode[4], xcode[16];
	char *lines[REPLY_LINES_MAX + 1];
	size_t count; /* at least one */
};

struct answer answer_continue(void);
struct answer answer_refuse(struct arena *arena, int code, const char *enhanced,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Load shedding: as answer_refuse, without a record. */
struct answer answer_shed(
    struct arena *arena, int code, const char *enhanced, const char *text);
/* kumo.reject and kumo.disconnect.  A code outside 400..599 becomes 451 4.3.0
 * (D15); an enhanced code that contradicts the code stays text. */
struct answer answer_from_policy(
    struct arena *arena, const struct script_reject *reject);
/* Applies what smtp_server_rewrite_response returned: a code, or an array of
 * code and text, each nil to keep it.  A code outside 400..599 is ignored with
 * a warning. */
void answer_apply_rewrite(
    struct answer *answer, struct arena *arena, const struct value *returned);

void reply_lines_format(
    struct reply_lines *out, const struct answer *answer, struct arena *arena);

#endif

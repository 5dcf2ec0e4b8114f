/*
 * queue_history.h - what is remembered of mail, also after it has left
 *
 * Whatever happens to a recipient leaves a row in the table event, within the
 * bounds of age and number that queue_keep_history() sets.  A report that comes
 * in later finds its message there: by the id of the message, by Message-ID or
 * by the envelope id (RFC 3461, 4.4) of its sender, and always together with
 * the address, since anybody can write a report.  Addresses are compared
 * without regard to case.
 *
 * Cost: Message-ID and address are one number, recipient.ref and event.ref;
 *	 doc/adr/0013 says why, and what a delivery pays for it.
 */
#ifndef QUEUE_QUEUE_HISTORY_H
#define QUEUE_QUEUE_HISTORY_H

#include "queue/queue.h"

#define QUEUE_HISTORY_AGE_S (14 * 86400)
#define QUEUE_HISTORY_EVENTS 2000000
#define QUEUE_MESSAGE_ID_MOST 998 /* RFC 5322, 2.1.1; longer is none */

/* What the history holds from the next queue_sweep() on. */
void queue_keep_history(struct queue *queue, int64_t age_s, int64_t events);

struct queue_past {
	const char *id; /* of the message */
	const char *address, *queue;
	/* "delivered", "bounced", "expired", "deferred" ..; "queued" */
	const char *outcome;
	const char *site; /* NULL: none yet */
	int64_t at;       /* unix seconds; 0: nothing happened yet */
};

enum queue_key {
	QUEUE_BY_ID,         /* 32 hex digits, lower case */
	QUEUE_BY_MESSAGE_ID, /* with or without angle brackets */
	QUEUE_BY_ENVID,      /* decoded, as a report has it */
};

/* The newest that is known of the recipient; *out NULL: nothing.  Reads only.
 */
bool queue_find_past(struct queue_conn *conn, enum queue_key by,
    const char *key, const char *address, struct arena *arena,
    const struct queue_past **out, struct err *err) MUST_USE;

/* A report that came in, about one recipient.  NULL: not known. */
struct queue_report {
	const char *kind;          /* "oob" or "feedback" */
	const char *report;        /* id of the report itself */
	const char *message, *how; /* what it is linked to, NULL: nothing */
	const char *address, *queue;
	int code; /* 0: none */
	const char *reply;
	const char *reporter, *client; /* who says so, who brought it */
	int64_t at;                    /* unix seconds */
};

/* Inside a transaction of the caller's.  Of one recipient of a message twenty
 * are kept, the first: later ones are no error. */
bool queue_note_report(struct queue_conn *conn,
    const struct queue_report *report, struct err *err) MUST_USE;

/* The Message-ID of a header block without its brackets, in `out`; empty: it
 * has none that can be used. */
void queue_message_id(const char *block, size_t len, struct buf *out);
/* Never 0. */
int64_t queue_ref(const char *message_id, const char *address);

#endif

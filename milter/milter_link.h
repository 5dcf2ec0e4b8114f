/*
 * milter_link.h - which message of ours does a report speak of?
 *
 * A delivery or feedback report quotes the message that it is about: our trace
 * header in it, its Message-ID, the envelope id that its sender gave.  What the
 * queue and its history know is looked up with these, in the order of trust:
 *
 *	LINK_SIGNED	 the trace header is ours: its HMAC verifies
 *	LINK_ID		 the trace header names an id that we know, with that
 *			 recipient
 *	LINK_MESSAGE_ID	 Message-ID and recipient are of one message of ours
 *	LINK_ENVELOPE_ID  envelope id and recipient are
 *
 * Anybody can write a report.  `linked` is true only when message and recipient
 * both are known here, or the signature vouches for both; only then may
 * anything be done to the recipient because of it.
 *
 *	const struct report_links *links = b->links;	of a struct batch
 *	BATCH_OOB:	items[i] is about b->reading->dsn.recipients[i]
 *	BATCH_FEEDBACK:	one for each recipient of ours that it is about, or a
 *			single one that is not linked
 *
 * They are found before anything is recorded or asked about the report, once
 * for each content.  That takes LINKING_MS at most: what was not looked for by
 * then is not linked.
 *
 * Ownership: the transaction's arena.
 * Threads:   the session's.
 */
#ifndef MILTER_MILTER_LINK_H
#define MILTER_MILTER_LINK_H

#include "logs/log_record.h"
#include "milter/milter_session.h"

enum link_how {
	LINK_NONE,
	LINK_SIGNED,
	LINK_ID,
	LINK_MESSAGE_ID,
	LINK_ENVELOPE_ID,
};

struct report_link {
	bool linked;
	enum link_how how;
	/* All that follow are NULL or 0 unless linked. */
	const char *id;        /* of the message, 32 hex digits */
	const char *recipient; /* as the message was sent to it */
	const char *queue;     /* its scheduled queue, and the parts of it */
	const char *campaign, *tenant, *domain; /* NULL: none */
	const char *outcome; /* "delivered", "queued" ..; NULL: not known */
	const char *site;    /* where it was delivered; NULL: not known */
	int64_t at;          /* of that outcome, unix seconds; 0: not known */
	/* The report has named this recipient of this message before. */
	bool repeated;
};

struct report_links {
	struct report_link *items;
	size_t count;
};

struct report_reading;

/* "signed", "id", "message_id", "envelope_id"; NULL for LINK_NONE. */
const char *link_how_name(enum link_how how);
/* Found once for each reading.  NULL: the queue cannot be read now, or not by
 * the deadline (clock_now_ms). */
#define LINKING_MS 2000
const struct report_links *report_links_of_dsn(struct session *s,
    struct report_reading *r, int64_t deadline, struct err *err) MUST_USE;
const struct report_links *report_links_of_arf(struct session *s,
    struct report_reading *r, int64_t deadline, struct err *err) MUST_USE;
/* Sets the record's linked and linked_to. */
void report_links_show(const struct report_link *links, size_t count,
    struct arena *arena, struct log_record *r);

#endif

/*
 * milter_batch.h - one transaction, several messages
 *
 * A transaction's recipients are split (policy language, 7.3); each part is a
 * queued message of its own, with its own id, metadata and headers, and the
 * same content until somebody edits it.
 *
 * Ownership: a batch has a reference to its message; release drops it.
 */
#ifndef MILTER_MILTER_BATCH_H
#define MILTER_MILTER_BATCH_H

#include "mail/message.h"
#include "policy/listener.h"

enum batch_fate {
	BATCH_DROPPED, /* logged, not stored: no rule kept it */
	BATCH_KEPT,
	BATCH_LOGGED, /* a report: its records are what is kept of it */
	BATCH_NULL,   /* the policy queued it in "null": 250, nothing stored */
};

enum batch_report {
	BATCH_ORDINARY,
	BATCH_UNREADABLE, /* a bounce for human eyes, as far as one can tell */
	BATCH_OOB,
	BATCH_FEEDBACK,
};

struct report_links;
struct report_reading;
struct suppressed; /* milter_suppression.h */

struct batch {
	struct message *message;
	enum batch_fate fate;
	enum batch_report report;
	struct report_reading *reading;   /* of OOB and FEEDBACK */
	const struct report_links *links; /* of these, too */
	const char *queue; /* scheduled queue; NULL: not judged yet */
	/* Recipients that were taken out of the message. */
	struct suppressed *suppressed;
	size_t suppressed_count;
	const char *admitted_by; /* the rule that kept it */
};

struct batches {
	struct batch *items;
	size_t count, size;
};

/* Copies the envelope into the message's own arena: it may outlive the
 * session, in the hands of an event that ran over its deadline. */
void batch_set_sender(struct message *m, const struct envelope_sender *sender);
void batch_add_recipient(
    struct message *m, const struct envelope_recipient *recipient);

/* `wanted` is what smtp_server_split_transaction returned, an array of arrays
 * of addresses; NULL or nil: `how` decides.  Addresses that the transaction
 * knows keep their NOTIFY and ORCPT.  Empty inner arrays are skipped. */
bool batches_split(struct batches *out, struct message *base,
    enum batch_handling how, const struct value *wanted, struct err *err)
    MUST_USE;
void batches_release(struct batches *batches);

#endif

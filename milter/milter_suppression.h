/*
 * milter_suppression.h - recipients that get no more mail, at reception
 *
 * After suppression:setup{} (policy/suppression.h) each recipient of ours is
 * looked up: at RCPT with what is known of the tenant then, and at the end of
 * the message for each batch, when its scheduled queue says whose it is.  Not
 * looked up, unless asked for: mail from the null sender, mail to postmaster;
 * never: reports, and addresses that take them.
 *
 * At RCPT, and at the end when nobody is left, the answer is 550 5.1.1.  A
 * recipient that is taken out of a message which others get, or with action
 * 'drop', leaves a Bounce record, on disk before the message is acknowledged.
 *
 * What cannot be looked up is 451: never accepted unseen.
 *
 * Reports that are linked (milter_link.h), and no others, are hits for the list
 * and go there in the transaction of the custody.
 */
#ifndef MILTER_MILTER_SUPPRESSION_H
#define MILTER_MILTER_SUPPRESSION_H

#include "milter/milter_batch.h"
#include "milter/milter_session.h"

/* A recipient that a batch had. */
struct suppressed {
	const char *address;
	const struct suppression_entry *entry;
};

/* ANSWER_CONTINUE, or the refusal. */
struct answer suppression_rcpt(struct session *s, const struct rcpt *rcpt);
/* Takes recipients out of a batch that is kept, into b->suppressed; without any
 * left it is dropped.  False: *refusal. */
bool suppression_batch(struct session *s, struct batch *b, int64_t deadline,
    struct answer *refusal) MUST_USE;
/* Suppressed recipients are dropped, and nobody hears of it at once. */
bool suppression_drops(const struct session *s);
/* The reply to a message of which nobody is left; NULL: none was suppressed. */
const struct smtp_reply *suppression_refusal(
    struct session *s, const struct batches *batches);

/* What reports mean for the list; in the transaction's arena. */
struct suppression_hits {
	struct suppression_hit *items;
	size_t count;
};
struct suppression_hits suppression_hits(
    struct session *s, const struct batch *batches, size_t count);

#endif

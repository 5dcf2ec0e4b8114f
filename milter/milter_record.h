/*
 * milter_record.h - what a session leaves behind: log records and lines
 *
 * A Rejection for each 4yz or 5yz, a Reception or Feedback for each batch and
 * an OOB for each recipient that a delivery report calls failed (policy
 * language, 8.3, 15.3), and for the operator one line per refusal and per
 * custody that joins the MTA's queue id with ours.
 */
#ifndef MILTER_MILTER_RECORD_H
#define MILTER_MILTER_RECORD_H

#include "milter/milter_batch.h"
#include "milter/milter_hook.h"
#include "milter/milter_session.h"

/* `command`: what is refused, "RCPT TO:<a@b>"; NULL at connect. */
void record_refusal(
    struct session *s, const struct answer *answer, const char *command);
/* Of reports of which nothing else is kept (BATCH_LOGGED), before the commit of
 * the rest: true when their records are on disk, or there are none.  A crash
 * between record and answer makes the client send again, which gives a second
 * record; without a record nothing was acknowledged. */
bool record_reports(struct session *s, const struct batches *batches,
    int64_t deadline, custody_progress_fn *progress, void *progress_ctx,
    struct err *err) MUST_USE;
/* Of recipients that the suppression list took out of messages that are
 * accepted otherwise: a Bounce each, in the same way. */
bool record_suppressed(struct session *s, const struct batches *batches,
    int64_t deadline, custody_progress_fn *progress, void *progress_ctx,
    struct err *err) MUST_USE;
/* Of a report that the MTA keeps: no Reception, since nothing was received. */
void record_left_report(
    struct session *s, const struct batch *b, int64_t deadline);
/* All of them, for the hooks, before the commit. */
void record_for_hooks(
    struct hooked *hooked, const struct batches *batches, bool accepted);
/* Of all others, after the commit or when nothing is stored.  Batches that were
 * dropped from a transaction that is accepted otherwise also get a Bounce
 * (D14). */
void record_receptions(
    struct session *s, const struct batches *batches, bool accepted);

#endif

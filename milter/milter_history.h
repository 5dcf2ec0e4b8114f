/*
 * milter_history.h - reports that came in, as the history of the queue has them
 *
 * One row for each recipient that a report says failed, or complained, linked
 * or not; committed with whatever else the transaction leaves in the queue.
 * Strangers may send reports by the thousand, and must not drive out what is
 * remembered of mail: a report names a recipient once, rows that are not linked
 * are OTHERS_MOST of one report and STRANGERS_MOST in an hour, and queue/ keeps
 * a few that say the same of one recipient (queue_history.h).  The log has all.
 *
 * Ownership: the transaction's arena.
 * Threads:   the session's.
 */
#ifndef MILTER_MILTER_HISTORY_H
#define MILTER_MILTER_HISTORY_H

#include "milter/milter_batch.h"
#include "milter/milter_session.h"
#include "queue/queue_history.h"

struct report_rows {
	struct queue_report *items;
	size_t count, size;
};

/* Adds those of a batch; nothing when it is no report, or when its reading had
 * them already. */
void report_rows_add(
    struct report_rows *rows, struct session *s, const struct batch *b);
void report_rows_release(struct report_rows *rows);
/* Of a report that the MTA keeps, with what it means for the suppression list:
 * a transaction of its own, and when it cannot be had the operator hears of it.
 */
void report_rows_note_left(struct session *s, const struct batch *b,
    int64_t deadline, custody_progress_fn *progress, void *progress_ctx);

#endif

/*
 * milter_history.h - reports that came in, as the history of the queue has them
 *
 * One row for each recipient that a report says failed, or complained, linked
 * or not; committed with whatever else the transaction leaves in the queue.
 * Strangers may send reports by the thousand: of one report the rows that are
 * linked count, and a few of the others.
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

/* Adds those of a batch; nothing when it is no report. */
void report_rows_add(
    struct report_rows *rows, struct session *s, const struct batch *b);
void report_rows_release(struct report_rows *rows);

#endif

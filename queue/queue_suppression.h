/*
 * queue_suppression.h - addresses that get no more mail: the list in the queue
 *
 * What entries and hits are stands in mail/suppression.h.
 *
 * Asking never waits for a writer: it reads a snapshot on a connection that is
 * kept for that (queue_db.h), two searches of an index.  An entry that has
 * ended is never found, whether or not it was swept.
 *
 * Changing happens in a transaction of the queue: hits of the router go with
 * the verdict that they belong to (struct queue_verdict), those of the milter
 * with what is taken into custody (struct queue_intake), an operator's order in
 * some of its own.
 *
 * Errors:  ERR_TEMP: the queue cannot be read or written now.  Whoever asks at
 *	   reception answers 451 then.
 * Threads: queue_suppressed: any.  The rest: as the connection.
 */
#ifndef QUEUE_QUEUE_SUPPRESSION_H
#define QUEUE_QUEUE_SUPPRESSION_H

#include "mail/suppression.h"
#include "queue/queue.h"

/* *out NULL: not on the list.  `address` and `domain` are keys; tenant NULL:
 * not known, so only what holds for everybody is looked at; "": none.  An entry
 * of the tenant's comes before one for everybody.  Texts are in `arena`.  Gives
 * up at the deadline (clock_now_ms), or after QUEUE_ASK_MS. */
#define QUEUE_ASK_MS 2000
bool queue_suppressed(struct queue *queue, const char *address,
    const char *domain, const char *tenant, int64_t deadline,
    struct arena *arena, const struct suppression_entry **out, struct err *err)
    MUST_USE;

/* ---- inside a transaction that is open: for the files of queue/ ---- */

/* Counts a hit, and makes or prolongs the entry when it is enough. */
bool queue_suppression_note(struct queue_conn *conn,
    const struct suppression_hit *hit, struct err *err) MUST_USE;

/* ---- orders of operators: on disk when they return ---- */

/* One transaction for so many: the others who write get their turn between. */
#define SUPPRESSION_STEP 500

/* Who gave it, for the timeline; `what`: e.g. "imported bounced.csv". */
struct suppression_order {
	const char *who, *why, *what;
	bool dry_run; /* count, and leave everything as it is */
	/* Called between transactions, while nothing is locked; false: stop
	 * there, with ERR_TEMP.  NULL: never. */
	bool (*go_on)(void *ctx);
	void *ctx;
};

struct suppression_counts {
	int64_t added, changed, removed;
};

/* When false comes back, what counts says was done and stays; the same order
 * once more does the rest.
 *
 * Entries replace those for the same address and scope; what they leave 0
 * (hits, times of creation) is set.  One row of the timeline each, or, for more
 * than SUPPRESSION_EVENTS_MOST, one for all. */
#define SUPPRESSION_EVENTS_MOST 100
bool queue_suppress(struct queue_conn *conn,
    const struct suppression_entry *entries, size_t count,
    const struct suppression_order *order, struct suppression_counts *counts,
    struct err *err) MUST_USE;
/* Keys; those that are not on the list are no error.  scope NULL: whoever's
 * mail it was about. */
bool queue_unsuppress(struct queue_conn *conn, const char *const *keys,
    size_t count, const struct suppression_scope *scope,
    const struct suppression_order *order, struct suppression_counts *counts,
    struct err *err) MUST_USE;

/* A bounded step: what has ended. *more: call again. */
bool queue_suppression_sweep(
    struct queue_conn *conn, int64_t now, bool *more, struct err *err) MUST_USE;

#endif

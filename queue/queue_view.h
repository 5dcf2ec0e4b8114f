/*
 * queue_view.h - questions that operators ask, row by row
 *
 * Rows come as maps (column name -> value) so that text and JSON output of the
 * command come from one place.  Listing works with both daemons stopped and
 * never keeps a statement open across a wait of ours.
 */
#ifndef QUEUE_QUEUE_VIEW_H
#define QUEUE_QUEUE_VIEW_H

#include "base/value.h"
#include "queue/queue.h"

enum queue_question {
	QUEUE_Q_LIST,       /* v_queue, restricted by the selector */
	QUEUE_Q_SUMMARY,    /* v_by_domain / per scheduled queue */
	QUEUE_Q_MESSAGE,    /* v_message by id */
	QUEUE_Q_RECIPIENTS, /* v_queue by message id */
	QUEUE_Q_WHY,        /* v_why by message id */
	QUEUE_Q_DUE,        /* v_due */
	QUEUE_Q_STATUS,     /* one row of totals, O(log n) each */
	/* v_suppression, what is active; `recipient` is a key */
	QUEUE_Q_SUPPRESSION,
	/* ids of the messages with recipients that wait, ascending: orders go
	 * through them in steps, `after` and `limit` */
	QUEUE_Q_WAITING,
};

/* Conditions are combined with and; NULL or 0: not asked. */
struct queue_selector {
	const char *id; /* 32 hex digits, or a prefix of at least 6 */
	const char *domain, *sender, *recipient, *tenant, *campaign, *queue;
	const char *state;  /* "queued", "leased", "held" */
	int64_t older_than; /* seconds */
	int64_t limit;      /* 0: none */
	const char *after;  /* messages with a greater id */
};

typedef bool queue_row_fn(
    const struct value *row, void *ctx); /* false: enough */

bool queue_ask(struct queue_conn *conn, enum queue_question question,
    const struct queue_selector *selector, queue_row_fn *row, void *ctx,
    struct err *err) MUST_USE;
/* Ids of the messages that `what` means, newest first, at most 100: an id or
 * the beginning of one, a Message-ID with or without brackets, or the address
 * of a recipient.  Also of those that have left, as far as the history goes;
 * *count 0: none. */
bool queue_trace_find(struct queue_conn *conn, const char *what,
    struct arena *arena, const char ***ids, size_t *count, struct err *err)
    MUST_USE;
/* Rows of v_timeline of this id, in order. */
bool queue_timeline(struct queue_conn *conn, const char *id, queue_row_fn *row,
    void *ctx, struct err *err) MUST_USE;
/* The whole message as it would be sent (prefix || content), piece by piece. */
bool queue_body(struct queue_conn *conn, const char *id,
    bool (*piece)(const char *p, size_t len, void *ctx), void *ctx,
    struct err *err) MUST_USE;
/* PRAGMA quick_check and our own cross checks; each finding is a line. */
bool queue_check_integrity(struct queue_conn *conn,
    void (*finding)(const char *line, void *ctx), void *ctx, size_t *findings,
    struct err *err) MUST_USE;

#endif

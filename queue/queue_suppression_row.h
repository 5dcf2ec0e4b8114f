/*
 * queue_suppression_row.h - what the files about the suppression list share:
 *	for the files of queue/ only
 */
#ifndef QUEUE_QUEUE_SUPPRESSION_ROW_H
#define QUEUE_QUEUE_SUPPRESSION_ROW_H

#include "mail/suppression.h"
#include "queue/queue_db.h"

/* ?1 to ?3: the key of a row; scope NULL: only the address. */
void queue_suppression_bind(sqlite3_stmt *stmt, const char *address,
    const struct suppression_scope *scope);
/* A statement that takes nothing else. */
bool queue_suppression_run(struct queue_conn *conn, enum sql_statement which,
    const char *address, const struct suppression_scope *scope, struct err *err)
    MUST_USE;
/* The row goes when it has ended. */
bool queue_suppression_end(struct queue_conn *conn, const char *address,
    const struct suppression_scope *scope, int64_t now, struct err *err)
    MUST_USE;
/* A row of the timeline; address NULL: about many. */
bool queue_suppression_event(struct queue_conn *conn, int64_t at,
    const char *kind, const struct suppression_hit *hit, const char *who,
    const char *why, struct err *err) MUST_USE;

#endif

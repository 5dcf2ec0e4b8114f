/*
 * queue_insert.h - rows for what has been accepted: for the files of queue/
 * only
 *
 * Inside a transaction of the caller's.
 */
#ifndef QUEUE_QUEUE_INSERT_H
#define QUEUE_QUEUE_INSERT_H

#include "mail/message.h"
#include "queue/queue.h"

bool queue_insert_content(struct queue_conn *conn,
    const struct content *content, int64_t refs, int64_t *id, struct err *err)
    MUST_USE;
/* The row of a scheduled queue, made when it is not there. */
bool queue_insert_queue(struct queue_conn *conn, const char *name, int64_t *id,
    struct err *err) MUST_USE;
/* `message_id` "": it has none. */
bool queue_insert_recipient(struct queue_conn *conn, const struct message *m,
    const struct envelope_recipient *r, const char *message_id, int64_t message,
    int64_t queue, int64_t due_at, struct err *err) MUST_USE;

/* The message's row, content and new recipients as the move says; *queue 0: the
 * message is gone.  Then each of its old recipients. */
bool queue_move_message(struct queue_conn *conn, const struct queue_move *move,
    int64_t *queue, struct err *err) MUST_USE;
bool queue_move_recipient(struct queue_conn *conn, int64_t recipient,
    const struct queue_move *move, int64_t queue, bool *gone, struct err *err)
    MUST_USE;

#endif

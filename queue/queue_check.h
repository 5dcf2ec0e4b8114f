/*
 * queue_check.h - the whole file, checked beside the work
 *
 * After an unclean stop the two small tables are checked before anything else
 * happens (queue_open); the rest takes as long as reading the file does, so it
 * is done by a thread of its own that only reads.  A finding closes the intake:
 * queue_has_room says what was found, until the file has been looked after;
 * the stop is not marked as clean, so the next start checks again.
 *
 * A long read keeps the write-ahead log: when that becomes long the check gives
 * way and begins anew a minute later.
 *
 * Threads: start, tend and stop by one thread at a time.
 */
#ifndef QUEUE_QUEUE_CHECK_H
#define QUEUE_QUEUE_CHECK_H

#include "queue/queue.h"

struct queue_check;

/* NULL: the last stop was clean, there is nothing to check. */
struct queue_check *queue_check_start(struct queue *queue);
/* About every second: makes the check give way when it must. */
void queue_check_tend(struct queue_check *check);
/* Ends the check wherever it is; NULL is fine. */
void queue_check_stop(struct queue_check *check);

#endif

/*
 * held_queues.h - operators and senders are told what a scheduled queue waits
 * for
 *
 * While a rate or a limit is closed nothing is pulled from the queue, and its
 * rows say nothing (design, 4).  Instead one Delayed record is written for the
 * queue and the cause, and the view v_why and `penstock status` name it until
 * the queue goes on or is empty.  Rates that open and close all the time cost a
 * row every ten seconds, not one each time.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_HELD_QUEUES_H
#define ROUTER_HELD_QUEUES_H

#include "base/json.h"
#include "base/list.h"

struct held_queues;
struct router;
struct scheduled_queue;

struct held_queues *held_queues_new(struct router *r) MUST_USE;
void held_queues_free(struct held_queues *held);
/* sq was blocked; perhaps by something that is worth telling. */
void held_queues_blocked(struct held_queues *held, struct scheduled_queue *sq);
/* sq has been blocked for a while: by a full ready queue, perhaps, which is
 * worth telling only when it does not move. */
void held_queues_stays(struct held_queues *held, struct scheduled_queue *sq);
/* Nothing of sq is due any more. */
void held_queues_drained(struct held_queues *held, struct scheduled_queue *sq);
/* sq, which is blocked, is forgotten, though perhaps something is due: what was
 * told of it stays known (held_memory.h), and that it was blocked, for longer
 * the more there are of those beyond the known_most that are known at once; */
void held_queues_forgotten(struct held_queues *held,
    const struct scheduled_queue *sq, size_t known_most);
/* until it is known again. */
void held_queues_met(struct held_queues *held, struct scheduled_queue *sq);
/* It was forgotten and cannot go on yet: not worth the place of another. */
bool held_queues_waits(const struct held_queues *held, int64_t id) MUST_USE;
/* It was forgotten while what it goes to was full, which is not long ago, and
 * others are waiting for that: not worth the place of another. */
bool held_queues_was_full(const struct held_queues *held, int64_t id) MUST_USE;
/* Those in the list, an array of { queue, because, until }. */
void held_queues_status(const struct list *blocked, struct json_object *o);

#endif

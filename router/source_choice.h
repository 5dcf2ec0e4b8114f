/*
 * source_choice.h - which source of a pool takes a message (policy
 * language, 11.3)
 *
 * The turn of the weighted round robin belongs to the pool, and its shares are
 * exact.  When a few messages each of many scheduled queues were leased
 * together, as many turns are taken at once as there are messages, and handed
 * out so that the messages of one queue go to one source as far as that goes:
 * they share a connection then, and no source gets more or less than its turns.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_SOURCE_CHOICE_H
#define ROUTER_SOURCE_CHOICE_H

#include "policy/egress_pool.h"

struct source_turn {
	struct egress_pool_turn turn;
	/* Messages that were leased together, and the queues they are of. */
	size_t messages, queues;
	const void *queue_before;
	/* Turns that were taken and not yet used, by entry of `pool`. */
	const struct egress_pool *pool;
	size_t *taken, left, at;
};

void source_turn_release(struct source_turn *t);
/* A message of `queue` will be dispatched before source_turn_end(). */
void source_turn_expect(struct source_turn *t, const void *queue);
void source_turn_end(struct source_turn *t);
/* The entry for a message; -1: none is usable.  before: the one that the last
 * message of the same queue got since source_turn_end(), or -1. */
int source_turn_pick(struct source_turn *t, const struct egress_pool *pool,
    const bool *usable, int before);

#endif

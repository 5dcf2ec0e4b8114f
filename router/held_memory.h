/*
 * held_memory.h - scheduled queues that were forgotten while they waited
 *
 * When more queues wait for rates and limits than the router knows at once
 * (intake.h), one is forgotten whenever another is met.  What was said of it is
 * kept here: so it takes nobody's place again before it can be of use, and is
 * not recorded again as if it were news.
 *
 * Bounds:  at most 100,000; beyond that queues are forgotten altogether.
 * Threads: one at a time.  Times are unix seconds.
 */
#ifndef ROUTER_HELD_MEMORY_H
#define ROUTER_HELD_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* It is believed for so long at most: the policy may change, and who was
 * before it in a line may go. */
#define HELD_BELIEVED_S 60

struct held_memory;

struct held_memory *held_memory_new(void) MUST_USE;
void held_memory_free(struct held_memory *memory); /* NULL is fine */
/* The queue is forgotten; because of `why` it waits until then. */
void held_memory_put(struct held_memory *memory, int64_t queue, const char *why,
    int64_t until, int64_t now);
/* It is not worth looking at now. */
bool held_memory_waits(
    const struct held_memory *memory, int64_t queue, int64_t now);
/* Why it waits; NULL: nothing is known of it. */
const char *held_memory_why(const struct held_memory *memory, int64_t queue);
size_t held_memory_count(const struct held_memory *memory);
/* The queue is known again.  Why it waited, for free(); NULL: nobody knows. */
char *held_memory_take(struct held_memory *memory, int64_t queue) MUST_USE;

#endif

/*
 * throttle.h - may another one pass now?  (policy language, 3.3)
 *
 * The generic cell rate algorithm: a bucket is the time at which it will be
 * full again, and every event moves that time on by period / limit.
 *
 * Threads: a bucket belongs to one at a time.
 */
#ifndef POLICY_THROTTLE_H
#define POLICY_THROTTLE_H

#include "policy/rate.h"

/* Zero is a full one. */
struct throttle {
	int64_t full_at_ns;
};

struct throttle_answer {
	bool throttled;
	int64_t limit, remaining;
	int64_t reset_after_ns,
	    retry_after_ns; /* retry_after 0: not throttled */
};

/* Takes one when it may pass.  now_ns: of a monotonic clock. */
struct throttle_answer throttle_take(
    struct throttle *throttle, const struct rate *rate, int64_t now_ns);

/* For who has to look before he takes.  How many may pass now, and after how
 * many nanoseconds `count` may (0: now; at most the burst are meant). */
int64_t throttle_room(
    const struct throttle *throttle, const struct rate *rate, int64_t now_ns);
int64_t throttle_wait_ns(const struct throttle *throttle,
    const struct rate *rate, int64_t count, int64_t now_ns);
/* Takes `count`, of which throttle_room() said that they may pass. */
void throttle_take_many(struct throttle *throttle, const struct rate *rate,
    int64_t count, int64_t now_ns);
/* Of those, `count` did not pass after all. */
void throttle_give_back(
    struct throttle *throttle, const struct rate *rate, int64_t count);

#endif

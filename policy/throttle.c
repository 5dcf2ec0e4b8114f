/*
 * throttle.c - may another one pass now?
 */
#include "policy/throttle.h"

struct throttle_answer throttle_take(
    struct throttle *throttle, const struct rate *rate, int64_t now_ns)
{
	int64_t period_ns = rate->period_ms * 1000000;
	int64_t each_ns = period_ns / rate->limit;
	int64_t burst = rate->max_burst && rate->max_burst < rate->limit
			    ? rate->max_burst
			    : rate->limit;
	struct throttle_answer answer = {.limit = burst};
	int64_t full_at =
	    throttle->full_at_ns > now_ns ? throttle->full_at_ns : now_ns;
	int64_t allowed_at;

	if (each_ns < 1)
		each_ns = 1;
	allowed_at = full_at + each_ns - each_ns * burst;
	if (now_ns < allowed_at) {
		answer.throttled = true;
		answer.retry_after_ns = allowed_at - now_ns;
	} else {
		full_at += each_ns;
		throttle->full_at_ns = full_at;
		answer.remaining =
		    (each_ns * burst - (full_at - now_ns)) / each_ns;
	}
	answer.reset_after_ns = full_at - now_ns;
	return answer;
}

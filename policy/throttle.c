/*
 * throttle.c - may another one pass now?
 */
#include "policy/throttle.h"

static int64_t each_ns(const struct rate *rate)
{
	int64_t ns = rate->period_ms * 1000000 / rate->limit;

	return ns < 1 ? 1 : ns;
}

static int64_t burst_of(const struct rate *rate)
{
	return rate->max_burst && rate->max_burst < rate->limit
		   ? rate->max_burst
		   : rate->limit;
}

/* A bucket that is full now was full before, too. */
static int64_t full_at(const struct throttle *throttle, int64_t now_ns)
{
	return throttle->full_at_ns > now_ns ? throttle->full_at_ns : now_ns;
}

int64_t throttle_room(
    const struct throttle *throttle, const struct rate *rate, int64_t now_ns)
{
	int64_t each = each_ns(rate);
	int64_t room =
	    (each * burst_of(rate) - (full_at(throttle, now_ns) - now_ns)) /
	    each;

	return room > 0 ? room : 0;
}

int64_t throttle_wait_ns(const struct throttle *throttle,
    const struct rate *rate, int64_t count, int64_t now_ns)
{
	int64_t each = each_ns(rate), burst = burst_of(rate), allowed_at;

	if (count > burst)
		count = burst;
	allowed_at = full_at(throttle, now_ns) + each * count - each * burst;
	return allowed_at > now_ns ? allowed_at - now_ns : 0;
}

void throttle_take_many(struct throttle *throttle, const struct rate *rate,
    int64_t count, int64_t now_ns)
{
	throttle->full_at_ns =
	    full_at(throttle, now_ns) + each_ns(rate) * count;
}

void throttle_give_back(
    struct throttle *throttle, const struct rate *rate, int64_t count)
{
	throttle->full_at_ns -= each_ns(rate) * count;
}

struct throttle_answer throttle_take(
    struct throttle *throttle, const struct rate *rate, int64_t now_ns)
{
	struct throttle_answer answer = {.limit = burst_of(rate)};

	answer.retry_after_ns = throttle_wait_ns(throttle, rate, 1, now_ns);
	answer.throttled = answer.retry_after_ns > 0;
	if (!answer.throttled) {
		throttle_take_many(throttle, rate, 1, now_ns);
		answer.remaining = throttle_room(throttle, rate, now_ns);
	}
	answer.reset_after_ns = full_at(throttle, now_ns) - now_ns;
	return answer;
}

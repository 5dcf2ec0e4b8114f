#include "policy/retry.h"

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

/* Whole seconds, and never none: a queue that retries at once would spin. */
static int64_t interval_s(struct duration d)
{
	return d.ms < 1000 ? 1 : d.ms / 1000;
}

static int64_t backoff_s(const struct queue_config *config, int64_t attempts)
{
	int64_t delay = interval_s(config->retry_interval);
	int64_t most = config->has_max_retry_interval
			   ? interval_s(config->max_retry_interval)
			   : INT64_MAX;

	for (int64_t i = 0; i < attempts && delay < most; i++)
		delay = delay > INT64_MAX / 2 ? INT64_MAX : delay * 2;
	return delay < most ? delay : most;
}

/* A twentieth of the interval, at most a minute, around 0. */
static int64_t jitter_s(const struct queue_config *config, double chance)
{
	double span = (double)interval_s(config->retry_interval) / 20;

	if (span > 60)
		span = 60;
	return (int64_t)((chance - 0.5) * span);
}

static int64_t age_at(const struct retry_question *q, int64_t when)
{
	return when > q->created_at ? add(when, -q->created_at) : 0;
}

struct retry_answer retry_after_failure(
    const struct queue_config *config, const struct retry_question *q)
{
	int64_t delay =
	    add(backoff_s(config, q->attempts), jitter_s(config, q->chance));
	struct retry_answer a = {
	    .due_at = add(q->now, delay),
	    .attempts = add(q->attempts, 1),
	};

	if (q->expires_at)
		a.expired = a.due_at >= q->expires_at;
	else
		a.expired =
		    add(age_at(q, q->now), delay) > config->max_age.ms / 1000;
	return a;
}

struct retry_answer retry_without_attempt(const struct queue_config *config,
    const struct retry_question *q, int64_t delay_s)
{
	int64_t delay = delay_s < 0 ? (int64_t)(q->chance * 60) : delay_s;
	struct retry_answer a = {
	    .due_at = add(q->now, delay),
	    .attempts = q->attempts,
	};

	if (q->expires_at)
		a.expired = a.due_at >= q->expires_at;
	else
		a.expired = age_at(q, a.due_at) >= config->max_age.ms / 1000;
	return a;
}

struct retry_answer retry_soon(
    const struct queue_config *config, const struct retry_question *q)
{
	return retry_without_attempt(config, q, 30 + (int64_t)(q->chance * 61));
}

/*
 * retry.h - when a message is tried again, and when it is given up
 *
 * Arithmetic only (policy language, 10.3): the caller brings the time and the
 * chance.  Expiry is judged when a retry is scheduled: a message expires at the
 * failure whose next attempt would come too late.
 *
 * Nothing overflows: what would, is INT64_MAX seconds.
 */
#ifndef POLICY_RETRY_H
#define POLICY_RETRY_H

#include <stdint.h>

#include "policy/queue_config.h"

struct retry_question {
	int64_t attempts;   /* before this failure; 0: it is the first */
	int64_t now;        /* unix seconds */
	int64_t created_at; /* unix seconds */
	int64_t expires_at; /* unix seconds, instead of max_age; 0: none */
	double chance;      /* uniform in [0, 1) */
};

struct retry_answer {
	bool expired;
	int64_t due_at;   /* unix seconds; what it would be when expired */
	int64_t attempts; /* as they are from now on */
};

/* After a temporary failure: backoff, jitter, one attempt more. */
struct retry_answer retry_after_failure(
    const struct queue_config *config, const struct retry_question *q);
/* Put back without an attempt counted.  delay_s < 0: none was given, uniform
 * within a minute. */
struct retry_answer retry_without_attempt(const struct queue_config *config,
    const struct retry_question *q, int64_t delay_s);
/* After a failure that is our own, such as a full disk under a maildir: 30 to
 * 90 s from now, attempts unchanged. */
struct retry_answer retry_soon(
    const struct queue_config *config, const struct retry_question *q);

#endif

/*
 * schedule.h - when a message may be attempted (message:set_scheduling)
 *
 * Not before first_attempt, not after expires, and only in the window: on days
 * of the week, from start to before end, in the zone.
 *
 * Ownership: lives in the arena that it was parsed into.
 */
#ifndef POLICY_SCHEDULE_H
#define POLICY_SCHEDULE_H

#include "base/timezone.h"
#include "policy/param.h"

struct schedule {
	uint64_t given[2];
	const char *first_attempt, *expires; /* as given */
	const char *dow, *tz, *start, *end;

	int64_t first_attempt_at, expires_at; /* unix seconds; 0: none */
	const struct timezone_rules *zone;    /* NULL: no window */
	unsigned days;                        /* bit 0: Sunday */
	int64_t start_s, end_s;               /* seconds after midnight */
};

/* A map; unknown keys are errors. */
bool schedule_parse(const struct value *table, struct arena *arena,
    struct schedule *out, struct err *err) MUST_USE;
/* The first allowed time at `at` or later. */
int64_t schedule_next(const struct schedule *schedule, int64_t at);

#endif

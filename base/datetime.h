/*
 * datetime.h - the dates that people and mail write, to seconds since 1970
 *
 * The other direction is in clock.h.
 */
#ifndef BASE_DATETIME_H
#define BASE_DATETIME_H

#include <stdint.h>

#include "base/err.h"

struct datetime {
	int64_t unix_seconds;
	int64_t nanoseconds; /* 0..999999999 */
};

/* False: no such day or time. */
bool datetime_from_parts(int year, int month, int day, int hour, int minute,
    int second, struct datetime *out) MUST_USE;
/* "2026-11-21T03:24:00.5Z", "...+01:00" */
bool datetime_parse_rfc3339(
    const char *text, struct datetime *out, struct err *err) MUST_USE;
/* "Sat, 21 Nov 2026 03:24:00 +0100"; the day's name may be missing, and so may
 * the seconds; the old names of zones are known. */
bool datetime_parse_rfc2822(
    const char *text, struct datetime *out, struct err *err) MUST_USE;

#endif

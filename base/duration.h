/*
 * duration.h - "5 mins" and its struct
 *
 *	duration = 1*( [SP] 1*DIGIT [SP] unit )
 *	unit     = nsec ns usec us msec ms s sec m min h hr d day w week M month
 *	           y year, and the plurals (policy language, 3.2)
 */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdint.h>

#include "base/err.h"

struct duration {
	int64_t ms;
};

bool duration_parse(const char *text, struct duration *out, struct err *err)
    MUST_USE;
/* Seconds as a number, 0 or more, integral or not. */
bool duration_from_seconds(
    double seconds, struct duration *out, struct err *err) MUST_USE;
/* "20m", "1h 30m", "7days", "0s".  out: 128 bytes. */
char *duration_print(char out[128], struct duration d);

#endif

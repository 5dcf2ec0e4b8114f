/*
 * rate.h - "100/s", "10/30s,max_burst=1" (policy language, 3.3)
 */
#ifndef POLICY_RATE_H
#define POLICY_RATE_H

#include <stdint.h>

#include "base/err.h"

struct rate {
	int64_t limit;
	int64_t period_ms;
	int64_t max_burst; /* 0: limit */
	bool local;
};

/*
 *	rate     = [ "local:" ] quantity "/" [ 1*DIGIT ] period
 *	           [ ",max_burst=" quantity ]
 *	quantity = 1*DIGIT, with "," and "_" between them ignored
 *	period   = s sec second m min minute h hr hour d day
 */
bool rate_parse(const char *text, struct rate *out, struct err *err) MUST_USE;
/* "1000/h", "10/30s"; a period without a letter of its own is in seconds. */
char *rate_print(char out[96], const struct rate *rate);

#endif

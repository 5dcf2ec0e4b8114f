/*
 * named_limits.h - rates and limits that have a name of their own
 *
 * { NAME = "100/s", ... } and { NAME = 10, ... } of an egress path: whoever
 * names one shares it with everybody else who does (policy language, 12.5).
 * The smallest come first.
 *
 * Ownership: in the arena of the record that they stand in.
 */
#ifndef POLICY_NAMED_LIMITS_H
#define POLICY_NAMED_LIMITS_H

#include <stddef.h>

#include "policy/rate.h"

#define NAMED_LIMIT_NAME 255 /* bytes of a name, at most */

struct named_rate {
	const char *name;
	const struct rate *rate;
};
struct named_rates {
	const struct named_rate *items;
	size_t count;
};

struct named_limit {
	const char *name;
	int64_t limit;
};
struct named_limits {
	const struct named_limit *items;
	size_t count;
};

#endif

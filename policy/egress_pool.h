/*
 * egress_pool.h - sources to choose among, by weight (policy language, 11.1-3)
 */
#ifndef POLICY_EGRESS_POOL_H
#define POLICY_EGRESS_POOL_H

#include "base/duration.h"
#include "policy/param.h"

struct egress_pool_entry {
	uint64_t given[2];
	const char *name;
	int64_t weight; /* 0: never used */
};

struct egress_pool {
	uint64_t given[2];
	const char *name;
	struct egress_pool_entry *entries;
	size_t entry_count;
	struct duration ttl;
};

extern const struct param_set egress_pool_params; /* make_egress_pool */
const struct egress_pool *egress_pool_unspecified(void);

/* Weighted round robin, the gcd/max algorithm, exact over a cycle, starting
 * with the first entry (D9).  {0} is the fresh state.  A refreshed pool may be
 * picked from with the turn of its predecessor. */
struct egress_pool_turn {
	size_t next;
	int64_t level;
};
/* usable[i] false: skipped (weight 0 always is); NULL: all are usable.
 * -1: none usable. */
int egress_pool_pick(const struct egress_pool *pool,
    struct egress_pool_turn *turn, const bool *usable);

#endif

/*
 * milter_domains.h - what get_listener_domain said on this connection
 *
 * Keyed by domain and identity (D3), nil remembered too, at most 17 of them;
 * the one used longest ago makes room.  There is no cache across connections:
 * slow lookups are the policy's to memoize.
 *
 * Ownership: each entry has an arena of its own.  A pointer to an entry is
 *            good until 16 others have been added.
 */
#ifndef MILTER_MILTER_DOMAINS_H
#define MILTER_MILTER_DOMAINS_H

#include "base/arena.h"
#include "policy/listener_domain.h"

#define DOMAIN_CACHE_SIZE 17

struct domain_answer {
	const struct listener_domain *listed; /* NULL: nil */
	const char *where;                    /* "policy.lua:12"; "" unknown */
};

struct domain_cache {
	struct domain_entry {
		struct arena *arena; /* NULL: free */
		const char *domain, *authn_id, *authz_id;
		struct domain_answer answer;
		uint64_t used;
	} entries[DOMAIN_CACHE_SIZE];
	uint64_t clock;
};

void domain_cache_clear(struct domain_cache *cache);
/* NULL: not asked yet.  Identities may be NULL. */
const struct domain_answer *domain_cache_find(struct domain_cache *cache,
    const char *domain, const char *authn_id, const char *authz_id);
/* Takes the arena, in which the answer lives. */
const struct domain_answer *domain_cache_add_take(struct domain_cache *cache,
    const char *domain, const char *authn_id, const char *authz_id,
    struct domain_answer answer, struct arena *arena);

#endif

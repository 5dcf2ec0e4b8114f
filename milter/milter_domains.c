/*
 * milter_domains.c - what get_listener_domain said on this connection
 */
#include "milter/milter_domains.h"

#include "base/str.h"

void domain_cache_clear(struct domain_cache *cache)
{
	for (size_t i = 0; i < DOMAIN_CACHE_SIZE; i++)
		arena_unref(cache->entries[i].arena);
	*cache = (struct domain_cache){0};
}

const struct domain_answer *domain_cache_find(struct domain_cache *cache,
    const char *domain, const char *authn_id, const char *authz_id)
{
	for (size_t i = 0; i < DOMAIN_CACHE_SIZE; i++) {
		struct domain_entry *e = &cache->entries[i];

		if (!e->arena || !str_eq(e->domain, domain) ||
		    !str_eq(e->authn_id, authn_id) ||
		    !str_eq(e->authz_id, authz_id))
			continue;
		e->used = ++cache->clock;
		return &e->answer;
	}
	return NULL;
}

const struct domain_answer *domain_cache_add_take(struct domain_cache *cache,
    const char *domain, const char *authn_id, const char *authz_id,
    struct domain_answer answer, struct arena *arena)
{
	struct domain_entry *oldest = &cache->entries[0];

	for (size_t i = 0; i < DOMAIN_CACHE_SIZE; i++) {
		struct domain_entry *e = &cache->entries[i];

		if (!e->arena) {
			oldest = e;
			break;
		}
		if (e->used < oldest->used)
			oldest = e;
	}
	arena_unref(oldest->arena);
	*oldest = (struct domain_entry){
	    .arena = arena,
	    .domain = arena_strdup(arena, domain),
	    .authn_id = arena_strdup(arena, authn_id),
	    .authz_id = arena_strdup(arena, authz_id),
	    .answer = answer,
	    .used = ++cache->clock,
	};
	return &oldest->answer;
}

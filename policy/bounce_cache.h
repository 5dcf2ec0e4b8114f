/*
 * bounce_cache.h - texts that were classified lately, and their rules
 *
 * Bounded: at most so many texts, the least recently used of a few goes.
 *
 * Threads: any; none ever waits for another.  Who finds the cache in use does
 *	    without it.
 */
#ifndef POLICY_BOUNCE_CACHE_H
#define POLICY_BOUNCE_CACHE_H

#include "base/attr.h"

struct bounce_cache;

/* size: texts, 0 for none at all. */
struct bounce_cache *bounce_cache_new(size_t size) MUST_USE;
void bounce_cache_free(struct bounce_cache *cache); /* NULL is fine */
/* False: it is not there, or the cache is in use. */
bool bounce_cache_get(
    struct bounce_cache *cache, const char *text, size_t len, size_t *rule);
void bounce_cache_put(
    struct bounce_cache *cache, const char *text, size_t len, size_t rule);

#endif

/*
 * bounce_cache.c - texts that were classified lately, and their rules
 *
 * A table of sets of four, as in a processor: a text may stand in one set only,
 * and takes the place of the one there that was used longest ago.  The flag is
 * no lock that anybody waits for (doc/adr/0008): the router's loop looks in
 * here, and computing the answer again is cheaper than any wait.
 */
#include "policy/bounce_cache.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/xalloc.h"

#define WAYS 4

struct entry {
	char *text; /* NULL: empty */
	size_t len, rule;
	uint64_t hash, used;
};

struct bounce_cache {
	atomic_flag busy;
	size_t sets;
	uint64_t clock; /* counts uses */
	struct entry entries[];
};

struct bounce_cache *bounce_cache_new(size_t size)
{
	size_t sets = (size + WAYS - 1) / WAYS;
	struct bounce_cache *cache =
	    xcalloc(1, sizeof *cache + sets * WAYS * sizeof *cache->entries);

	cache->sets = sets;
	atomic_flag_clear(&cache->busy);
	return cache;
}

void bounce_cache_free(struct bounce_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < cache->sets * WAYS; i++)
		free(cache->entries[i].text);
	free(cache);
}

/* FNV-1a.  A peer who makes his replies collide empties a set, that is all. */
static uint64_t hash_of(const char *text, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
	return hash;
}

static bool enter(struct bounce_cache *cache)
{
	return cache->sets > 0 && !atomic_flag_test_and_set_explicit(
				      &cache->busy, memory_order_acquire);
}

static void leave(struct bounce_cache *cache)
{
	atomic_flag_clear_explicit(&cache->busy, memory_order_release);
}

/* NULL: it is not there; *oldest is whose place it may take. */
static struct entry *find(struct bounce_cache *cache, uint64_t hash,
    const char *text, size_t len, struct entry **oldest)
{
	struct entry *set = &cache->entries[hash % cache->sets * WAYS];

	*oldest = set;
	for (struct entry *e = set; e < set + WAYS; e++) {
		if (e->text && e->hash == hash && e->len == len &&
		    memcmp(e->text, text, len) == 0)
			return e;
		if (e->used < (*oldest)->used)
			*oldest = e;
	}
	return NULL;
}

bool bounce_cache_get(
    struct bounce_cache *cache, const char *text, size_t len, size_t *rule)
{
	uint64_t hash = hash_of(text, len);
	struct entry *e, *oldest;

	if (!enter(cache))
		return false;
	e = find(cache, hash, text, len, &oldest);
	if (e) {
		e->used = ++cache->clock;
		*rule = e->rule;
	}
	leave(cache);
	return e != NULL;
}

void bounce_cache_put(
    struct bounce_cache *cache, const char *text, size_t len, size_t rule)
{
	uint64_t hash = hash_of(text, len);
	struct entry *e, *oldest;

	if (!enter(cache))
		return;
	e = find(cache, hash, text, len, &oldest);
	if (!e) {
		e = oldest;
		free(e->text);
		e->text = xmalloc(len + 1);
		memcpy(e->text, text, len);
		e->len = len;
		e->hash = hash;
	}
	e->rule = rule;
	e->used = ++cache->clock;
	leave(cache);
}

/*
 * map.c - text to pointer, hashed
 *
 * Entries stand in an array in order of insertion; `slots` is a table of
 * indexes into it with linear probing, at least twice as large as the array, so
 * that there is always an empty slot to stop at.  A removal leaves a hole in
 * the array and a mark in the slots; both go when the array is full and all is
 * laid out anew.
 *
 * Keys come from peers (domains), so the hash is SipHash-1-3 with a key of this
 * process's own: nobody can choose names that collide.
 */
#include "base/map.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/random.h>

#include "base/diag.h"
#include "base/xalloc.h"

#define SLOT_EMPTY 0
#define SLOT_REMOVED UINT32_MAX
/* Anything else: index of the entry + 1. */

struct entry {
	char *key; /* NULL: removed */
	void *value;
	uint64_t hash;
};

struct map {
	struct entry *entries;
	uint32_t *slots;
	size_t used, size; /* of entries, with holes */
	size_t count;      /* without holes */
	size_t mask;       /* number of slots - 1 */
};

static uint64_t hash_key[2];

static void make_hash_key(void)
{
	/* Without entropy (very early boot) the key is guessable, no worse. */
	if (getrandom(hash_key, sizeof hash_key, GRND_NONBLOCK) < 0)
		hash_key[0] = (uint64_t)(uintptr_t)&hash_key;
}

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

/* https://www.aumasson.jp/siphash/siphash.pdf, with c=1 and d=3 */
static uint64_t hash_of(const char *key, size_t len)
{
	uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575,
	    hash_key[1] ^ 0x646f72616e646f6d, hash_key[0] ^ 0x6c7967656e657261,
	    hash_key[1] ^ 0x7465646279746573};
	uint64_t word;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, key + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = 0;
	memcpy(&word, key + i, len - i);
	word |= (uint64_t)len << 56;
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, make_hash_key);
	return xcalloc(1, sizeof(struct map));
}

void map_free(struct map *map, void (*release)(void *))
{
	if (!map)
		return;
	for (size_t i = 0; i < map->used; i++) {
		if (!map->entries[i].key)
			continue;
		if (release && map->entries[i].value)
			release(map->entries[i].value);
		free(map->entries[i].key);
	}
	free(map->entries);
	free(map->slots);
	free(map);
}

/* The slot that holds key, or NULL. */
static uint32_t *find(const struct map *map, const char *key, uint64_t hash)
{
	if (!map->count)
		return NULL;
	for (size_t at = hash & map->mask;; at = (at + 1) & map->mask) {
		uint32_t slot = map->slots[at];
		const struct entry *entry;

		if (slot == SLOT_EMPTY)
			return NULL;
		if (slot == SLOT_REMOVED)
			continue;
		entry = &map->entries[slot - 1];
		if (entry->hash == hash && strcmp(entry->key, key) == 0)
			return &map->slots[at];
	}
}

/* Room for twice what is there; closes the holes. */
static void lay_out(struct map *map)
{
	size_t size = 8, used = 0;
	struct entry *entries;

	while (size < map->count * 2)
		size *= 2;
	invariant(size < SLOT_REMOVED / 2);
	entries = xmalloc(size * sizeof *entries);
	free(map->slots);
	map->slots = xcalloc(size * 2, sizeof *map->slots);
	map->mask = size * 2 - 1;
	for (size_t i = 0; i < map->used; i++) {
		size_t at;

		if (!map->entries[i].key)
			continue;
		entries[used++] = map->entries[i];
		at = map->entries[i].hash & map->mask;
		while (map->slots[at] != SLOT_EMPTY)
			at = (at + 1) & map->mask;
		map->slots[at] = (uint32_t)used;
	}
	free(map->entries);
	map->entries = entries;
	map->used = used;
	map->size = size;
}

void *map_get(const struct map *map, const char *key)
{
	const uint32_t *slot = find(map, key, hash_of(key, strlen(key)));

	return slot ? map->entries[*slot - 1].value : NULL;
}

void *map_put(struct map *map, const char *key, void *value)
{
	size_t len = strlen(key), at;
	uint64_t hash = hash_of(key, len);
	uint32_t *slot = find(map, key, hash);

	if (slot) {
		struct entry *entry = &map->entries[*slot - 1];
		void *before = entry->value;

		entry->value = value;
		return before;
	}
	if (map->used == map->size)
		lay_out(map);
	at = hash & map->mask;
	while (map->slots[at] != SLOT_EMPTY && map->slots[at] != SLOT_REMOVED)
		at = (at + 1) & map->mask;
	map->entries[map->used++] =
	    (struct entry){xmemdup(key, len + 1), value, hash};
	map->slots[at] = (uint32_t)map->used;
	map->count++;
	return NULL;
}

void *map_remove(struct map *map, const char *key)
{
	uint32_t *slot = find(map, key, hash_of(key, strlen(key)));
	struct entry *entry;

	if (!slot)
		return NULL;
	entry = &map->entries[*slot - 1];
	*slot = SLOT_REMOVED;
	free(entry->key);
	entry->key = NULL;
	map->count--;
	return entry->value;
}

size_t map_count(const struct map *map)
{
	return map->count;
}

bool map_each(
    const struct map *map, size_t *pos, const char **key, void **value)
{
	while (*pos < map->used) {
		const struct entry *entry = &map->entries[(*pos)++];

		if (!entry->key)
			continue;
		if (key)
			*key = entry->key;
		if (value)
			*value = entry->value;
		return true;
	}
	return false;
}

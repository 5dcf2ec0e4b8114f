/*
 * record_memory.c - answers of the policy that are alike share one record
 *
 * A table with one slot for each hash.  The first answer leaves its hash, the
 * second itself, so that those of which there is only one cost nothing.
 */
#include "router/record_memory.h"

#include <string.h>

#include "base/arena.h"
#include "base/xalloc.h"

#define SLOTS 256

struct slot {
	uint64_t hash;
	int64_t generation;
	const struct param_set *set;
	struct arena *arena; /* of value */
	struct value value;
	struct record_ref *ref; /* NULL: only its hash was seen */
};

struct record_memory {
	struct slot slots[SLOTS];
};

static void add(uint64_t *hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		*hash = (*hash ^ p[i]) * 1099511628211U;
}

static void add_value(uint64_t *hash, const struct value *v)
{
	add(hash, &v->type, sizeof v->type);
	add(hash, &v->b, sizeof v->b);
	add(hash, &v->i, sizeof v->i);
	add(hash, &v->n, sizeof v->n);
	if (v->s)
		add(hash, v->s, v->len);
	for (size_t i = 0; i < v->count; i++) {
		if (v->type == VALUE_LIST) {
			add_value(hash, &v->items[i]);
		} else {
			const struct value_entry *e = &v->entries[i];

			add(hash, e->key, strlen(e->key) + 1);
			add_value(hash, &e->value);
		}
	}
}

static uint64_t hash_of(
    int64_t generation, const struct param_set *set, const struct value *v)
{
	uint64_t hash = 14695981039346656037U;

	add(&hash, &generation, sizeof generation);
	add(&hash, &set, sizeof set);
	add_value(&hash, v);
	return hash;
}

static void forget(struct slot *slot)
{
	record_unref(slot->ref);
	arena_unref(slot->arena);
	*slot = (struct slot){0};
}

struct record_memory *record_memory_new(void)
{
	return xcalloc(1, sizeof(struct record_memory));
}

void record_memory_free(struct record_memory *memory)
{
	if (!memory)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		forget(&memory->slots[i]);
	free(memory);
}

struct record_ref *record_memory_find(struct record_memory *memory,
    int64_t generation, const struct param_set *set, const struct value *v)
{
	uint64_t hash = hash_of(generation, set, v);
	const struct slot *slot = &memory->slots[hash % SLOTS];

	if (!slot->ref || slot->hash != hash || slot->set != set ||
	    slot->generation != generation || !value_eq(&slot->value, v))
		return NULL;
	return record_ref(slot->ref);
}

void record_memory_keep(struct record_memory *memory, int64_t generation,
    const struct param_set *set, const struct value *v, struct record_ref *ref)
{
	uint64_t hash = hash_of(generation, set, v);
	struct slot *slot = &memory->slots[hash % SLOTS];

	if (slot->hash != hash) {
		forget(slot);
		slot->hash = hash;
		return;
	}
	forget(slot);
	slot->hash = hash;
	slot->generation = generation;
	slot->set = set;
	slot->arena = arena_new(0);
	slot->value = value_copy(slot->arena, v);
	slot->ref = record_ref(ref);
}

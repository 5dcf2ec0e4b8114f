/*
 * held_memory.c - scheduled queues that were forgotten while they waited
 */
#include "router/held_memory.h"

#include <stdio.h>

#include "base/map.h"
#include "base/xalloc.h"

#define MOST 100000
/* Not met again for so long: it is empty, or goes on. */
#define LIFE_S 600
#define SWEEP_S 60

struct entry {
	int64_t until, dies;
	char why[];
};

struct held_memory {
	struct map *by_queue;
	int64_t sweep_at;
};

static char *key_of(char out[24], int64_t queue)
{
	(void)snprintf(out, 24, "%llx", (unsigned long long)queue);
	return out;
}

struct held_memory *held_memory_new(void)
{
	struct held_memory *memory = xcalloc(1, sizeof *memory);

	memory->by_queue = map_new();
	return memory;
}

void held_memory_free(struct held_memory *memory)
{
	if (!memory)
		return;
	map_free(memory->by_queue, free);
	free(memory);
}

static void sweep(struct held_memory *memory, int64_t now)
{
	size_t pos = 0;
	const char *key;
	void *value;

	/* A clock that was set back does not put it off for ever. */
	if (now < memory->sweep_at && memory->sweep_at - now <= SWEEP_S)
		return;
	memory->sweep_at = now + SWEEP_S;
	while (map_each(memory->by_queue, &pos, &key, &value)) {
		const struct entry *e = value;

		if (now < e->dies && e->dies - now <= LIFE_S)
			continue;
		free(map_remove(memory->by_queue, key));
	}
}

void held_memory_put(struct held_memory *memory, int64_t queue, const char *why,
    int64_t until, int64_t now)
{
	size_t len = strlen(why);
	struct entry *e;
	char key[24];

	sweep(memory, now);
	if (map_count(memory->by_queue) >= MOST)
		return;
	e = xcalloc(1, sizeof *e + len + 1);
	e->until =
	    until < now + HELD_BELIEVED_S ? until : now + HELD_BELIEVED_S;
	e->dies = now + LIFE_S;
	memcpy(e->why, why, len);
	free(map_put(memory->by_queue, key_of(key, queue), e));
}

bool held_memory_waits(
    const struct held_memory *memory, int64_t queue, int64_t now)
{
	char key[24];
	const struct entry *e = map_get(memory->by_queue, key_of(key, queue));

	return e && now < e->until && e->until - now <= HELD_BELIEVED_S;
}

const char *held_memory_why(const struct held_memory *memory, int64_t queue)
{
	char key[24];
	const struct entry *e = map_get(memory->by_queue, key_of(key, queue));

	return e ? e->why : NULL;
}

size_t held_memory_count(const struct held_memory *memory)
{
	return map_count(memory->by_queue);
}

char *held_memory_take(struct held_memory *memory, int64_t queue)
{
	char key[24], *why;
	struct entry *e = map_remove(memory->by_queue, key_of(key, queue));

	if (!e)
		return NULL;
	why = xstrdup(e->why);
	free(e);
	return why;
}

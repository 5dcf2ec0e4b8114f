/*
 * source_choice.c - which source of a pool takes a message
 */
#include "router/source_choice.h"

#include "base/xalloc.h"

/* Queues with more messages than that are spread one by one: each source has a
 * connection's worth of work all the same. */
#define FEW 32

void source_turn_release(struct source_turn *t)
{
	free(t->taken);
	t->taken = NULL;
	t->left = 0;
}

void source_turn_expect(struct source_turn *t, const void *queue)
{
	t->messages++;
	t->queues += t->queue_before != queue;
	t->queue_before = queue;
}

void source_turn_end(struct source_turn *t)
{
	source_turn_release(t);
	t->messages = t->queues = 0;
	t->queue_before = NULL;
}

static void take_turns(struct source_turn *t, const struct egress_pool *pool)
{
	t->taken = xcalloc(pool->entry_count + 1, sizeof *t->taken);
	t->pool = pool;
	for (size_t i = 0; i < t->messages; i++) {
		int entry = egress_pool_pick(pool, &t->turn, NULL);

		if (entry < 0)
			break;
		t->taken[entry]++;
		t->left++;
	}
}

static bool is_left(const struct source_turn *t, const bool *usable, size_t i)
{
	return t->taken[i] > 0 && usable[i];
}

int source_turn_pick(struct source_turn *t, const struct egress_pool *pool,
    const bool *usable, int before)
{
	if (!t->taken && t->queues > 1 && t->messages <= t->queues * FEW)
		take_turns(t, pool);
	/* A refreshed pool may have other entries. */
	if (!t->taken || t->left == 0 || t->pool != pool)
		return egress_pool_pick(pool, &t->turn, usable);
	if (before < 0 || !is_left(t, usable, (size_t)before)) {
		size_t n = 0;

		t->at %= pool->entry_count;
		while (n < pool->entry_count && !is_left(t, usable, t->at)) {
			t->at = (t->at + 1) % pool->entry_count;
			n++;
		}
		if (n == pool->entry_count)
			return egress_pool_pick(pool, &t->turn, usable);
		before = (int)t->at;
	}
	t->taken[before]--;
	t->left--;
	return before;
}

/*
 * sts_memory.c - MTA-STS policies that were asked for lately
 */
#include "router/sts_memory.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "router/router.h"

/* Beyond that everything is forgotten: it can be asked for again. */
#define DOMAINS_MOST 10000

struct sts_memory {
	struct router *r;
	struct map *answers; /* struct sts_answer */
};

struct question {
	struct loop_item item;
	struct sts_memory *m;
	char *domain;
	struct sts_answer *answer;
	bool is_known; /* it came from here */
	sts_memory_fn *done;
	void *ctx;
};

static void forget(void *p)
{
	arena_unref(((struct sts_answer *)p)->arena);
}

struct sts_memory *sts_memory_new(struct router *r)
{
	struct sts_memory *m = xcalloc(1, sizeof *m);

	m->r = r;
	m->answers = map_new();
	return m;
}

void sts_memory_free(struct sts_memory *m)
{
	if (!m)
		return;
	map_free(m->answers, forget);
	free(m);
}

static void remember(struct sts_memory *m, struct question *q)
{
	struct sts_answer *old;

	if (map_count(m->answers) >= DOMAINS_MOST) {
		map_free(m->answers, forget);
		m->answers = map_new();
	}
	old = map_put(m->answers, q->domain, q->answer);
	if (old)
		forget(old);
}

static void run_answer(struct loop_item *item)
{
	struct question *q = CONTAINER_OF(item, struct question, item);
	struct arena *arena = arena_ref(q->answer->arena);

	if (!q->is_known)
		remember(q->m, q);
	else
		arena_unref(q->answer->arena);
	q->done(q->answer, q->ctx);
	arena_unref(arena);
	free(q->domain);
	free(q);
}

static void on_sts_thread(struct sts_answer *answer, void *ctx)
{
	struct question *q = ctx;

	q->answer = answer;
	loop_post(q->m->r->loop, &q->item);
}

void sts_memory_ask(
    struct sts_memory *m, const char *domain, sts_memory_fn *done, void *ctx)
{
	struct sts_answer *known = map_get(m->answers, domain);
	struct question *q = xcalloc(1, sizeof *q);

	q->item.run = run_answer;
	q->m = m;
	q->domain = xstrdup(domain);
	q->done = done;
	q->ctx = ctx;
	if (known && clock_now_ms() < known->expires_at) {
		(void)arena_ref(known->arena);
		q->answer = known;
		q->is_known = true;
		loop_post(m->r->loop, &q->item);
	} else {
		mta_sts_ask(m->r->sts, domain, on_sts_thread, q);
	}
}

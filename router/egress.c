/*
 * egress.c - pools and sources, as the policy gives them, for their ttl
 *
 * Two caches of entries by name.  An entry that is being asked for collects
 * waiters, so that a thousand scheduled queues of one pool ask once.
 */
#include "router/egress.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "router/router.h"

#define UNSPECIFIED "unspecified"

struct cache {
	struct map *entries;
	struct list used; /* least recently first */
};

struct source_entry {
	struct list link;
	struct egress *e;
	char *name;
	struct record_ref *record; /* NULL: not known */
	int64_t expires_at;
	int64_t epoch;
	bool asking;
	struct list waiters; /* struct source_waiter */
};

struct source_waiter {
	struct list link;
	struct pool_entry *pool;
	size_t index;
};

struct pool_waiter {
	struct list link;
	egress_done_fn *done;
	void *ctx;
};

struct pool_entry {
	struct list link;
	struct egress *e;
	char *name;
	struct egress_choice *choice; /* NULL: not known */
	struct egress_choice *making;
	struct egress_turn *turn;
	size_t open; /* sources of `making` to come */
	struct err err;
	int64_t epoch;
	bool asking;
	struct list waiters;
	struct loop_deferred built_in;
};

struct egress {
	struct router *r;
	struct cache pools, sources;
	int64_t epoch;
};

/* ---- choices ---- */

const struct egress_pool *egress_choice_pool(const struct egress_choice *c)
{
	return c->pool->record;
}

const struct egress_source *egress_choice_source(
    const struct egress_choice *c, size_t i)
{
	return c->sources[i]->record;
}

static void turn_unref(struct egress_turn *turn)
{
	if (!turn || --turn->refs > 0)
		return;
	source_turn_release(&turn->turn);
	free(turn);
}

void egress_choice_unref(struct egress_choice *c)
{
	if (!c || --c->refs > 0)
		return;
	for (size_t i = 0; i < c->count; i++)
		record_unref(c->sources[i]);
	free(c->sources);
	record_unref(c->pool);
	turn_unref(c->turn);
	free(c);
}

/* ---- caches ---- */

static void touch(struct cache *cache, struct list *link)
{
	list_remove(link);
	list_add_tail(&cache->used, link);
}

static void free_source(struct source_entry *s)
{
	list_remove(&s->link);
	record_unref(s->record);
	free(s->name);
	free(s);
}

static void free_pool(struct pool_entry *p)
{
	list_remove(&p->link);
	egress_choice_unref(p->choice);
	egress_choice_unref(p->making);
	turn_unref(p->turn);
	free(p->name);
	free(p);
}

static struct source_entry *source_entry(struct egress *e, const char *name)
{
	struct source_entry *s = map_get(e->sources.entries, name);
	struct list *pos, *tmp;

	if (s) {
		touch(&e->sources, &s->link);
		return s;
	}
	LIST_EACH (pos, tmp, &e->sources.used) {
		struct source_entry *old =
		    LIST_ITEM(pos, struct source_entry, link);

		if (map_count(e->sources.entries) < EGRESS_CACHED)
			break;
		if (old->asking)
			continue;
		(void)map_remove(e->sources.entries, old->name);
		free_source(old);
	}
	s = xcalloc(1, sizeof *s);
	s->e = e;
	s->name = xstrdup(name);
	list_init(&s->waiters);
	list_add_tail(&e->sources.used, &s->link);
	(void)map_put(e->sources.entries, name, s);
	return s;
}

static void finish_built_in(struct loop_deferred *d);

static struct pool_entry *pool_entry(struct egress *e, const char *name)
{
	struct pool_entry *p = map_get(e->pools.entries, name);
	struct list *pos, *tmp;

	if (p) {
		touch(&e->pools, &p->link);
		return p;
	}
	LIST_EACH (pos, tmp, &e->pools.used) {
		struct pool_entry *old =
		    LIST_ITEM(pos, struct pool_entry, link);

		if (map_count(e->pools.entries) < EGRESS_CACHED)
			break;
		if (old->asking)
			continue;
		(void)map_remove(e->pools.entries, old->name);
		free_pool(old);
	}
	p = xcalloc(1, sizeof *p);
	p->e = e;
	p->name = xstrdup(name);
	list_init(&p->waiters);
	loop_deferred_init(&p->built_in, finish_built_in);
	p->turn = xcalloc(1, sizeof *p->turn);
	p->turn->refs = 1;
	list_add_tail(&e->pools.used, &p->link);
	(void)map_put(e->pools.entries, name, p);
	return p;
}

/* ---- resolving ---- */

static void finish_pool(struct pool_entry *p)
{
	struct list waiters;
	bool ok = p->err.class == ERR_NONE;

	p->asking = false;
	if (ok) {
		egress_choice_unref(p->choice);
		p->choice = p->making;
		if (p->epoch != p->e->epoch)
			p->choice->expires_at = 0;
	} else {
		egress_choice_unref(p->making);
	}
	p->making = NULL;
	if (list_empty(&p->waiters))
		return;
	/* A waiter may ask again for the same pool. */
	waiters = p->waiters;
	waiters.next->prev = waiters.prev->next = &waiters;
	list_init(&p->waiters);
	while (!list_empty(&waiters)) {
		struct pool_waiter *w =
		    LIST_ITEM(waiters.next, struct pool_waiter, link);

		list_remove(&w->link);
		if (ok)
			p->choice->refs++;
		w->done(ok ? p->choice : NULL, ok ? NULL : &p->err, w->ctx);
		free(w);
	}
}

static void use_source(struct pool_entry *p, size_t index,
    struct record_ref *source, int64_t expires_at)
{
	p->making->sources[index] = record_ref(source);
	if (expires_at < p->making->expires_at)
		p->making->expires_at = expires_at;
}

static void pool_got_source(struct pool_entry *p, size_t index,
    const struct source_entry *s, bool ok, const struct err *err)
{
	if (ok)
		use_source(p, index, s->record, s->expires_at);
	else if (p->err.class == ERR_NONE) {
		p->err = *err;
		(void)err_prefix(&p->err, "pool \"%s\"", p->name);
	}
	if (--p->open == 0)
		finish_pool(p);
}

static void got_source(struct record_ref *ref, const struct err *err, void *ctx)
{
	struct source_entry *s = ctx;
	struct err missing = {0};
	const struct egress_source *record;

	s->asking = false;
	if (ref) {
		record = ref->record;
		record_unref(s->record);
		s->record = ref;
		s->expires_at =
		    s->epoch == s->e->epoch
			? router_until(clock_now_ms(), record->ttl.ms)
			: 0;
	} else if (!err) {
		(void)err_set(&missing, ERR_CONFIG,
		    "get_egress_source(\"%s\"): nobody knows this source",
		    s->name);
		err = &missing;
	}
	while (!list_empty(&s->waiters)) {
		struct source_waiter *w =
		    LIST_ITEM(s->waiters.next, struct source_waiter, link);

		list_remove(&w->link);
		pool_got_source(w->pool, w->index, s, ref != NULL, err);
		free(w);
	}
}

static void want_source(struct pool_entry *p, const char *name, size_t index)
{
	struct egress *e = p->e;
	struct source_entry *s;
	struct source_waiter *w;

	p->open++;
	if (str_eq(name, UNSPECIFIED)) {
		p->making->sources[index] =
		    record_builtin(egress_source_unspecified());
		p->open--;
		return;
	}
	s = source_entry(e, name);
	if (s->record && s->expires_at > clock_now_ms()) {
		use_source(p, index, s->record, s->expires_at);
		p->open--;
		return;
	}
	w = xcalloc(1, sizeof *w);
	w->pool = p;
	w->index = index;
	list_add_tail(&s->waiters, &w->link);
	if (s->asking)
		return;
	s->asking = true;
	s->epoch = e->epoch;
	policy_ask(e->r, "get_egress_source", &egress_source_params, &name, 1,
	    0, got_source, s);
}

/* Takes the reference. */
static void make_choice(struct pool_entry *p, struct record_ref *ref)
{
	const struct egress_pool *pool = ref->record;
	struct egress_choice *c = xcalloc(1, sizeof *c);

	c->refs = 1;
	c->pool = ref;
	c->count = pool->entry_count;
	c->sources = xcalloc(c->count + 1, sizeof *c->sources);
	c->turn = p->turn;
	c->turn->refs++;
	c->expires_at = router_until(clock_now_ms(), pool->ttl.ms);
	p->making = c;
	p->open = 1;
	for (size_t i = 0; i < c->count; i++)
		want_source(p, pool->entries[i].name, i);
	if (--p->open == 0)
		finish_pool(p);
}

static void got_pool(struct record_ref *ref, const struct err *err, void *ctx)
{
	struct pool_entry *p = ctx;

	if (ref) {
		make_choice(p, ref);
		return;
	}
	if (err)
		p->err = *err;
	else
		(void)err_set(&p->err, ERR_CONFIG,
		    "get_egress_pool(\"%s\"): nobody knows this pool", p->name);
	finish_pool(p);
}

static void finish_built_in(struct loop_deferred *d)
{
	struct pool_entry *p = CONTAINER_OF(d, struct pool_entry, built_in);

	make_choice(p, record_builtin(egress_pool_unspecified()));
}

/* ---- public ---- */

struct egress *egress_new(struct router *r)
{
	struct egress *e = xcalloc(1, sizeof *e);

	e->r = r;
	e->pools.entries = map_new();
	e->sources.entries = map_new();
	list_init(&e->pools.used);
	list_init(&e->sources.used);
	return e;
}

void egress_free(struct egress *e)
{
	if (!e)
		return;
	/* The analyzer does not see that they leave the lists. */
	while (!list_empty(&e->pools.used))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		free_pool(
		    LIST_ITEM(e->pools.used.next, struct pool_entry, link));
	while (!list_empty(&e->sources.used))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		free_source(
		    LIST_ITEM(e->sources.used.next, struct source_entry, link));
	map_free(e->pools.entries, NULL);
	map_free(e->sources.entries, NULL);
	free(e);
}

/* A pool is as fresh as the stalest of its parts. */
static bool is_fresh(const struct pool_entry *p, int64_t now)
{
	return p->choice && p->choice->expires_at > now;
}

struct egress_choice *egress_cached(struct egress *e, const char *pool)
{
	struct pool_entry *p = pool_entry(e, pool ? pool : UNSPECIFIED);

	if (!is_fresh(p, clock_now_ms()))
		return NULL;
	p->choice->refs++;
	return p->choice;
}

void egress_resolve(
    struct egress *e, const char *pool, egress_done_fn *done, void *ctx)
{
	const char *name = pool ? pool : UNSPECIFIED;
	struct pool_entry *p = pool_entry(e, name);
	struct pool_waiter *w = xcalloc(1, sizeof *w);

	w->done = done;
	w->ctx = ctx;
	list_add_tail(&p->waiters, &w->link);
	if (p->asking)
		return;
	p->asking = true;
	p->epoch = e->epoch;
	p->err = (struct err){0};
	if (str_eq(name, UNSPECIFIED))
		loop_defer(e->r->loop, &p->built_in);
	else
		policy_ask(e->r, "get_egress_pool", &egress_pool_params, &name,
		    1, 0, got_pool, p);
}

void egress_flush(struct egress *e)
{
	struct list *pos, *tmp;

	e->epoch++;
	LIST_EACH (pos, tmp, &e->pools.used) {
		struct pool_entry *p = LIST_ITEM(pos, struct pool_entry, link);

		if (p->choice)
			p->choice->expires_at = 0;
	}
	LIST_EACH (pos, tmp, &e->sources.used)
		LIST_ITEM(pos, struct source_entry, link)->expires_at = 0;
}

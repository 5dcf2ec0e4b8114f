/*
 * script_memo.c - caches that outlive states, and generations of the policy
 *
 * An entry exists from the first miss on.  While `computing` nobody else does;
 * it is looked up again after every wait, because it may have been evicted.
 */
#include "lua/script_memo.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"

struct entry {
	struct list link; /* most recently used first */
	char *key;
	struct arena *arena; /* NULL: no value yet */
	const struct value *value;
	int64_t expires_at, epoch;
	bool computing;
	pthread_t by;
	int64_t since;
};

struct memo {
	char *name;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct memo_params params; /* name is the memo's own */
	struct map *entries;
	struct list recent;
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map *all;

static void free_entry(struct memo *memo, struct entry *entry)
{
	list_remove(&entry->link);
	(void)map_remove(memo->entries, entry->key);
	arena_unref(entry->arena);
	free(entry->key);
	free(entry);
}

/* Entries being computed stay: their makers come back to them. */
static void drop_values(struct memo *memo)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, &memo->recent) {
		struct entry *entry = LIST_ITEM(pos, struct entry, link);

		if (!entry->computing) {
			free_entry(memo, entry);
			continue;
		}
		arena_unref(entry->arena);
		entry->arena = NULL;
	}
}

static bool same_params(
    const struct memo_params *a, const struct memo_params *b)
{
	return a->ttl.ms == b->ttl.ms && a->capacity == b->capacity &&
	       a->invalidate_with_epoch == b->invalidate_with_epoch &&
	       a->retry_on_populate_timeout == b->retry_on_populate_timeout &&
	       a->allow_stale_reads == b->allow_stale_reads &&
	       a->populate_timeout.ms == b->populate_timeout.ms;
}

static struct memo *memo_new(const char *name)
{
	struct memo *memo = xcalloc(1, sizeof *memo);
	pthread_condattr_t attr;

	memo->name = xstrdup(name);
	pthread_mutex_init(&memo->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&memo->changed, &attr);
	pthread_condattr_destroy(&attr);
	memo->entries = map_new();
	list_init(&memo->recent);
	return memo;
}

struct memo *memo_declare(const struct memo_params *params)
{
	struct memo *memo;

	pthread_mutex_lock(&all_lock);
	if (!all)
		all = map_new();
	memo = map_get(all, params->name);
	if (!memo) {
		memo = memo_new(params->name);
		(void)map_put(all, params->name, memo);
	}
	pthread_mutex_unlock(&all_lock);

	pthread_mutex_lock(&memo->lock);
	if (!same_params(&memo->params, params)) {
		drop_values(memo);
		memo->params = *params;
		memo->params.name = memo->name;
	}
	pthread_mutex_unlock(&memo->lock);
	return memo;
}

const char *memo_name(const struct memo *memo)
{
	return memo->name;
}

static struct entry *find_or_add(struct memo *memo, const char *key)
{
	struct entry *entry = map_get(memo->entries, key);

	if (entry) {
		list_remove(&entry->link);
		list_add_head(&memo->recent, &entry->link);
		return entry;
	}
	entry = xcalloc(1, sizeof *entry);
	entry->key = xstrdup(key);
	(void)map_put(memo->entries, key, entry);
	list_add_head(&memo->recent, &entry->link);
	return entry;
}

static bool is_fresh(
    const struct memo *memo, const struct entry *entry, int64_t epoch)
{
	return entry->arena && clock_now_ms() < entry->expires_at &&
	       (!memo->params.invalidate_with_epoch || entry->epoch >= epoch);
}

static enum memo_answer hit(
    struct entry *entry, struct arena **arena, const struct value **value)
{
	*arena = arena_ref(entry->arena);
	*value = entry->value;
	return MEMO_HIT;
}

/* With the lock held; waits on memo->changed. */
static enum memo_answer get(struct memo *memo, const char *key, int64_t epoch,
    int64_t deadline, struct arena **arena, const struct value **value)
{
	for (;;) {
		struct entry *entry = find_or_add(memo, key);
		int64_t limit = entry->since + memo->params.populate_timeout.ms;
		struct timespec until;

		if (is_fresh(memo, entry, epoch))
			return hit(entry, arena, value);
		if (entry->computing &&
		    pthread_equal(entry->by, pthread_self()))
			return MEMO_SELF;
		if (entry->computing && entry->arena &&
		    memo->params.allow_stale_reads)
			return hit(entry, arena, value);
		if (!entry->computing ||
		    (clock_now_ms() >= limit &&
			memo->params.retry_on_populate_timeout)) {
			entry->computing = true;
			entry->by = pthread_self();
			entry->since = clock_now_ms();
			return MEMO_COMPUTE;
		}
		if (limit > deadline)
			limit = deadline;
		if (clock_now_ms() >= limit)
			return MEMO_LATE;
		until = clock_timespec(limit);
		(void)pthread_cond_timedwait(
		    &memo->changed, &memo->lock, &until);
	}
}

enum memo_answer memo_get(struct memo *memo, const char *key, int64_t epoch,
    int64_t deadline, struct arena **arena, const struct value **value)
{
	enum memo_answer answer;

	pthread_mutex_lock(&memo->lock);
	answer = get(memo, key, epoch, deadline, arena, value);
	pthread_mutex_unlock(&memo->lock);
	return answer;
}

/* The least recently used ones go; what is being computed stays. */
static void evict(struct memo *memo)
{
	struct list *pos = memo->recent.prev;
	size_t capacity = (size_t)memo->params.capacity;

	while (pos != &memo->recent && map_count(memo->entries) > capacity) {
		struct entry *entry = LIST_ITEM(pos, struct entry, link);

		pos = pos->prev;
		if (!entry->computing)
			free_entry(memo, entry);
	}
}

void memo_put(struct memo *memo, const char *key, int64_t epoch,
    struct arena *arena, const struct value *value)
{
	struct entry *entry;

	pthread_mutex_lock(&memo->lock);
	entry = find_or_add(memo, key);
	arena_unref(entry->arena);
	entry->arena = arena_ref(arena);
	entry->value = value;
	entry->epoch = epoch;
	entry->expires_at = clock_now_ms() + memo->params.ttl.ms;
	if (entry->computing && pthread_equal(entry->by, pthread_self()))
		entry->computing = false;
	evict(memo);
	pthread_cond_broadcast(&memo->changed);
	pthread_mutex_unlock(&memo->lock);
}

void memo_give_up(struct memo *memo, const char *key)
{
	struct entry *entry;

	pthread_mutex_lock(&memo->lock);
	entry = map_get(memo->entries, key);
	if (entry && entry->computing &&
	    pthread_equal(entry->by, pthread_self())) {
		entry->computing = false;
		if (!entry->arena)
			free_entry(memo, entry);
	}
	pthread_cond_broadcast(&memo->changed);
	pthread_mutex_unlock(&memo->lock);
}

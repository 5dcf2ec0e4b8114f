/*
 * script_memo.h - what kumo.memoize keeps, for all states of the process
 *
 * A cache per name; its values are immutable trees in arenas that are shared by
 * reference.  Of callers who miss the same key one computes and the others
 * wait.
 *
 * Ownership: a cache lives as long as the process once it has been declared.
 * Threads:   any.  Nothing here calls Lua, so no lua_error() passes a lock.
 *            (The third place with a lock, beside base/inbox.c and the pool:
 * the cache is shared by what is otherwise not shared.)
 */
#ifndef LUA_SCRIPT_MEMO_H
#define LUA_SCRIPT_MEMO_H

#include <stdint.h>

#include "base/arena.h"
#include "base/duration.h"
#include "base/value.h"

struct memo_params {
	uint64_t given[2];
	const char *name;
	struct duration ttl;
	int64_t capacity;
	bool invalidate_with_epoch, retry_on_populate_timeout;
	bool allow_stale_reads;
	struct duration populate_timeout;
};

struct memo;

/* The cache of that name; emptied when the parameters differ from before. */
struct memo *memo_declare(const struct memo_params *params);
const char *memo_name(const struct memo *memo);

enum memo_answer {
	MEMO_HIT,     /* *arena is referenced for the caller */
	MEMO_COMPUTE, /* the caller computes, then memo_put or memo_give_up */
	MEMO_LATE,    /* whoever computes did not finish in time */
	MEMO_SELF,    /* this thread computes it already */
};

/* `epoch`: values of an earlier one do not count when the cache says so. */
enum memo_answer memo_get(struct memo *memo, const char *key, int64_t epoch,
    int64_t deadline, struct arena **arena, const struct value **value);
/* Keeps a reference on `arena`, which holds `value`. */
void memo_put(struct memo *memo, const char *key, int64_t epoch,
    struct arena *arena, const struct value *value);
void memo_give_up(struct memo *memo, const char *key);

#endif

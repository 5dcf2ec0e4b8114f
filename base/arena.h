/*
 * arena.h - memory that is given back all at once
 *
 * One per unit of work: a connection, a transaction, one event, one
 * configuration record.  What an arena holds is const to everyone else and is
 * not freed one by one.  Reference counted (atomically), because configuration
 * records are shared; most arenas have one reference all their life.
 *
 * Threads: allocation is one thread at a time; ref/unref any.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/attr.h"

struct arena;

/* `hint`: size of the first block, 0 for the default (1 KiB). */
struct arena *arena_new(size_t hint) MUST_USE;
struct arena *arena_ref(struct arena *arena);
void arena_unref(struct arena *arena); /* NULL is fine */

/* Never NULL; zeroed; aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size) MUST_USE;
void *arena_memdup(struct arena *arena, const void *p, size_t len) MUST_USE;
/* NULL gives NULL. */
char *arena_strdup(struct arena *arena, const char *s);
char *arena_strndup(struct arena *arena, const char *s, size_t len) MUST_USE;
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3)
    MUST_USE;
size_t arena_used(const struct arena *arena);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n)                                            \
	((type *)arena_alloc((arena), sizeof(type) * (size_t)(n)))

#endif

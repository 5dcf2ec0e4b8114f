/*
 * arena.c - memory that is given back all at once
 *
 * A chain of blocks, each twice as large as the one before, up to BLOCK_MOST.
 * The arena itself stands at the start of the first, so that a small one costs
 * one malloc.  What does not fit well into a block gets one of its own behind
 * the current one, which stays current.
 *
 * Under a sanitizer every allocation has a block of its own, so that an
 * overrun is seen as one.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/xalloc.h"

#define ALIGN 16
#define ALIGN_UP(n) (((n) + ALIGN - 1) & ~(size_t)(ALIGN - 1))
#define BLOCK_FIRST 1024
#define BLOCK_MOST ((size_t)64 * 1024)

struct block {
	struct block *next;
	size_t pad; /* keeps bytes[] aligned */
	unsigned char bytes[];
};

struct arena {
	atomic_int refs;
	unsigned char *free, *end; /* of the current block */
	size_t block_size, used;
	struct block *blocks; /* current first; without the first one */
};

struct arena *arena_new(size_t hint)
{
	const size_t head = ALIGN_UP(sizeof(struct arena));
	struct arena *arena;
	size_t size = ALIGN_UP(hint ? hint : BLOCK_FIRST);

#ifdef ENABLE_SANITIZER
	size = 0;
#endif
	arena = xmalloc(head + size);
	atomic_init(&arena->refs, 1);
	arena->free = (unsigned char *)arena + head;
	arena->end = arena->free + size;
	arena->block_size = size ? size : BLOCK_FIRST;
	arena->used = 0;
	arena->blocks = NULL;
	return arena;
}

struct arena *arena_ref(struct arena *arena)
{
	atomic_fetch_add_explicit(&arena->refs, 1, memory_order_relaxed);
	return arena;
}

void arena_unref(struct arena *arena)
{
	struct block *block, *next;

	if (!arena)
		return;
	if (atomic_fetch_sub_explicit(&arena->refs, 1, memory_order_acq_rel) >
	    1)
		return;
	for (block = arena->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	free(arena);
}

static void *take_block(struct arena *arena, size_t size)
{
	struct block *block;
	bool own = size > arena->block_size / 2;

#ifdef ENABLE_SANITIZER
	own = true;
#endif
	if (own) {
		block = xmalloc(sizeof *block + size);
		if (arena->blocks) {
			block->next = arena->blocks->next;
			arena->blocks->next = block;
		} else {
			block->next = NULL;
			arena->blocks = block;
		}
		return block->bytes;
	}
	if (arena->block_size < BLOCK_MOST)
		arena->block_size *= 2;
	block = xmalloc(sizeof *block + arena->block_size);
	block->next = arena->blocks;
	arena->blocks = block;
	arena->free = block->bytes + ALIGN_UP(size);
	arena->end = block->bytes + arena->block_size;
	return block->bytes;
}

static void *take(struct arena *arena, size_t size)
{
	void *p;

	invariant(size < SIZE_MAX / 2);
	arena->used += size;
	if (ALIGN_UP(size) > (size_t)(arena->end - arena->free))
		return take_block(arena, size);
	p = arena->free;
	arena->free += ALIGN_UP(size);
	return p;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(take(arena, size), 0, size);
}

void *arena_memdup(struct arena *arena, const void *p, size_t len)
{
	void *copy = take(arena, len);

	if (len)
		memcpy(copy, p, len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *s)
{
	return s ? arena_memdup(arena, s, strlen(s) + 1) : NULL;
}

char *arena_strndup(struct arena *arena, const char *s, size_t len)
{
	char *copy = take(arena, len + 1);

	if (len)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	char small[256], *s;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	invariant(len >= 0);
	if ((size_t)len < sizeof small)
		return arena_memdup(arena, small, (size_t)len + 1);

	s = take(arena, (size_t)len + 1);
	va_start(ap, fmt);
	(void)vsnprintf(s, (size_t)len + 1, fmt, ap);
	va_end(ap);
	return s;
}

size_t arena_used(const struct arena *arena)
{
	return arena->used;
}

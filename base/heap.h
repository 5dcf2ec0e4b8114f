/*
 * heap.h - what comes next, when many things are waiting
 *
 * A binary min-heap of items that embed a heap_node, ordered by `at`.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdint.h>

#include "base/attr.h"

struct heap_node {
	int64_t at;
	size_t index; /* 0: not in a heap; else position + 1 */
};

struct heap {
	struct heap_node **nodes;
	size_t count, size;
};

void heap_release(struct heap *heap);
/* Inserts, or moves when it is in already. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t at);
/* Absent is fine. */
void heap_remove(struct heap *heap, struct heap_node *node);
/* NULL: empty */
struct heap_node *heap_first(const struct heap *heap);

#endif

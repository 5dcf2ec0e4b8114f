/*
 * heap.c - what comes next, when many things are waiting
 *
 * Nodes know their place (from 1; 0 is "nowhere"), so moving and removing need
 * no search.
 */
#include "base/heap.h"

#include "base/array.h"

static void place(struct heap *heap, size_t at, struct heap_node *node)
{
	heap->nodes[at] = node;
	node->index = at + 1;
}

static void rise(struct heap *heap, size_t at, struct heap_node *node)
{
	while (at > 0) {
		size_t parent = (at - 1) / 2;

		if (heap->nodes[parent]->at <= node->at)
			break;
		place(heap, at, heap->nodes[parent]);
		at = parent;
	}
	place(heap, at, node);
}

static void sink(struct heap *heap, size_t at, struct heap_node *node)
{
	for (;;) {
		size_t child = at * 2 + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count &&
		    heap->nodes[child + 1]->at < heap->nodes[child]->at)
			child++;
		if (node->at <= heap->nodes[child]->at)
			break;
		place(heap, at, heap->nodes[child]);
		at = child;
	}
	place(heap, at, node);
}

/* Puts node where it belongs, starting from a place that is free. */
static void settle(struct heap *heap, size_t at, struct heap_node *node)
{
	if (at > 0 && heap->nodes[(at - 1) / 2]->at > node->at)
		rise(heap, at, node);
	else
		sink(heap, at, node);
}

void heap_release(struct heap *heap)
{
	for (size_t i = 0; i < heap->count; i++)
		heap->nodes[i]->index = 0;
	free(heap->nodes);
	*heap = (struct heap){NULL, 0, 0};
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t at)
{
	size_t place_at;

	if (node->index) {
		place_at = node->index - 1;
	} else {
		heap->nodes = array_grow(heap->nodes, &heap->size,
		    heap->count + 1, sizeof *heap->nodes);
		place_at = heap->count++;
	}
	node->at = at;
	settle(heap, place_at, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	size_t at;
	struct heap_node *last;

	if (!node->index)
		return;
	at = node->index - 1;
	node->index = 0;
	last = heap->nodes[--heap->count];
	if (last != node)
		settle(heap, at, last);
}

struct heap_node *heap_first(const struct heap *heap)
{
	return heap->count ? heap->nodes[0] : NULL;
}

/*
 * array.c - a vector of anything
 */
#include "base/array.h"

#include <stdint.h>

#include "base/diag.h"
#include "base/xalloc.h"

void *array_grow(void *items, size_t *size, size_t count, size_t item_size)
{
	size_t want;

	if (count <= *size)
		return items;
	want = *size + *size / 2;
	if (want < count)
		want = count;
	if (want < 4)
		want = 4;
	invariant(want < SIZE_MAX / 2 / item_size);
	items = xrealloc(items, want * item_size);
	*size = want;
	return items;
}

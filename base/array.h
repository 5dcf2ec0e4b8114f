/*
 * array.h - a vector of anything
 *
 *	struct foos { struct foo *items; size_t count, size; } foos = {0};
 *	*ARRAY_ADD(&foos) = foo;
 *
 * Any struct with the fields items, count and size will do.  Freed with
 * ARRAY_FREE.
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include "base/attr.h"

void *array_grow(void *items, size_t *size, size_t count, size_t item_size);

/* A pointer to a new last item, not initialised. */
#define ARRAY_ADD(a)                                                           \
	((a)->items = array_grow(                                              \
	     (a)->items, &(a)->size, (a)->count + 1, sizeof *(a)->items),      \
	    &(a)->items[(a)->count++])
#define ARRAY_FREE(a)                                                          \
	(free((a)->items), (a)->items = NULL, (a)->count = (a)->size = 0)

#endif

/*
 * map.h - text to pointer, hashed
 *
 * Keys are copied; values are the caller's.  Iteration is in order of
 * insertion, so that what users see does not depend on a hash.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/attr.h"

struct map;

struct map *map_new(void) MUST_USE;
/* `release` is called for each value that is not NULL; may be NULL. */
void map_free(struct map *map, void (*release)(void *));
void *map_get(const struct map *map, const char *key); /* NULL: absent */
/* Returns the value that was there before, or NULL. */
void *map_put(struct map *map, const char *key, void *value);
void *map_remove(struct map *map, const char *key);
size_t map_count(const struct map *map);
/* *pos starts at 0; false at the end.  No put or remove meanwhile, except the
 * removal of the entry just returned. */
bool map_each(
    const struct map *map, size_t *pos, const char **key, void **value);

#endif

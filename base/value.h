/*
 * value.h - nil, bool, number, string, list and map trees
 *
 * What a Lua table, a JSON text or a TOML file becomes before C looks at it.
 * Trees live in an arena and are const once built.
 *
 * An empty table is VALUE_MAP with count 0; readers of lists accept it.  `kind`
 * names the constructor when the value is a config object ("make_egress_pool"),
 * so that one sort cannot be taken for another; NULL for plain tables.
 */
#ifndef BASE_VALUE_H
#define BASE_VALUE_H

#include <stdint.h>

#include "base/arena.h"

enum value_type {
	VALUE_NIL,
	VALUE_BOOL,
	VALUE_INT,
	VALUE_NUMBER,
	VALUE_STRING,
	VALUE_LIST,
	VALUE_MAP,
};

struct value {
	enum value_type type;
	bool b;
	int64_t i;
	double n;
	const char *s; /* VALUE_STRING: NUL-terminated, len bytes */
	size_t len;
	/* VALUE_LIST, VALUE_MAP */
	size_t count;
	struct value *items;         /* VALUE_LIST */
	struct value_entry *entries; /* VALUE_MAP, in order of appearance */
	const char *kind;
};

struct value_entry {
	const char *key;
	struct value value;
};

const char *value_type_name(enum value_type type); /* "string", "list", ... */
const struct value *value_get(const struct value *map, const char *key);
struct value value_string(struct arena *arena, const char *s, size_t len);
/* A deep copy into another arena. */
struct value value_copy(struct arena *arena, const struct value *v);
/* An integer, or a number without a fraction that fits into one.  The only way
 * from a number to an integer: what does not fit has no meaning in C. */
bool value_to_int(const struct value *v, int64_t *out);
bool value_eq(const struct value *a, const struct value *b);

/* Also over an empty map, which has no entries to point at. */
#define VALUE_EACH(entry, map)                                                 \
	for (const struct value_entry *entry = (map)->entries;                 \
	     entry && entry < (map)->entries + (map)->count; entry++)

#endif

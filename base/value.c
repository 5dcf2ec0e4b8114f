/*
 * value.c - nil, bool, number, string, list and map trees
 */
#include "base/value.h"

#include "base/diag.h"

static const char *const type_names[] = {
    [VALUE_NIL] = "nil",
    [VALUE_BOOL] = "boolean",
    [VALUE_INT] = "integer",
    [VALUE_NUMBER] = "number",
    [VALUE_STRING] = "string",
    [VALUE_LIST] = "list",
    [VALUE_MAP] = "map",
};

const char *value_type_name(enum value_type type)
{
	invariant((size_t)type < COUNT(type_names));
	return type_names[type];
}

const struct value *value_get(const struct value *map, const char *key)
{
	if (!map || map->type != VALUE_MAP)
		return NULL;
	VALUE_EACH (entry, map)
		if (strcmp(entry->key, key) == 0)
			return &entry->value;
	return NULL;
}

struct value value_string(struct arena *arena, const char *s, size_t len)
{
	return (struct value){.type = VALUE_STRING,
	    .s = arena_strndup(arena, s, len),
	    .len = len};
}

struct value value_copy(struct arena *arena, const struct value *v)
{
	struct value copy = *v;

	if (v->kind)
		copy.kind = arena_strdup(arena, v->kind);
	if (v->type == VALUE_STRING) {
		copy.s = arena_strndup(arena, v->s, v->len);
	} else if (v->type == VALUE_LIST) {
		copy.items = ARENA_ARRAY(arena, struct value, v->count);
		for (size_t i = 0; i < v->count; i++)
			copy.items[i] = value_copy(arena, &v->items[i]);
	} else if (v->type == VALUE_MAP) {
		copy.entries = ARENA_ARRAY(arena, struct value_entry, v->count);
		for (size_t i = 0; i < v->count; i++) {
			copy.entries[i].key =
			    arena_strdup(arena, v->entries[i].key);
			copy.entries[i].value =
			    value_copy(arena, &v->entries[i].value);
		}
	}
	return copy;
}

bool value_to_int(const struct value *v, int64_t *out)
{
	/* -2^63 fits, 2^63 does not; NaN is never equal to itself. */
	if (v->type == VALUE_NUMBER && v->n >= -9223372036854775808.0 &&
	    v->n < 9223372036854775808.0 && (double)(int64_t)v->n == v->n)
		*out = (int64_t)v->n;
	else if (v->type == VALUE_INT)
		*out = v->i;
	else
		return false;
	return true;
}

static bool is_container(const struct value *v)
{
	return v->type == VALUE_LIST || v->type == VALUE_MAP;
}

static bool numbers_eq(const struct value *a, const struct value *b)
{
	if (a->type == VALUE_INT && b->type == VALUE_NUMBER)
		return (double)a->i == b->n;
	if (a->type == VALUE_NUMBER && b->type == VALUE_INT)
		return a->n == (double)b->i;
	return false;
}

bool value_eq(const struct value *a, const struct value *b)
{
	/* An empty table is both an empty list and an empty map. */
	if (is_container(a) && is_container(b) && !a->count && !b->count)
		return true;
	if (a->type != b->type)
		return numbers_eq(a, b);
	switch (a->type) {
	case VALUE_NIL:
		return true;
	case VALUE_BOOL:
		return a->b == b->b;
	case VALUE_INT:
		return a->i == b->i;
	case VALUE_NUMBER:
		return a->n == b->n;
	case VALUE_STRING:
		return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
	case VALUE_LIST:
		if (a->count != b->count)
			return false;
		for (size_t i = 0; i < a->count; i++)
			if (!value_eq(&a->items[i], &b->items[i]))
				return false;
		return true;
	case VALUE_MAP:
		if (a->count != b->count)
			return false;
		VALUE_EACH (entry, a) {
			const struct value *other = value_get(b, entry->key);

			if (!other || !value_eq(&entry->value, other))
				return false;
		}
		return true;
	}
	return false;
}

/*
 * param.c - a table of keys into a record, by the rows of its set
 *
 * Defaults first, through the same readers as what the policy says, then the
 * keys given, then what is required, then the set's own check.  The first thing
 * that is wrong ends it.
 */
#include "policy/param.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/str.h"
#include "policy/param_rows.h"
#include "policy/param_type.h"

/* How far a key may be from another to be taken for a slip. */
#define SLIPS(key) ((unsigned)(strlen(key) + 3) / 4)

static const struct param_spec *find_row(
    const struct param_set *set, const char *key)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];

		if (set->overrides && spec->flags & PARAM_STATIC)
			continue;
		if (str_eq(spec->key, key))
			return spec;
	}
	return NULL;
}

/* How badly `key` is spelled if `meant` was meant: its whole, or its first
 * words ("sorce" for source_address). */
static unsigned misspelled(const char *key, const char *meant)
{
	unsigned most = SLIPS(key);
	unsigned best = 2 * str_distance(key, meant, most);
	char words[64];

	if (!str_copy(words, sizeof words, meant))
		return best;
	for (size_t i = strlen(words); i-- > 1;) {
		unsigned distance;

		if (words[i] != '_')
			continue;
		words[i] = '\0';
		distance = 2 * str_distance(key, words, most) + 1;
		if (distance < best)
			best = distance;
	}
	return best;
}

static bool unknown_key(
    const struct param_set *set, const char *key, struct err *err)
{
	unsigned least = 2 * SLIPS(key) + 2;
	const char *meant = NULL;
	char shown[64];

	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];
		unsigned distance;

		if (set->overrides && spec->flags & PARAM_STATIC)
			continue;
		distance = misspelled(key, spec->key);
		if (distance < least) {
			least = distance;
			meant = spec->key;
		}
	}
	(void)diag_quote(shown, sizeof shown, key, strlen(key));
	if (!meant)
		return err_set(err, ERR_CONFIG, "unknown key \"%s\"", shown);
	return err_set(err, ERR_CONFIG,
	    "unknown key \"%s\" (did you mean \"%s\"?)", shown, meant);
}

/* Of a tuning key that does nothing the operator hears once, not per event. */
static void say_ignored(
    const struct param_set *set, const struct param_spec *spec)
{
	static const void *_Atomic said[128];

	for (size_t i = 0; i < COUNT(said); i++) {
		const void *empty = NULL;

		if (atomic_compare_exchange_strong(&said[i], &empty, spec)) {
			diag_warn(
			    "%s: %s has no effect here", set->name, spec->key);
			return;
		}
		if (empty == spec)
			return;
	}
}

/* Would nothing be different without it?  false and {} ask for nothing. */
static bool is_neutral(const struct param_spec *spec, const struct value *v,
    const struct value *now, struct arena *arena)
{
	_Alignas(max_align_t) char field[PARAM_FIELD_SIZE] = {0};
	struct param_spec alone = *spec;
	struct value fallback;

	if ((v->type == VALUE_BOOL && !v->b) || param_is_empty_table(v))
		return true;
	if (!spec->fallback || spec->type >= PARAM_RECORD)
		return false;
	alone.offset = 0;
	alone.has = 0;
	if (!param_type_read_fallback(&alone, field, arena, NULL))
		return false;
	fallback = param_type_print(&alone, field, arena);
	return value_eq(&fallback, now);
}

/* Reads one key.  What is refused or ignored is read as well: a value that no
 * reader understands is an error today, not on the day it is honoured. */
static bool apply(const struct param_set *set, const struct param_spec *spec,
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	_Alignas(max_align_t) char field[PARAM_FIELD_SIZE] = {0};
	struct param_spec alone = *spec;
	void *into = record;
	struct value now;

	if (spec->offset == PARAM_NOWHERE) {
		alone.offset = 0;
		into = field;
	}
	if (!param_type_read(&alone, v, into, arena, err))
		return err_prefix(err, "%s", spec->key);
	if (!(spec->flags & (PARAM_IGNORED | PARAM_UNSUPPORTED)))
		return true;
	now = param_type_print(&alone, into, arena);
	if (is_neutral(spec, v, &now, arena))
		return true;
	if (spec->flags & PARAM_UNSUPPORTED)
		return err_set(
		    err, ERR_CONFIG, "%s: not supported yet", spec->key);
	say_ignored(set, spec);
	return true;
}

static void note_given(void *record, size_t row)
{
	uint64_t *given = record;

	given[row / 64] |= (uint64_t)1 << (row % 64);
}

static bool was_given(const void *record, size_t row)
{
	const uint64_t *given = record;

	return given[row / 64] >> (row % 64) & 1;
}

bool param_fill_over(const struct param_set *set, const struct value *table,
    struct arena *arena, void *record, struct err *err)
{
	if (table->type != VALUE_MAP && !param_is_empty_table(table))
		return param_type_error(err, table, "a table of parameters");
	for (size_t i = 0; table->type == VALUE_MAP && i < table->count; i++) {
		const struct value_entry *e = &table->entries[i];
		const struct param_spec *spec = find_row(set, e->key);

		if (!spec && set->extra_keys_ignored)
			continue;
		if (!spec)
			return unknown_key(set, e->key, err);
		if (e->value.type == VALUE_NIL)
			continue;
		if (!apply(set, spec, &e->value, record, arena, err))
			return false;
		note_given(record, (size_t)(spec - set->specs));
	}
	for (size_t i = 0; i < set->count; i++)
		if (set->specs[i].flags & PARAM_REQUIRED &&
		    !was_given(record, i))
			return err_set(err, ERR_CONFIG,
			    "%s: required key is missing", set->specs[i].key);
	return !set->check || set->check(record, err);
}

bool param_fill(const struct param_set *set, const struct value *table,
    struct arena *arena, void *record, struct err *err)
{
	memset(record, 0, set->record_size);
	if (set->prepare)
		set->prepare(record);
	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];

		if (spec->offset != PARAM_NOWHERE &&
		    !param_type_read_fallback(spec, record, arena, err))
			return err_prefix(err, "default of %s", spec->key);
	}
	return param_fill_over(set, table, arena, record, err);
}

/* A pool is no source, even where their keys agree. */
static bool same_kind(
    const struct param_set *set, const struct value *table, struct err *err)
{
	if (!table->kind || str_eq(table->kind, set->name))
		return true;
	return err_set(
	    err, ERR_CONFIG, "invalid type: what %s returns", table->kind);
}

bool param_parse(const struct param_set *set, const struct value *table,
    struct arena *arena, void *record, struct err *err)
{
	return (same_kind(set, table, err) &&
		   param_fill(set, table, arena, record, err)) ||
	       err_prefix(err, "%s", set->name);
}

bool param_parse_over(const struct param_set *set, const void *base,
    const struct value *table, struct arena *arena, void *record,
    struct err *err)
{
	if (base != record)
		memcpy(record, base, set->record_size);
	return (same_kind(set, table, err) &&
		   param_fill_over(set, table, arena, record, err)) ||
	       err_prefix(err, "%s", set->name);
}

bool param_given(
    const struct param_set *set, const void *record, const char *key)
{
	const struct param_spec *spec = find_row(set, key);

	return spec && was_given(record, (size_t)(spec - set->specs));
}

static struct value read_row(const struct param_spec *spec, const void *record,
    bool given, struct arena *arena)
{
	bool number = spec->type == PARAM_INT || spec->type == PARAM_LIMIT ||
		      spec->type == PARAM_DURATION;
	struct value v;

	if (spec->flags & PARAM_SECRET || spec->offset == PARAM_NOWHERE)
		return (struct value){.type = VALUE_NIL};
	/* A zero that nobody wrote stands for "none". */
	if (number && !given && !spec->fallback)
		return (struct value){.type = VALUE_NIL};
	v = param_type_print(spec, record, arena);
	/* Nor is a table of none anything that one could give back. */
	if (spec->type == PARAM_RECORD && !given && v.count == 0)
		return (struct value){.type = VALUE_NIL};
	return v;
}

struct value param_read(const struct param_set *set, const void *record,
    const char *key, struct arena *arena)
{
	const struct param_spec *spec = find_row(set, key);

	if (!spec)
		return (struct value){.type = VALUE_NIL};
	return read_row(spec, record,
	    was_given(record, (size_t)(spec - set->specs)), arena);
}

struct value param_read_all(
    const struct param_set *set, const void *record, struct arena *arena)
{
	struct value map = {.type = VALUE_MAP, .kind = set->name};

	map.entries = ARENA_ARRAY(arena, struct value_entry, set->count);
	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];
		struct value v =
		    read_row(spec, record, was_given(record, i), arena);

		if (v.type != VALUE_NIL)
			map.entries[map.count++] =
			    (struct value_entry){spec->key, v};
	}
	return map;
}

/* A default that is no literal is another thing than a zero that was given. */
static bool same_row(const struct param_set *set, size_t row, const void *a,
    const void *b, struct arena *arena)
{
	const struct param_spec *spec = &set->specs[row];
	struct value x, y;

	if (spec->offset == PARAM_NOWHERE ||
	    spec->flags & (PARAM_AT_ONCE | PARAM_IGNORED))
		return true;
	if (!spec->fallback && was_given(a, row) != was_given(b, row))
		return false;
	x = param_type_print(spec, a, arena);
	y = param_type_print(spec, b, arena);
	return value_eq(&x, &y);
}

bool param_same(const struct param_set *set, const void *a, const void *b)
{
	struct arena *scratch = arena_new(0);
	size_t row = 0;

	while (row < set->count && same_row(set, row, a, b, scratch))
		row++;
	arena_unref(scratch);
	return row == set->count;
}

const void *param_constant(const struct param_set *set,
    const struct value *table, const void *_Atomic *slot)
{
	/* Leak checkers look for the arena in what the slot points into. */
	struct kept {
		struct arena *arena;
		_Alignas(max_align_t) char record[];
	} * kept;
	const void *there = atomic_load(slot);
	struct value none = {.type = VALUE_MAP};
	struct arena *arena;
	struct err err = {0};

	if (there)
		return there;
	arena = arena_new(0);
	kept = arena_alloc(arena, sizeof *kept + set->record_size);
	kept->arena = arena;
	if (!param_parse(set, table ? table : &none, arena, kept->record, &err))
		diag_panic("built-in parameters: %s", err.text);
	/* Two threads may get here; the second one's is not needed. */
	if (atomic_compare_exchange_strong(slot, &there, kept->record))
		return kept->record;
	arena_unref(arena);
	return there;
}

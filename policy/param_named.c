/*
 * param_named.c - tables of rates and limits by name, as values
 */
#include <stdlib.h>

#include "policy/named_limits.h"
#include "policy/param_rows.h"
#include "policy/param_type.h"

/* Is it a table of names, and is this key one? */
static bool check_table(const struct value *v, struct err *err)
{
	if (v->type != VALUE_MAP && !param_is_empty_table(v))
		return param_type_error(err, v, "a table with names as keys");
	if (v->type != VALUE_MAP)
		return true;
	VALUE_EACH (e, v)
		if (!*e->key || strlen(e->key) > NAMED_LIMIT_NAME)
			return err_set(err, ERR_CONFIG,
			    "invalid value: a name has 1 to %d bytes",
			    NAMED_LIMIT_NAME);
	return true;
}

static bool wrong_at(struct err *err, const char *name)
{
	return err_prefix(err, "%.80s", name);
}

static double per_ms(const struct rate *rate)
{
	return (double)rate->limit / (double)rate->period_ms;
}

static int compare_rates(const void *a, const void *b)
{
	const struct named_rate *x = a, *y = b;
	double p = per_ms(x->rate), q = per_ms(y->rate);

	if (p < q || p > q)
		return p < q ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int compare_limits(const void *a, const void *b)
{
	const struct named_limit *x = a, *y = b;

	if (x->limit != y->limit)
		return x->limit < y->limit ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool read_rates(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	struct named_rate *items;
	size_t n = 0;

	if (!check_table(v, err))
		return false;
	items = ARENA_ARRAY(arena, struct named_rate, v->count + 1);
	if (v->type == VALUE_MAP)
		VALUE_EACH (e, v) {
			if (!param_type_rate.read(
				spec, &e->value, &items[n].rate, arena, err))
				return wrong_at(err, e->key);
			items[n++].name = arena_strdup(arena, e->key);
		}
	qsort(items, n, sizeof *items, compare_rates);
	*(struct named_rates *)field = (struct named_rates){items, n};
	return true;
}

static struct value print_rates(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	const struct named_rates *rates = field;
	struct value table = {.type = VALUE_MAP, .count = rates->count};

	table.entries =
	    ARENA_ARRAY(arena, struct value_entry, rates->count + 1);
	for (size_t i = 0; i < rates->count; i++)
		table.entries[i] = (struct value_entry){
		    arena_strdup(arena, rates->items[i].name),
		    param_type_rate.print(spec, &rates->items[i].rate, arena)};
	return table;
}

static bool read_limits(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	/* Its bounds are those of a single limit. */
	static const struct param_spec one = {.type = PARAM_LIMIT};
	struct named_limit *items;
	size_t n = 0;

	if (!check_table(v, err))
		return false;
	items = ARENA_ARRAY(arena, struct named_limit, v->count + 1);
	if (v->type == VALUE_MAP)
		VALUE_EACH (e, v) {
			if (!param_type_limit.read(
				&one, &e->value, &items[n].limit, arena, err))
				return wrong_at(err, e->key);
			items[n++].name = arena_strdup(arena, e->key);
		}
	qsort(items, n, sizeof *items, compare_limits);
	*(struct named_limits *)field = (struct named_limits){items, n};
	return true;
}

static struct value print_limits(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	const struct named_limits *limits = field;
	struct value table = {.type = VALUE_MAP, .count = limits->count};

	table.entries =
	    ARENA_ARRAY(arena, struct value_entry, limits->count + 1);
	for (size_t i = 0; i < limits->count; i++)
		table.entries[i] = (struct value_entry){
		    arena_strdup(arena, limits->items[i].name),
		    {.type = VALUE_INT, .i = limits->items[i].limit}};
	return table;
}

const struct param_type_row param_type_rate_map = {
    "{ NAME = RATE, ... }", read_rates, print_rates};
const struct param_type_row param_type_limit_map = {
    "{ NAME = N, ... }", read_limits, print_limits};

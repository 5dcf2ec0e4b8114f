/*
 * egress_pool.c - the table of a pool, and whose turn it is
 */
#include "policy/egress_pool.h"

#include "policy/param_rows.h"

#define S egress_pool_entry
static const struct param_spec entry_specs[] = {
    P_STRING(S, name, .flags = PARAM_REQUIRED, .help = "The name of a source."),
    P_INT(S, weight, 0, 1000000000, .fallback = "1",
	.help = "The source's share of the messages. 0: never used."),
};
#undef S

static const struct param_set entry_params = {
    .name = "entries",
    .intro = "A source and its weight.",
    .record_size = sizeof(struct egress_pool_entry),
    .specs = entry_specs,
    .count = COUNT(entry_specs),
};

static bool read_entries(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct egress_pool *pool = record;
	struct egress_pool_entry *entries;

	if (v->type != VALUE_LIST && !param_is_empty_table(v))
		return param_type_error(
		    err, v, "a list of { name =, weight = }");
	entries = ARENA_ARRAY(arena, struct egress_pool_entry, v->count);
	for (size_t i = 0; i < v->count; i++)
		if (!param_fill(
			&entry_params, &v->items[i], arena, &entries[i], err))
			return err_prefix(err, "[%zu]", i + 1);
	pool->entries = entries;
	pool->entry_count = v->count;
	return true;
}

static struct value print_entries(const void *record, struct arena *arena)
{
	const struct egress_pool *pool = record;
	struct value list = {.type = VALUE_LIST, .count = pool->entry_count};

	list.items = ARENA_ARRAY(arena, struct value, list.count);
	for (size_t i = 0; i < list.count; i++) {
		list.items[i] =
		    param_read_all(&entry_params, &pool->entries[i], arena);
		list.items[i].kind = NULL;
	}
	return list;
}

#define S egress_pool
static const struct param_spec specs[] = {
    P_STRING(S, name, .flags = PARAM_REQUIRED,
	.help = "The name of the pool, as it appears in log records."),
    P_CUSTOM(S, entries, read_entries, print_entries, .set = &entry_params,
	.fallback = "{}",
	.help = "The sources to choose among. A name may stand there twice."),
    P_DURATION(S, ttl, .fallback = "60s",
	.help = "How long the definition may be reused before asking again."),
};
#undef S

const struct param_set egress_pool_params = {
    .name = "make_egress_pool",
    .intro = "Sources to choose among by weight.",
    .record_size = sizeof(struct egress_pool),
    .specs = specs,
    .count = COUNT(specs),
};

const struct egress_pool *egress_pool_unspecified(void)
{
	static const void *_Atomic slot;
	const struct value name = {.type = VALUE_STRING,
	    .s = "unspecified",
	    .len = strlen("unspecified")};
	struct value_entry source = {"name", name};
	struct value entry = {
	    .type = VALUE_MAP, .count = 1, .entries = &source};
	struct value_entry pool[] = {{"name", name},
	    {"entries", {.type = VALUE_LIST, .count = 1, .items = &entry}}};
	struct value table = {
	    .type = VALUE_MAP, .count = COUNT(pool), .entries = pool};

	return param_constant(&egress_pool_params, &table, &slot);
}

static int64_t gcd(int64_t a, int64_t b)
{
	while (b) {
		int64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* The entries that take part, as the algorithm sees them. */
struct candidates {
	size_t count, first;
	int64_t gcd, max;
};

static bool takes_part(
    const struct egress_pool *pool, const bool *usable, size_t i)
{
	return pool->entries[i].weight > 0 && (!usable || usable[i]);
}

static struct candidates candidates(
    const struct egress_pool *pool, const bool *usable)
{
	struct candidates c = {0};

	for (size_t i = 0; i < pool->entry_count; i++) {
		int64_t weight = pool->entries[i].weight;

		if (!takes_part(pool, usable, i))
			continue;
		if (c.count++ == 0)
			c.first = i;
		c.gcd = gcd(c.gcd, weight);
		if (weight > c.max)
			c.max = weight;
	}
	return c;
}

/*
 * Rounds have a level that sinks from the greatest weight to 0 in steps of the
 * gcd; in a round each entry whose weight reaches the level has one turn.  So a
 * cycle of max/gcd rounds gives each its exact share, evenly spread.
 *
 * A fresh state enters at the level of the first entry, which is somewhere on
 * the cycle and makes it the first pick.
 */
int egress_pool_pick(const struct egress_pool *pool,
    struct egress_pool_turn *turn, const bool *usable)
{
	struct candidates c = candidates(pool, usable);

	if (c.count == 0)
		return -1;
	/* Nothing to share: the state stays for when there is. */
	if (c.count == 1)
		return (int)c.first;
	if (turn->level <= 0) {
		turn->level = pool->entries[c.first].weight;
		turn->next = c.first;
	}
	for (;;) {
		size_t i;

		if (turn->next >= pool->entry_count) {
			turn->next = 0;
			turn->level -= c.gcd;
			if (turn->level <= 0)
				turn->level = c.max;
		}
		/* Who had the greatest weight may be missing today. */
		if (turn->level > c.max)
			turn->level = c.max;
		i = turn->next++;
		if (takes_part(pool, usable, i) &&
		    pool->entries[i].weight >= turn->level)
			return (int)i;
	}
}

/*
 * malformed_test.c - ten thousand tables with one mistake each: refused, with
 * the key and the value in the message
 *
 * The tables are made from the rows themselves, so a new row is in it.  Each is
 * JSON around one key: what is required beside it is right, and either the
 * value cannot be read or the key is misspelled.
 */
#include "base/json.h"
#include "base/str.h"
#include "policy/listener.h"
#include "policy/param.h"
#include "policy_test.h"
#include "test_values.h"

#define TABLES 10000
#define ROWS_MOST 512
#define TABLES_AN_ARENA 250

/* A row, and the text around its table. */
static struct row {
	const struct param_set *root, *set;
	const struct param_spec *spec;
	const char *before, *after;
} rows[ROWS_MOST];
static size_t row_count;
static struct arena *frames;

/* The same tables each time. */
static uint32_t seed = 20240501;

static unsigned chance(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* ---- what is right ---- */

/* "10%" or a number (free_floor.h). */
static bool is_floor(const struct param_spec *spec)
{
	return str_starts(spec->key, "min_free_");
}

static const char *good(const struct param_spec *spec)
{
	static const char *const values[] = {
	    [PARAM_STRING] = "\"10.0.0.1\"",
	    [PARAM_BOOL] = "true",
	    [PARAM_LIMIT] = "1",
	    [PARAM_DURATION] = "\"5m\"",
	    [PARAM_RATE] = "\"1/s\"",
	    [PARAM_ADDRESS] = "\"10.0.0.1\"",
	    [PARAM_ENDPOINT] = "\"10.0.0.1:25\"",
	    [PARAM_CIDR_LIST] = "[\"10.0.0.0/8\"]",
	    [PARAM_STRING_LIST] = "[\"x\"]",
	    [PARAM_KEY_SOURCE] = "\"/x\"",
	    [PARAM_VALUE] = "1",
	    [PARAM_RATE_MAP] = "{\"a\":\"1/s\"}",
	    [PARAM_LIMIT_MAP] = "{\"a\":1}",
	    [PARAM_MAP] = "{\"a\":1}",
	    [PARAM_RECORD] = "{}",
	    [PARAM_CUSTOM] = "\"x\"",
	};

	if (is_floor(spec))
		return "\"10%\"";
	if (spec->names)
		return arena_printf(frames, "\"%s\"", spec->names[0].name);
	if (spec->type == PARAM_INT)
		return arena_printf(frames, "%lld", (long long)spec->min);
	return values[spec->type];
}

/* The required keys of the set, but not `but`; each with a comma behind. */
static const char *required(
    const struct param_set *set, const struct param_spec *but)
{
	const char *text = "";

	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];

		if (spec != but && (spec->flags & PARAM_REQUIRED ||
				       str_eq(spec->shown, "required")))
			text = arena_printf(frames, "%s\"%s\":%s,", text,
			    spec->key, good(spec));
	}
	return text;
}

/* ---- the rows, wherever they are ---- */

static bool parses(
    const struct param_set *set, const char *table, struct err *err)
{
	struct value v = json(table);
	void *record = arena_alloc(arena, set->record_size);

	if (!set->overrides)
		return param_parse(set, &v, arena, record, err);
	return param_parse_over(
	    set, listener_defaults(), &v, arena, record, err);
}

/* Is a table with nothing but what is required right there? */
static bool is_place(const struct param_set *root, const struct param_set *set,
    const char *before, const char *after)
{
	const char *least = required(set, NULL);
	struct err err = {0};

	/* Without the last comma. */
	least = arena_strndup(frames, least, *least ? strlen(least) - 1 : 0);
	return parses(root,
		   arena_printf(frames, "%s%s%s", before, least, after),
		   &err) ||
	       strstr(err.text, "not supported");
}

static void collect(const struct param_set *root, const struct param_set *set,
    const char *before, const char *after);

/* The records inside a value: a form of its table, a list, or by name. */
static void collect_inside(const struct row *row, const struct param_set *set)
{
	const char *dot = strchr(set->name, '.');
	const char *word = dot ? dot + 1 : "";
	bool own_key = false;
	size_t first = 0;
	const char *const places[][2] = {
	    {"{", "}"},
	    {"[{", "}]"},
	    {"{\"Any\":{", "}}"},
	    {arena_printf(frames, "{\"%s\":{", word), "}}"},
	};
	const char *head = arena_printf(frames, "%s%s\"%s\":", row->before,
	    required(row->set, row->spec), row->spec->key);

	for (size_t i = 0; i < set->count; i++)
		own_key |= str_eq(set->specs[i].key, word);
	/* A table of records takes an empty one as well. */
	if (row->spec->type == PARAM_CUSTOM)
		first = !row->spec->forms ? 1 : own_key ? 0 : 3;
	for (size_t i = first; i < COUNT(places); i++) {
		const char *before =
		    arena_printf(frames, "%s%s", head, places[i][0]);
		const char *after =
		    arena_printf(frames, "%s%s", places[i][1], row->after);

		if (is_place(row->root, set, before, after)) {
			collect(row->root, set, before, after);
			return;
		}
	}
	ck_abort_msg("%s: %s: no table found that %s would take",
	    row->root->name, row->spec->key, set->name);
}

static void collect(const struct param_set *root, const struct param_set *set,
    const char *before, const char *after)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];
		struct row row = {root, set, spec, before, after};

		if (set->overrides && spec->flags & PARAM_STATIC)
			continue;
		ck_assert_uint_lt(row_count, ROWS_MOST);
		rows[row_count++] = row;
		for (size_t j = 0; spec->forms && spec->forms[j]; j++)
			collect_inside(&row, spec->forms[j]);
		if (!spec->forms && spec->set)
			collect_inside(&row, spec->set);
	}
}

/* ---- what is wrong ---- */

struct mistake {
	const char *json;
	const char *shown; /* what the message has to quote; NULL: nothing */
};

/* Nothing that any grammar takes. */
static struct mistake garbage(const char *before, const char *after)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyz0123456789 _%@!";
	char text[42] = "#";
	unsigned len = chance(COUNT(text) - 2);
	struct mistake m;

	for (unsigned i = 1; i <= len; i++)
		text[i] = letters[chance(COUNT(letters) - 1)];
	m.json = arena_printf(arena, "%s%s%s", before, text, after);
	m.shown = arena_strndup(arena, text, 20);
	return m;
}

static struct mistake number(bool fraction)
{
	long long n = (long long)chance(1000000) + 2;
	struct mistake m;

	m.shown = arena_printf(arena, fraction ? "%lld.5" : "%lld", n);
	m.json = m.shown;
	return m;
}

/* A value of a sort that the row does not take. */
static struct mistake other_sort(const struct param_spec *spec)
{
	static const struct mistake sorts[] = {
	    {"true", "true"},
	    {"[true]", NULL},
	    {"[[]]", NULL},
	    {"{\"a\":\"b\"}", NULL},
	    {"{\"a\":{\"b\":[1,2,{}]}}", NULL},
	};
	enum param_type type = spec->type;
	unsigned kind = chance(COUNT(sorts) + 3);

	if (kind == COUNT(sorts) && type != PARAM_INT && type != PARAM_LIMIT &&
	    type != PARAM_DURATION && !is_floor(spec))
		return number(false);
	if (kind == COUNT(sorts) + 1 && type != PARAM_DURATION)
		return number(true);
	if (kind == COUNT(sorts) + 2 && type != PARAM_STRING &&
	    type != PARAM_KEY_SOURCE && type != PARAM_CUSTOM)
		return garbage("\"", "\"");
	kind = chance(COUNT(sorts));
	if (kind == 0 && (type == PARAM_BOOL || type == PARAM_CUSTOM))
		kind = 1;
	if (kind > 2 && (type == PARAM_MAP || type == PARAM_LIMIT_MAP ||
			    type == PARAM_RATE_MAP))
		kind = 0;
	return sorts[kind];
}

/* The right sort, and yet. */
static struct mistake almost(const struct param_spec *spec)
{
	static const struct mistake durations[] = {{"\"5\"", "5"},
	    {"\"-5s\"", "-5s"}, {"\"\"", "\"\""}, {"\"1.5h\"", "1.5h"},
	    {"-1", "-1"}, {"\"5 parsecs\"", "5 parsecs"},
	    {"\"9999999999999999999s\"", "9999999999"}, {"1e300", "e+300"}};
	static const struct mistake rates[] = {{"\"0/s\"", "0/s"},
	    {"\"10\"", "10"}, {"\"10/fortnight\"", "10/fortnight"},
	    {"\"/s\"", "/s"}, {"\"1/s,max_burst=0\"", "max_burst=0"},
	    {"\"1/s,burst=1\"", "burst=1"}, {"\"remote:1/s\"", "remote:"}};
	static const struct mistake addresses[] = {
	    {"\"10.0.0.300\"", "10.0.0.300"}, {"\"10.0.0\"", "10.0.0"},
	    {"\"010.0.0.1\"", "010.0.0.1"}, {"\"fe80::1%eth0\"", "fe80::1"},
	    {"\"localhost\"", "localhost"}, {"\"10.0.0.1:25\"", "10.0.0.1:25"}};
	static const struct mistake endpoints[] = {{"\"10.0.0.1\"", "10.0.0.1"},
	    {"\"10.0.0.1:0\"", "10.0.0.1:0"}, {"\":25\"", ":25"},
	    {"\"10.0.0.1:70000\"", ":70000"}, {"\"1.2.3:25\"", "1.2.3:25"},
	    {"\"2001:db8::1:25\"", "2001:db8"}, {"\"a b:25\"", "a b:25"}};
	static const struct mistake blocks[] = {
	    {"[\"10.0.0.1/24\"]", "10.0.0.0/24"}, {"[\"10/8\"]", "10/8"},
	    {"[\"10.0.0.0/33\"]", "10.0.0.0/33"}, {"[5]", "5"},
	    {"\"10.0.0.0/8\"", "10.0.0.0/8"}, {"[\"Any\"]", "Any"},
	    {"[\"10.0.0.0/8\",\"10.0.0.0-9\"]", "10.0.0.0-9"}};
	static const struct mistake limits[] = {{"0", "0"}, {"-3", "-3"},
	    {"\"0\"", "0"}, {"\"\"", "\"\""}, {"\"1.5\"", "1.5"},
	    {"\",1\"", ",1"}, {"\"99999999999999999999\"", "99999"}};
	static const struct mistake rate_maps[] = {{"{\"a\":\"0/s\"}", "0/s"},
	    {"{\"a\":10}", "10"},
	    {"{\"a\":\"1/s\",\"b\":\"10/fortnight\"}", "10/fortnight"},
	    {"{\"\":\"1/s\"}", NULL}, {"\"10/s\"", "10/s"}};
	static const struct mistake limit_maps[] = {{"{\"a\":0}", "0"},
	    {"{\"a\":1,\"b\":-3}", "-3"}, {"{\"a\":\"1.5\"}", "1.5"},
	    {"{\"\":1}", NULL}, {"5", "5"}};
	static const struct mistake keys[] = {{"{}", NULL},
	    {"{\"key_data\":5}", NULL}, {"{\"event_name\":\"x\"}", NULL},
	    {"{\"bogus\":1}", "bogus"}, {"5", "5"},
	    {"{\"vault_path\":\"x\"}", "vault_path"}};
	static const struct {
		const struct mistake *list;
		unsigned count;
	} by_type[] = {
	    [PARAM_DURATION] = {durations, COUNT(durations)},
	    [PARAM_RATE] = {rates, COUNT(rates)},
	    [PARAM_ADDRESS] = {addresses, COUNT(addresses)},
	    [PARAM_ENDPOINT] = {endpoints, COUNT(endpoints)},
	    [PARAM_CIDR_LIST] = {blocks, COUNT(blocks)},
	    [PARAM_LIMIT] = {limits, COUNT(limits)},
	    [PARAM_RATE_MAP] = {rate_maps, COUNT(rate_maps)},
	    [PARAM_LIMIT_MAP] = {limit_maps, COUNT(limit_maps)},
	    [PARAM_KEY_SOURCE] = {keys, COUNT(keys)},
	    [PARAM_CUSTOM] = {NULL, 0},
	};
	struct mistake m;

	if (spec->names)
		return garbage("\"", "\"");
	if (spec->type == PARAM_INT) {
		long long n = spec->max > 0 && spec->max < INT64_MAX
				  ? (long long)spec->max + 1 + chance(1000)
				  : (long long)spec->min - 1 - chance(1000);

		m.shown = arena_printf(arena, "%lld", n);
		m.json = m.shown;
		return m;
	}
	if (spec->type == PARAM_CIDR_LIST && chance(3) == 0)
		return garbage("[\"10.0.0.0/8\",\"", "\"]");
	if (by_type[spec->type].count > 0)
		return by_type[spec->type]
		    .list[chance(by_type[spec->type].count)];
	return other_sort(spec);
}

static bool is_key(const struct param_set *set, const char *key)
{
	for (size_t i = 0; i < set->count; i++)
		if (str_eq(set->specs[i].key, key))
			return true;
	return false;
}

/* One letter too few or too many, or two exchanged. */
static const char *misspell(const struct row *row)
{
	const char *key = row->spec->key;
	size_t len = strlen(key), at = chance((unsigned)len - 1);
	char *slip = arena_alloc(arena, len + 2), c;

	memcpy(slip, key, len);
	switch (chance(3)) {
	case 0:
		memmove(slip + at, slip + at + 1, len - at);
		break;
	case 1:
		(void)snprintf(
		    slip + at, len + 2 - at, "%c%s", key[at], key + at);
		break;
	default:
		c = slip[at];
		slip[at] = slip[at + 1];
		slip[at + 1] = c;
	}
	return is_key(row->set, slip) ? "no_such_key" : slip;
}

/* ---- the tables ---- */

static void check_key(const struct row *row)
{
	const char *slip = misspell(row);
	const char *table = arena_printf(arena, "%s%s\"%s\":%s%s", row->before,
	    required(row->set, NULL), slip, good(row->spec), row->after);
	struct err err = {0};

	ck_assert_msg(!parses(row->root, table, &err), "%s", table);
	ck_assert_msg(
	    strstr(err.text, arena_printf(arena, "unknown key \"%s\"", slip)),
	    "%s: %s", table, err.text);
	/* The nearest right key, as long as the word is recognisable. */
	ck_assert_msg(strlen(row->spec->key) < 6 ||
			  str_eq(slip, "no_such_key") ||
			  strstr(err.text, "did you mean"),
	    "%s: %s", table, err.text);
}

static void check_value(const struct row *row)
{
	struct mistake m =
	    chance(2) ? almost(row->spec) : other_sort(row->spec);
	const char *table = arena_printf(arena, "%s%s\"%s\":%s%s", row->before,
	    required(row->set, row->spec), row->spec->key, m.json, row->after);
	struct err err = {0};

	ck_assert_msg(!parses(row->root, table, &err), "%s", table);
	ck_assert_msg(
	    str_starts(err.text, row->root->name), "%s: %s", table, err.text);
	ck_assert_msg(
	    strstr(err.text, row->spec->key), "%s: %s", table, err.text);
	ck_assert_msg(
	    !m.shown || strstr(err.text, m.shown), "%s: %s", table, err.text);
}

START_TEST(ten_thousand_tables_are_refused_by_key_and_value)
{
	frames = arena_new(0);
	row_count = 0;
	arena_begin();
	for (size_t i = 0; i < param_set_count; i++)
		collect(param_sets[i], param_sets[i], "{", "}");
	collect(&listener_override_params, &listener_override_params, "{", "}");
	ck_assert_uint_gt(row_count, 100);
	for (unsigned i = 0; i < TABLES; i++) {
		const struct row *row = &rows[i % row_count];
		bool any_value = row->spec->type == PARAM_VALUE;

		if (i % TABLES_AN_ARENA == 0) {
			arena_end();
			arena_begin();
		}
		if (!row->set->extra_keys_ignored &&
		    (any_value || chance(4) == 0))
			check_key(row);
		else if (!any_value)
			check_value(row);
	}
	arena_end();
	arena_unref(frames);
}
END_TEST

/* What is only for the top of a listener is unknown below it. */
START_TEST(keys_of_the_top_are_unknown_in_blocks)
{
	const struct param_set *set = &listener_override_params;
	struct err err = {0};

	frames = arena;
	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];

		if (!(spec->flags & PARAM_STATIC))
			continue;
		ck_assert(!parses(&listener_params,
		    arena_printf(arena,
			"{\"peer\":{\"10.0.0.0/8\":{\"%s\":%s}}}", spec->key,
			good(spec)),
		    &err));
		ck_assert_msg(strstr(err.text, arena_printf(arena,
						   "peer: 10.0.0.0/8: "
						   "unknown key \"%s\"",
						   spec->key)),
		    "%s", err.text);
	}
}
END_TEST

Suite *malformed_suite(void)
{
	Suite *suite = suite_create("malformed");
	TCase *all = tcase_create("all"), *blocks = tcase_create("blocks");

	tcase_add_test(all, ten_thousand_tables_are_refused_by_key_and_value);
	suite_add_tcase(suite, all);
	tcase_add_checked_fixture(blocks, arena_begin, arena_end);
	tcase_add_test(blocks, keys_of_the_top_are_unknown_in_blocks);
	suite_add_tcase(suite, blocks);
	return suite;
}

/*
 * template_list.c - filters on lists, tests, and the methods of strings
 */
#include "base/str.h"
#include "policy/template_filter.h"
#include "policy/template_run.h"

#define MAX_PARTS 100000

/* ---- lists ---- */

bool template_join(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	struct buf text = BUF_INIT;
	struct value list, between = {0};
	bool ok = template_items(run, &args[0], &list, err) &&
		  template_as_text(run, &args[1], &between, err);

	for (size_t i = 0; ok && i < list.count; i++) {
		struct value item;

		ok = template_as_text(run, &list.items[i], &item, err) &&
		     template_work(run, between.len, err);
		if (!ok)
			break;
		if (i > 0)
			buf_add(&text, between.s, between.len);
		buf_add(&text, item.s, item.len);
	}
	if (ok)
		return template_take_text(run, &text, out, err);
	buf_release(&text);
	return false;
}

static bool pick(struct template_run *run, const struct value *v, bool last,
    struct value *out, struct err *err)
{
	struct value list;

	if (!template_items(run, v, &list, err))
		return false;
	*out = (struct value){.type = VALUE_NIL};
	if (list.count > 0)
		*out = list.items[last ? list.count - 1 : 0];
	return true;
}

bool template_first(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	return pick(run, &args[0], false, out, err);
}

bool template_last(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	return pick(run, &args[0], true, out, err);
}

/* Of a map: [key, value], in its order. */
bool template_pairs(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	const struct value *map = &args[0];
	struct value keys;

	if (map->type != VALUE_MAP && map->type != VALUE_NIL)
		return err_set(err, ERR_CONFIG,
		    "items: expected a map, not a %s",
		    value_type_name(map->type));
	if (!template_items(run, map, &keys, err) ||
	    !template_work(run, keys.count * 2 * TEMPLATE_STEP, err))
		return false;
	for (size_t i = 0; i < keys.count; i++) {
		struct value *pair = ARENA_ARRAY(run->arena, struct value, 2);

		pair[0] = keys.items[i];
		pair[1] = map->entries[i].value;
		keys.items[i] = (struct value){
		    .type = VALUE_LIST, .count = 2, .items = pair};
	}
	*out = keys;
	return true;
}

static bool keep(struct template_run *run, const struct value *args,
    size_t count, bool wanted, struct value *out, struct err *err)
{
	struct value list, kept = {.type = VALUE_LIST};
	const struct template_call *test = NULL;

	if (count > 1) {
		if (args[1].type == VALUE_STRING)
			test = template_test_find(args[1].s, args[1].len);
		if (!test || test->min_args != count - 2)
			return err_set(err, ERR_CONFIG,
			    "expected the name of a test, and what it needs");
	}
	if (!template_items(run, &args[0], &list, err) ||
	    !template_work(run, list.count * TEMPLATE_STEP, err))
		return false;
	kept.items = ARENA_ARRAY(run->arena, struct value, list.count + 1);
	for (size_t i = 0; i < list.count; i++) {
		struct value v[] = {list.items[i], args[2]};
		struct value is = list.items[i];

		if (test && !test->apply(run, v, count - 1, &is, err))
			return false;
		if (template_is_true(&is) == wanted)
			kept.items[kept.count++] = list.items[i];
	}
	*out = kept;
	return true;
}

bool template_select(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	return keep(run, args, count, true, out, err);
}

bool template_reject(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	return keep(run, args, count, false, out, err);
}

/* Strings without regard to case, and then with it. */
static bool in_order(struct template_run *run, const struct value *a,
    const struct value *b, int *order, struct err *err)
{
	size_t len = a->len < b->len ? a->len : b->len;

	if (!template_work(run, TEMPLATE_STEP / 4 + len, err))
		return false;
	if (a->type == VALUE_STRING && b->type == VALUE_STRING) {
		for (size_t i = 0; i < len; i++) {
			int x = (unsigned char)a->s[i];
			int y = (unsigned char)b->s[i];

			x += x >= 'A' && x <= 'Z' ? 'a' - 'A' : 0;
			y += y >= 'A' && y <= 'Z' ? 'a' - 'A' : 0;
			*order = x - y;
			if (x != y)
				return true;
		}
		if (a->len != b->len) {
			*order = a->len < b->len ? -1 : 1;
			return true;
		}
	}
	return template_compare(a, b, order, err);
}

/* One pass of a merge sort, over runs of `width`. */
static bool merge(struct template_run *run, const struct value *from,
    struct value *to, size_t count, size_t width, struct err *err)
{
	for (size_t i = 0; i < count; i += 2 * width) {
		size_t middle = i + width < count ? i + width : count;
		size_t end = middle + width < count ? middle + width : count;
		size_t a = i, b = middle;

		for (size_t k = i; k < end; k++) {
			int order = a == middle ? 1 : -1;

			if (a < middle && b < end &&
			    !in_order(run, &from[a], &from[b], &order, err))
				return false;
			to[k] = order <= 0 ? from[a++] : from[b++];
		}
	}
	return true;
}

bool template_sort(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	struct value list, *from, *to;

	if (!template_items(run, &args[0], &list, err) ||
	    !template_work(run, 2 * list.count * TEMPLATE_STEP, err))
		return false;
	from = ARENA_ARRAY(run->arena, struct value, list.count + 1);
	to = ARENA_ARRAY(run->arena, struct value, list.count + 1);
	for (size_t i = 0; i < list.count; i++)
		from[i] = list.items[i];
	for (size_t width = 1; width < list.count; width *= 2) {
		struct value *swap = from;

		if (!merge(run, from, to, list.count, width, err))
			return false;
		from = to;
		to = swap;
	}
	list.items = from;
	*out = list;
	return true;
}

bool template_unique(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	struct value list, kept = {.type = VALUE_LIST};

	if (!template_items(run, &args[0], &list, err) ||
	    !template_work(run, list.count * TEMPLATE_STEP, err))
		return false;
	kept.items = ARENA_ARRAY(run->arena, struct value, list.count + 1);
	for (size_t i = 0; i < list.count; i++) {
		const struct value *v = &list.items[i];
		bool found;

		if (!template_contains(run, &kept, v, &found, err))
			return false;
		if (!found)
			kept.items[kept.count++] = *v;
	}
	*out = kept;
	return true;
}

/* ---- split ---- */

static bool is_white(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t part_len(const char *s, size_t len, const struct value *separator)
{
	const char *found;
	size_t n = 0;

	if (separator) {
		found = memmem(s, len, separator->s, separator->len);
		return found ? (size_t)(found - s) : len;
	}
	while (n < len && !is_white(s[n]))
		n++;
	return n;
}

/* At the separator, or at white space of any length when there is none. */
bool template_split(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	const struct value *by = count > 1 ? &args[1] : NULL;
	struct value text, list = {.type = VALUE_LIST};
	size_t at = 0, most;

	if (!template_as_text(run, &args[0], &text, err))
		return false;
	if (by && (by->type != VALUE_STRING || by->len == 0))
		return err_set(
		    err, ERR_CONFIG, "split: expected text to split at");
	most = text.len + 1 < MAX_PARTS ? text.len + 1 : MAX_PARTS;
	if (!template_work(run, most * sizeof *list.items, err))
		return false;
	list.items = ARENA_ARRAY(run->arena, struct value, most);
	while (at <= text.len) {
		size_t len = part_len(text.s + at, text.len - at, by);

		if (by || len > 0) {
			if (list.count == most)
				return err_set(err, ERR_CONFIG,
				    "split: more than %d parts", MAX_PARTS);
			list.items[list.count++] =
			    value_string(run->arena, text.s + at, len);
		}
		at += len + (by ? by->len : 1);
	}
	*out = list;
	return template_work(run, list.count * TEMPLATE_STEP, err);
}

/* ---- tests, and methods of strings ---- */

#define TEST_TYPE(name, condition)                                             \
	static bool test_##name(struct template_run *run,                      \
	    const struct value *args, size_t count, struct value *out,         \
	    struct err *err)                                                   \
	{                                                                      \
		enum value_type type = args[0].type;                           \
		*out = template_bool(condition);                               \
		return true;                                                   \
	}

TEST_TYPE(defined, type != VALUE_NIL)
TEST_TYPE(undefined, type == VALUE_NIL)
TEST_TYPE(string, type == VALUE_STRING)
TEST_TYPE(number, type == VALUE_INT || type == VALUE_NUMBER)
TEST_TYPE(sequence, type == VALUE_LIST)
TEST_TYPE(mapping, type == VALUE_MAP)

static bool test_eq(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	*out = template_bool(value_eq(&args[0], &args[1]));
	return template_work(run, args[0].len, err);
}

static bool test_ne(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	*out = template_bool(!value_eq(&args[0], &args[1]));
	return template_work(run, args[0].len, err);
}

static bool test_in(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	bool found;

	if (!template_contains(run, &args[1], &args[0], &found, err))
		return false;
	*out = template_bool(found);
	return true;
}

static bool test_startingwith(struct template_run *run,
    const struct value *args, size_t count, struct value *out, struct err *err)
{
	struct value text, with;

	if (!template_as_text(run, &args[0], &text, err) ||
	    !template_as_text(run, &args[1], &with, err))
		return false;
	*out = template_bool(
	    text.len >= with.len && memcmp(text.s, with.s, with.len) == 0);
	return true;
}

static bool test_endingwith(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	struct value text, with;

	if (!template_as_text(run, &args[0], &text, err) ||
	    !template_as_text(run, &args[1], &with, err))
		return false;
	*out = template_bool(
	    text.len >= with.len &&
	    memcmp(text.s + text.len - with.len, with.s, with.len) == 0);
	return true;
}

static const struct template_call tests[] = {
    {"defined", 0, 0, test_defined},
    {"undefined", 0, 0, test_undefined},
    {"none", 0, 0, test_undefined},
    {"string", 0, 0, test_string},
    {"number", 0, 0, test_number},
    {"sequence", 0, 0, test_sequence},
    {"mapping", 0, 0, test_mapping},
    {"eq", 1, 1, test_eq},
    {"ne", 1, 1, test_ne},
    {"in", 1, 1, test_in},
    {"startingwith", 1, 1, test_startingwith},
    {"endingwith", 1, 1, test_endingwith},
};

const struct template_call *template_test_find(const char *name, size_t len)
{
	return template_call_find(tests, COUNT(tests), name, len);
}

static const struct template_call methods[] = {
    {"startswith", 1, 1, test_startingwith},
    {"endswith", 1, 1, test_endingwith},
    {"lower", 0, 0, template_lower},
    {"upper", 0, 0, template_upper},
    {"split", 0, 1, template_split},
    {"strip", 0, 1, template_trim},
    {"replace", 2, 2, template_replace},
};

const struct template_call *template_method_find(const char *name, size_t len)
{
	return template_call_find(methods, COUNT(methods), name, len);
}

/*
 * param_types.c - lists and tables as values, and the table of all types
 *
 * Single values are read in param_scalar.c, whose first comment holds here too.
 */
#include <inttypes.h>

#include "base/cidr.h"
#include "base/str.h"
#include "policy/param_rows.h"
#include "policy/param_type.h"

static bool is_list(const struct value *v)
{
	return v->type == VALUE_LIST || param_is_empty_table(v);
}

static bool read_cidr(const struct value *v, struct cidr *out, struct err *err)
{
	struct err why = {0};

	if (!param_plain_text(v, err))
		return false;
	return cidr_parse(v->s, out, &why) || param_refused(err, &why);
}

/* All that is wrong stands in one error, so that a long list is mended once. */
static bool read_cidr_list(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	struct cidr_list *list = field;
	struct cidr *items;
	struct buf wrong = BUF_INIT;
	bool ok;

	if (!is_list(v))
		return param_type_error(err, v, "a list of addresses");
	items = ARENA_ARRAY(arena, struct cidr, v->count);
	for (size_t i = 0; i < v->count; i++) {
		struct err why = {0};

		if (read_cidr(&v->items[i], &items[i], &why))
			continue;
		buf_addf(&wrong, "%s%s", wrong.len ? "; " : "", why.text);
	}
	ok = wrong.len == 0;
	if (ok)
		*list = (struct cidr_list){items, v->count};
	else
		(void)err_set(err, ERR_CONFIG, "%s", buf_str(&wrong));
	buf_release(&wrong);
	return ok;
}

static struct value print_cidr_list(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	const struct cidr_list *list = field;
	struct value out = {.type = VALUE_LIST, .count = list->count};
	char text[IP_TEXT + 4];

	out.items = ARENA_ARRAY(arena, struct value, list->count);
	for (size_t i = 0; i < list->count; i++)
		out.items[i] =
		    param_text(arena, cidr_print(text, &list->items[i]));
	return out;
}

static bool read_string_list(const struct param_spec *spec,
    const struct value *v, void *field, struct arena *arena, struct err *err)
{
	struct string_list *list = field;
	const char **items;

	if (!is_list(v))
		return param_type_error(err, v, "a list of strings");
	items = ARENA_ARRAY(arena, const char *, v->count);
	for (size_t i = 0; i < v->count; i++) {
		if (!param_plain_text(&v->items[i], err))
			return err_prefix(err, "[%zu]", i + 1);
		items[i] = arena_strndup(arena, v->items[i].s, v->items[i].len);
	}
	*list = (struct string_list){items, v->count};
	return true;
}

static struct value print_string_list(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	const struct string_list *list = field;
	struct value out = {.type = VALUE_LIST, .count = list->count};

	out.items = ARENA_ARRAY(arena, struct value, list->count);
	for (size_t i = 0; i < list->count; i++)
		out.items[i] = param_text(arena, list->items[i]);
	return out;
}

static void keep_value(void *field, const struct value *v, struct arena *arena)
{
	struct value *copy = ARENA_NEW(arena, struct value);

	*copy = value_copy(arena, v);
	*(const struct value **)field = copy;
}

/* A file's name, {key_data=} or {event_name=, event_args=}. */
static bool read_key_source(const struct param_spec *spec,
    const struct value *v, void *field, struct arena *arena, struct err *err)
{
	static const char *const known[] = {
	    "key_data", "event_name", "event_args"};
	const struct value *data, *event, *args;

	if (v->type == VALUE_STRING) {
		if (!param_plain_text(v, err))
			return false;
		keep_value(field, v, arena);
		return true;
	}
	if (v->type != VALUE_MAP)
		return param_type_error(
		    err, v, "the name of a file, or a table");
	VALUE_EACH (e, v) {
		size_t i = 0;

		if (str_starts(e->key, "vault_"))
			return err_set(
			    err, ERR_CONFIG, "%s: not supported yet", e->key);
		while (i < COUNT(known) && !str_eq(known[i], e->key))
			i++;
		if (i == COUNT(known))
			return err_set(
			    err, ERR_CONFIG, "unknown key \"%s\"", e->key);
	}
	data = value_get(v, "key_data");
	event = value_get(v, "event_name");
	args = value_get(v, "event_args");
	if (data ? data->type != VALUE_STRING
		 : !event || event->type != VALUE_STRING)
		return err_set(err, ERR_CONFIG,
		    "invalid value: expected key_data or event_name, a string");
	if (!data && (!args || args->type < VALUE_LIST))
		return err_set(err, ERR_CONFIG,
		    "event_args: required key is missing (it may be {})");
	keep_value(field, v, arena);
	return true;
}

static bool read_value(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	keep_value(field, v, arena);
	return true;
}

static bool read_map(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	if (v->type != VALUE_MAP && !param_is_empty_table(v))
		return param_type_error(err, v, "a table with names as keys");
	keep_value(field, v, arena);
	return true;
}

static struct value print_value(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	const struct value *v = *(const struct value *const *)field;

	return v ? value_copy(arena, v) : param_text(arena, NULL);
}

static bool read_record(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	return param_fill(spec->set, v, arena, field, err);
}

static struct value print_record(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	struct value v = param_read_all(spec->set, field, arena);

	v.kind = NULL;
	return v;
}

static const struct param_type_row
    cidr_list_type = {"{ CIDR, ... }", read_cidr_list, print_cidr_list},
    string_list_type = {"{ TEXT, ... }", read_string_list, print_string_list},
    key_source_type =
	{"FILE | { key_data = TEXT } | { event_name = TEXT, event_args = {} }",
	    read_key_source, print_value},
    value_type = {"VALUE", read_value, print_value},
    map_type = {"{ NAME = VALUE, ... }", read_map, print_value},
    record_type = {"{ ... }", read_record, print_record},
    custom_type = {"{ ... }", NULL, NULL}; /* the row has its own */

static const struct param_type_row *const types[] = {
    [PARAM_STRING] = &param_type_string,
    [PARAM_BOOL] = &param_type_bool,
    [PARAM_INT] = &param_type_int,
    [PARAM_LIMIT] = &param_type_limit,
    [PARAM_DURATION] = &param_type_duration,
    [PARAM_RATE] = &param_type_rate,
    [PARAM_ADDRESS] = &param_type_address,
    [PARAM_ENDPOINT] = &param_type_endpoint,
    [PARAM_CIDR_LIST] = &cidr_list_type,
    [PARAM_STRING_LIST] = &string_list_type,
    [PARAM_ENUM] = &param_type_enum,
    [PARAM_KEY_SOURCE] = &key_source_type,
    [PARAM_VALUE] = &value_type,
    [PARAM_RATE_MAP] = &param_type_rate_map,
    [PARAM_LIMIT_MAP] = &param_type_limit_map,
    [PARAM_MAP] = &map_type,
    [PARAM_RECORD] = &record_type,
    [PARAM_CUSTOM] = &custom_type,
};

static void *field_of(const struct param_spec *spec, const void *record)
{
	return (char *)record + spec->offset;
}

bool param_type_read(const struct param_spec *spec, const struct value *v,
    void *record, struct arena *arena, struct err *err)
{
	if (spec->type == PARAM_CUSTOM)
		return spec->custom(v, record, arena, err);
	if (!types[spec->type]->read(
		spec, v, field_of(spec, record), arena, err))
		return false;
	if (spec->has)
		*((bool *)record + spec->has) = true;
	return true;
}

/* "127.0.0.1, ::1" */
static struct value split_list(struct arena *arena, const char *text)
{
	struct value list = {.type = VALUE_LIST};
	size_t room = 1;

	for (const char *s = text; *s; s++)
		room += *s == ',';
	list.items = ARENA_ARRAY(arena, struct value, room);
	for (const char *s = text; *s;) {
		size_t len = strcspn(s, ",");

		list.items[list.count++] = value_string(arena, s, len);
		s += len;
		s += strspn(s, ", ");
	}
	return list;
}

/* What the operator would have to write for the default. */
static bool fallback_value(const struct param_spec *spec, struct arena *arena,
    struct value *out, struct err *err)
{
	const char *text = spec->fallback;

	if (str_eq(text, "{}")) {
		*out = (struct value){.type = VALUE_MAP};
		return true;
	}
	switch (spec->type) {
	case PARAM_BOOL:
		*out = (struct value){
		    .type = VALUE_BOOL, .b = str_eq(text, "true")};
		return out->b || str_eq(text, "false") ||
		       err_set(err, ERR_CONFIG, "not a boolean: %s", text);
	case PARAM_INT:
		*out = (struct value){.type = VALUE_INT};
		return str_to_int(text, &out->i) ||
		       err_set(err, ERR_CONFIG, "not a number: %s", text);
	case PARAM_CIDR_LIST:
	case PARAM_STRING_LIST:
		*out = split_list(arena, text);
		return true;
	default:
		*out = param_text(arena, text);
		return true;
	}
}

bool param_type_read_fallback(const struct param_spec *spec, void *record,
    struct arena *arena, struct err *err)
{
	struct value v = {.type = VALUE_MAP};

	/* The defaults of what is inside are the default of a record. */
	if (spec->type == PARAM_RECORD)
		return param_type_read(spec, &v, record, arena, err);
	if (!spec->fallback)
		return true;
	return fallback_value(spec, arena, &v, err) &&
	       param_type_read(spec, &v, record, arena, err);
}

struct value param_type_print(
    const struct param_spec *spec, const void *record, struct arena *arena)
{
	if (spec->type == PARAM_CUSTOM)
		return spec->print ? spec->print(record, arena)
				   : param_text(arena, NULL);
	if (spec->has && !*((const bool *)record + spec->has))
		return param_text(arena, NULL);
	return types[spec->type]->print(spec, field_of(spec, record), arena);
}

void param_type_syntax(const struct param_spec *spec, struct buf *out)
{
	int64_t min, max;

	if (spec->names) {
		param_type_names(spec->names, " | ", out);
		return;
	}
	buf_addstr(out, types[spec->type]->syntax);
	if (spec->type != PARAM_INT && spec->type != PARAM_LIMIT)
		return;
	param_type_bounds(spec, &min, &max);
	if (max != INT64_MAX)
		buf_addf(out, " (%" PRId64 "..%" PRId64 ")", min, max);
	else if (min > 0)
		buf_addf(out, " (%" PRId64 " or more)", min);
}

/*
 * template_filter.c - filters on text, and the table of all filters
 */
#include "policy/template_filter.h"
#include "base/json.h"
#include "base/str.h"
#include "policy/template_run.h"

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char to_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool add_cased(struct template_run *run, const struct value *v,
    bool upper, bool title, struct value *out, struct err *err)
{
	struct buf text = BUF_INIT;
	struct value from;
	bool begins = true;

	if (!template_as_text(run, v, &from, err))
		return false;
	buf_reserve(&text, from.len);
	for (size_t i = 0; i < from.len; i++) {
		bool up = title ? begins : upper;

		buf_addch(
		    &text, up ? to_upper(from.s[i]) : to_lower(from.s[i]));
		begins = is_space(from.s[i]) ||
			 strchr("-_.,;:()[]{}/\"", from.s[i]) != NULL;
	}
	return template_take_text(run, &text, out, err);
}

bool template_lower(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	return add_cased(run, &args[0], false, false, out, err);
}

bool template_upper(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	return add_cased(run, &args[0], true, false, out, err);
}

static bool filter_title(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	return add_cased(run, &args[0], false, true, out, err);
}

/* Without white space, or without the characters of the argument. */
bool template_trim(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	struct buf trimmed = BUF_INIT;
	struct value text, set = {0};
	size_t from = 0;
	bool drop[256] = {false};

	if (!template_as_text(run, &args[0], &text, err) ||
	    (count > 1 && !template_as_text(run, &args[1], &set, err)))
		return false;
	for (int c = 0; c < 256; c++)
		drop[c] = count > 1 ? set.len && memchr(set.s, c, set.len)
				    : is_space((char)c);
	while (from < text.len && drop[(unsigned char)text.s[from]])
		from++;
	while (text.len > from && drop[(unsigned char)text.s[text.len - 1]])
		text.len--;
	buf_add(&trimmed, text.s + from, text.len - from);
	return template_take_text(run, &trimmed, out, err);
}

bool template_replace(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	struct value text, from, to;
	struct buf built = BUF_INIT;
	size_t i = 0;

	if (!template_as_text(run, &args[0], &text, err) ||
	    !template_as_text(run, &args[1], &from, err) ||
	    !template_as_text(run, &args[2], &to, err))
		return false;
	if (from.len == 0)
		return err_set(
		    err, ERR_CONFIG, "replace: there is nothing to look for");
	while (i < text.len && built.len <= TEMPLATE_MAX_TEXT) {
		if (text.len - i >= from.len &&
		    memcmp(text.s + i, from.s, from.len) == 0) {
			buf_add(&built, to.s, to.len);
			i += from.len;
		} else {
			buf_addch(&built, text.s[i++]);
		}
	}
	return template_take_text(run, &built, out, err);
}

static bool filter_default(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	*out = args[0].type == VALUE_NIL ? args[1] : args[0];
	return true;
}

/* In HTML, JSON in which nothing can end a script or an attribute. */
static bool filter_tojson(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	struct buf plain = BUF_INIT, text = BUF_INIT;
	struct value counted;

	if (args[0].type != VALUE_STRING &&
	    !template_as_text(run, &args[0], &counted, err))
		return false;
	json_write(run->escape == ESCAPE_HTML ? &plain : &text, &args[0]);
	for (size_t i = 0; i < plain.len; i++) {
		if (strchr("<>&'", plain.data[i]))
			buf_addf(&text, "\\u%04x", (unsigned)plain.data[i]);
		else
			buf_addch(&text, plain.data[i]);
	}
	buf_release(&plain);
	if (!template_take_text(run, &text, out, err))
		return false;
	out->kind = template_safe;
	return true;
}

static bool filter_safe(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	if (!template_as_text(run, &args[0], out, err))
		return false;
	out->kind = template_safe;
	return true;
}

/* Of text, the characters, not the bytes. */
static bool filter_length(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	const struct value *v = &args[0];
	int64_t n = 0;

	switch (v->type) {
	case VALUE_STRING:
		for (size_t i = 0; i < v->len; i++)
			n += ((unsigned char)v->s[i] & 0xc0) != 0x80;
		break;
	case VALUE_LIST:
	case VALUE_MAP:
		n = (int64_t)v->count;
		break;
	default:
		return err_set(err, ERR_CONFIG, "length: a %s has none",
		    value_type_name(v->type));
	}
	*out = (struct value){.type = VALUE_INT, .i = n};
	return template_work(run, v->len, err);
}

static bool filter_int(struct template_run *run, const struct value *args,
    size_t count, struct value *out, struct err *err)
{
	const struct value *v = &args[0];
	struct value text, number = {.type = VALUE_INT};

	/* 2^63 itself is outside. */
	if (v->type == VALUE_INT) {
		number.i = v->i;
	} else if (v->type == VALUE_BOOL) {
		number.i = v->b;
	} else if (v->type == VALUE_NUMBER && v->n > -9223372036854775808.0 &&
		   v->n < 9223372036854775808.0) {
		number.i = (int64_t)v->n;
	} else if (v->type != VALUE_STRING ||
		   !template_trim(run, args, 1, &text, err) ||
		   strlen(text.s) != text.len ||
		   !str_to_int(text.s, &number.i)) {
		if (count < 2)
			return err_set(
			    err, ERR_CONFIG, "int: expected a number");
		number = args[1];
	}
	*out = number;
	return true;
}

static const struct template_call filters[] = {
    {"lower", 0, 0, template_lower},
    {"upper", 0, 0, template_upper},
    {"trim", 0, 1, template_trim},
    {"default", 1, 1, filter_default},
    {"replace", 2, 2, template_replace},
    {"tojson", 0, 0, filter_tojson},
    {"length", 0, 0, filter_length},
    {"join", 0, 1, template_join},
    {"first", 0, 0, template_first},
    {"last", 0, 0, template_last},
    {"split", 0, 1, template_split},
    {"items", 0, 0, template_pairs},
    {"reject", 0, 2, template_reject},
    {"select", 0, 2, template_select},
    {"int", 0, 1, filter_int},
    {"safe", 0, 0, filter_safe},
    {"title", 0, 0, filter_title},
    {"sort", 0, 0, template_sort},
    {"unique", 0, 0, template_unique},
};

/* Of minijinja and its contrib filters. */
static const char *const later[] = {"abs", "attr", "batch", "bool",
    "capitalize", "chain", "count", "d", "dictsort", "e", "escape",
    "filesizeformat", "float", "format", "groupby", "indent", "lines", "list",
    "lstrip", "map", "max", "min", "normalize_smtp_response", "pluralize",
    "pprint", "random", "rejectattr", "reverse", "round", "rstrip",
    "selectattr", "slice", "string", "striptags", "sum", "truncate",
    "urlencode", "wordcount", "wordwrap", "zip"};

const struct template_call *template_call_find(
    const struct template_call *calls, size_t count, const char *name,
    size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(calls[i].name) == len &&
		    memcmp(calls[i].name, name, len) == 0)
			return &calls[i];
	return NULL;
}

const struct template_call *template_filter_find(const char *name, size_t len)
{
	return template_call_find(filters, COUNT(filters), name, len);
}

bool template_filter_is_later(const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT(later); i++)
		if (strlen(later[i]) == len && memcmp(later[i], name, len) == 0)
			return true;
	return false;
}

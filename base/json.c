/*
 * json.c - values from and to JSON text
 *
 * Writing copies runs of plain characters at once: nearly all of a log record
 * is plain.  The bytes that end such a run stand in `special`.
 */
#include "base/json.h"

#include <jansson.h>
#include <math.h>

#include "base/diag.h"
#include "base/str.h"

#define DEPTH_MOST 64

static bool from_jansson(const json_t *j, struct arena *arena, int depth,
    struct value *out, struct err *err)
{
	size_t i = 0;
	const char *key;
	json_t *item;

	*out = (struct value){0};
	if (depth > DEPTH_MOST)
		return err_set(err, ERR_PERM,
		    "JSON is nested more than %d levels deep", DEPTH_MOST);
	switch (json_typeof(j)) {
	case JSON_NULL:
		return true;
	case JSON_TRUE:
	case JSON_FALSE:
		out->type = VALUE_BOOL;
		out->b = json_is_true(j);
		return true;
	case JSON_INTEGER:
		out->type = VALUE_INT;
		out->i = json_integer_value(j);
		return true;
	case JSON_REAL:
		out->type = VALUE_NUMBER;
		out->n = json_real_value(j);
		return true;
	case JSON_STRING:
		*out = value_string(
		    arena, json_string_value(j), json_string_length(j));
		return true;
	case JSON_ARRAY:
		out->type = VALUE_LIST;
		out->count = json_array_size(j);
		out->items = ARENA_ARRAY(arena, struct value, out->count);
		json_array_foreach((json_t *)(uintptr_t)j, i, item)
		{
			if (!from_jansson(
				item, arena, depth + 1, &out->items[i], err))
				return false;
		}
		return true;
	case JSON_OBJECT:
		out->type = VALUE_MAP;
		out->count = json_object_size(j);
		out->entries =
		    ARENA_ARRAY(arena, struct value_entry, out->count);
		json_object_foreach((json_t *)(uintptr_t)j, key, item)
		{
			struct value_entry *entry = &out->entries[i++];

			entry->key = arena_strdup(arena, key);
			if (!from_jansson(
				item, arena, depth + 1, &entry->value, err))
				return false;
		}
		return true;
	}
	return err_set(err, ERR_PERM, "JSON of an unknown type");
}

bool json_parse(const char *text, size_t len, struct arena *arena,
    struct value *out, struct err *err)
{
	json_error_t why;
	json_t *root;
	bool ok;

	root = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	if (!root) {
		char quoted[200];

		return err_set(err, ERR_PERM, "invalid JSON: line %d: %s",
		    why.line,
		    diag_quote(
			quoted, sizeof quoted, why.text, strlen(why.text)));
	}
	ok = from_jansson(root, arena, 1, out, err);
	json_decref(root);
	return ok;
}

/* Not zero: the byte cannot be copied as it is. */
static const unsigned char special[256] = {
    [0 ... 0x1f] = 1, ['"'] = 1, ['\\'] = 1, [0x7f] = 1, [0x80 ... 0xff] = 1};

static void write_special(struct buf *buf, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	switch (c) {
	case '"':
	case '\\':
		out[1] = (char)c;
		break;
	case '\n':
		out[1] = 'n';
		break;
	case '\r':
		out[1] = 'r';
		break;
	case '\t':
		out[1] = 't';
		break;
	case '\b':
		out[1] = 'b';
		break;
	case '\f':
		out[1] = 'f';
		break;
	default:
		buf_add(buf, out, 6);
		return;
	}
	buf_add(buf, out, 2);
}

void json_write_string(struct buf *buf, const char *s, size_t len)
{
	size_t i = 0, run, step;

	buf_reserve(buf, len + 2);
	buf_addch(buf, '"');
	while (i < len) {
		for (run = i; run < len && !special[(unsigned char)s[run]];
		     run++)
			;
		buf_add(buf, s + i, run - i);
		i = run;
		if (i == len)
			break;
		if ((unsigned char)s[i] < 0x80) {
			write_special(buf, (unsigned char)s[i++]);
			continue;
		}
		step = str_utf8_step(s + i, len - i);
		if (step) {
			buf_add(buf, s + i, step);
			i += step;
		} else {
			buf_add(buf, "\xef\xbf\xbd", 3); /* U+FFFD */
			i++;
		}
	}
	buf_addch(buf, '"');
}

static void write_number(struct buf *buf, double n)
{
	char text[40];

	/* JSON has neither. */
	if (isnan(n) || isinf(n)) {
		buf_addstr(buf, "null");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, sizeof text, "%.*g", digits, n);
		if (strtod(text, NULL) == n)
			break;
	}
	buf_addstr(buf, text);
	/* It stays a number, not an integer, when it is read back. */
	if (!strpbrk(text, ".e"))
		buf_add(buf, ".0", 2);
}

void json_write(struct buf *buf, const struct value *v)
{
	switch (v->type) {
	case VALUE_NIL:
		buf_add(buf, "null", 4);
		return;
	case VALUE_BOOL:
		buf_addstr(buf, v->b ? "true" : "false");
		return;
	case VALUE_INT:
		buf_addint(buf, v->i);
		return;
	case VALUE_NUMBER:
		write_number(buf, v->n);
		return;
	case VALUE_STRING:
		json_write_string(buf, v->s, v->len);
		return;
	case VALUE_LIST:
		buf_addch(buf, '[');
		for (size_t i = 0; i < v->count; i++) {
			if (i)
				buf_addch(buf, ',');
			json_write(buf, &v->items[i]);
		}
		buf_addch(buf, ']');
		return;
	case VALUE_MAP:
		buf_addch(buf, '{');
		VALUE_EACH (entry, v) {
			if (entry != v->entries)
				buf_addch(buf, ',');
			json_write_string(buf, entry->key, strlen(entry->key));
			buf_addch(buf, ':');
			json_write(buf, &entry->value);
		}
		buf_addch(buf, '}');
		return;
	}
}

void json_open(struct json_object *o, struct buf *buf)
{
	o->buf = buf;
	o->first = true;
	buf_addch(buf, '{');
}

void json_close(struct json_object *o)
{
	buf_addch(o->buf, '}');
}

void json_key(struct json_object *o, const char *key)
{
	if (!o->first)
		buf_addch(o->buf, ',');
	o->first = false;
	json_write_string(o->buf, key, strlen(key));
	buf_addch(o->buf, ':');
}

void json_add_string(struct json_object *o, const char *key, const char *s)
{
	json_key(o, key);
	if (s)
		json_write_string(o->buf, s, strlen(s));
	else
		buf_add(o->buf, "null", 4);
}

void json_add_int(struct json_object *o, const char *key, int64_t n)
{
	json_key(o, key);
	buf_addint(o->buf, n);
}

void json_add_bool(struct json_object *o, const char *key, bool b)
{
	json_key(o, key);
	buf_addstr(o->buf, b ? "true" : "false");
}

void json_add_value(
    struct json_object *o, const char *key, const struct value *v)
{
	json_key(o, key);
	json_write(o->buf, v);
}

void json_add_raw(
    struct json_object *o, const char *key, const char *json, size_t len)
{
	json_key(o, key);
	buf_add(o->buf, json, len);
}

/*
 * output.c - what commands write, fit for a terminal
 */
#include "cli/output.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "base/terminal.h"

void out_text_len(FILE *out, const char *s, size_t len)
{
	terminal_write(out, s, len);
}

void out_text(FILE *out, const char *s)
{
	if (s)
		out_text_len(out, s, strlen(s));
	else
		(void)fputc('-', out);
}

char *out_size(char text[24], int64_t bytes)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
	double n = (double)bytes;
	size_t unit = 0;

	if (bytes < 1000) {
		(void)snprintf(text, 24, "%" PRId64, bytes);
		return text;
	}
	n /= 1000;
	/* 999.6 kB would be written as 1000. */
	while (n >= 999.5 && unit + 1 < COUNT(units)) {
		n /= 1000;
		unit++;
	}
	(void)snprintf(
	    text, 16, n < 9.95 ? "%.1f %s" : "%.0f %s", n, units[unit]);
	return text;
}

char *out_time(char text[32], int64_t unix_seconds)
{
	time_t t = (time_t)unix_seconds;
	struct tm tm;

	if (!localtime_r(&t, &tm) ||
	    strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(text, 32, "%" PRId64, unix_seconds);
	return text;
}

void out_count(FILE *out, int64_t n, const char *noun)
{
	(void)fprintf(out, "%" PRId64 " %s%s", n, noun, n == 1 ? "" : "s");
}

int64_t row_int(const struct value *row, const char *key)
{
	const struct value *v = value_get(row, key);

	if (!v)
		return 0;
	switch (v->type) {
	case VALUE_INT:
		return v->i;
	case VALUE_NUMBER:
		return (int64_t)v->n;
	case VALUE_BOOL:
		return v->b;
	default:
		return 0;
	}
}

const char *row_text(const struct value *row, const char *key)
{
	const struct value *v = value_get(row, key);

	return v && v->type == VALUE_STRING ? v->s : NULL;
}

bool row_has(const struct value *row, const char *key)
{
	const struct value *v = value_get(row, key);

	return v && v->type != VALUE_NIL;
}

/* ---- members of any map ---- */

/* What of `key` is shown: "next_due_at" -> "next due". */
static size_t label_len(const char *key, const struct value *v)
{
	size_t len = strlen(key);

	if ((v->type == VALUE_INT || v->type == VALUE_NIL) &&
	    (str_ends(key, "_at") || str_ends(key, "_ms")))
		return len - 3;
	return len;
}

/* NAME_at and NAME_ms say the same, and in local time. */
static bool is_duplicate(const struct value *map, const char *key)
{
	static const char *const endings[] = {"_at", "_ms"};
	char name[80];

	for (size_t i = 0; i < COUNT(endings); i++) {
		int n = snprintf(name, sizeof name, "%s%s", key, endings[i]);

		if (n > 0 && (size_t)n < sizeof name && value_get(map, name))
			return true;
	}
	return false;
}

static void out_number(FILE *out, const char *key, int64_t n)
{
	char text[32];
	/* Durations end in _ms, too; none lasts since 2001. */
	bool time_ms = str_ends(key, "_ms") && n > INT64_C(1000000000000);
	bool time = (str_ends(key, "_at") || str_ends(key, "_until") ||
			str_eq(key, "started")) &&
		    n > 1000000000;

	if (time_ms)
		(void)fputs(out_time(text, n / 1000), out);
	else if (time)
		(void)fputs(out_time(text, n), out);
	else
		(void)fprintf(
		    out, "%" PRId64 "%s", n, str_ends(key, "_ms") ? " ms" : "");
}

static void out_value(FILE *out, const char *key, const struct value *v)
{
	struct buf json = BUF_INIT;

	switch (v->type) {
	case VALUE_NIL:
		(void)fputc('-', out);
		return;
	case VALUE_BOOL:
		(void)fputs(v->b ? "yes" : "no", out);
		return;
	case VALUE_INT:
		out_number(out, key, v->i);
		return;
	case VALUE_STRING:
		out_text_len(out, v->s, v->len);
		return;
	case VALUE_NUMBER:
	case VALUE_LIST:
	case VALUE_MAP:
		json_write(&json, v);
		out_text_len(out, json.data, json.len);
		buf_release(&json);
		return;
	}
}

void out_members(FILE *out, const struct value *map, int indent)
{
	size_t widest = 0;

	VALUE_EACH (e, map) {
		size_t len = label_len(e->key, &e->value);

		if (e->value.type != VALUE_MAP && len > widest)
			widest = len;
	}
	VALUE_EACH (e, map) {
		size_t len = label_len(e->key, &e->value);

		if (is_duplicate(map, e->key))
			continue;
		(void)fprintf(out, "%*s", indent, "");
		for (size_t i = 0; i < len; i++)
			(void)fputc(e->key[i] == '_' ? ' ' : e->key[i], out);
		if (e->value.type == VALUE_MAP && e->value.count) {
			(void)fputs(":\n", out);
			out_members(out, &e->value, indent + 4);
			continue;
		}
		(void)fprintf(
		    out, ":%*s ", len < widest ? (int)(widest - len) : 0, "");
		out_value(out, e->key, &e->value);
		(void)fputc('\n', out);
	}
}

void out_json(FILE *out, const struct buf *json)
{
	struct buf safe = BUF_INIT;

	terminal_add_json(&safe, json->data, json->len);
	buf_addch(&safe, '\n');
	(void)fwrite(safe.data, 1, safe.len, out);
	buf_release(&safe);
}

void out_json_line(FILE *out, const struct value *v)
{
	struct buf json = BUF_INIT;

	json_write(&json, v);
	out_json(out, &json);
	buf_release(&json);
}

/*
 * toml_write.c - values to TOML text
 *
 * Within a table what fits on one line comes first, because it would belong to
 * the sub-table otherwise; then sub-tables; then lists of tables.
 */
#include "base/toml.h"

#include <math.h>

#include "base/diag.h"
#include "base/toml_read.h"

#define DEPTH_MOST 64
#define LIST_WRAPS 4 /* pretty: lists with more than that many entries */

bool toml_parse(const char *text, size_t len, struct arena *arena,
    struct value *out, struct err *err)
{
	char why[512];

	if (toml_read(text, len, arena, out, why, sizeof why))
		return true;
	return err_set(err, ERR_PERM, "%s", why);
}

/* ---- writing ---- */

struct writer {
	struct buf *out;
	bool pretty;
	struct err *err;
};

static bool write_inline(struct writer *w, const struct value *v, int depth);

static void write_string(struct buf *out, const char *s, size_t len)
{
	buf_addch(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c == '\n')
			buf_addstr(out, "\\n");
		else if (c == '\t')
			buf_addstr(out, "\\t");
		else if (c < ' ' || c == 127)
			buf_addf(out, "\\u%04X", c);
		else
			buf_addch(out, (char)c);
	}
	buf_addch(out, '"');
}

static void write_key(struct buf *out, const char *key)
{
	static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789_-";

	if (*key && key[strspn(key, bare)] == '\0')
		buf_addstr(out, key);
	else
		write_string(out, key, strlen(key));
}

static void write_number(struct buf *out, double n)
{
	char text[40];

	if (isnan(n) || isinf(n)) {
		buf_addstr(out, isnan(n) ? "nan" : n < 0 ? "-inf" : "inf");
		return;
	}
	snprintf(text, sizeof text, "%.17g", n);
	buf_addstr(out, text);
	if (!strpbrk(text, ".e"))
		buf_addstr(out, ".0");
}

static bool write_list(struct writer *w, const struct value *v, int depth)
{
	bool wrap = w->pretty && v->count > LIST_WRAPS;

	buf_addch(w->out, '[');
	for (size_t i = 0; i < v->count; i++) {
		if (wrap)
			buf_addstr(w->out, "\n    ");
		else if (i > 0)
			buf_addch(w->out, ' ');
		if (!write_inline(w, &v->items[i], depth + 1))
			return false;
		if (wrap || i + 1 < v->count)
			buf_addch(w->out, ',');
	}
	buf_addstr(w->out, wrap ? "\n]" : "]");
	return true;
}

static bool write_inline(struct writer *w, const struct value *v, int depth)
{
	bool first = true;

	if (depth > DEPTH_MOST)
		return err_set(w->err, ERR_PERM, "nested too deep for TOML");
	switch (v->type) {
	case VALUE_NIL:
		return err_set(w->err, ERR_PERM, "TOML has no nil");
	case VALUE_BOOL:
		buf_addstr(w->out, v->b ? "true" : "false");
		return true;
	case VALUE_INT:
		buf_addint(w->out, v->i);
		return true;
	case VALUE_NUMBER:
		write_number(w->out, v->n);
		return true;
	case VALUE_STRING:
		write_string(w->out, v->s, v->len);
		return true;
	case VALUE_LIST:
		return write_list(w, v, depth);
	case VALUE_MAP:
		break;
	}
	buf_addch(w->out, '{');
	VALUE_EACH (entry, v) {
		if (entry->value.type == VALUE_NIL)
			continue;
		buf_addstr(w->out, first ? " " : ", ");
		first = false;
		write_key(w->out, entry->key);
		buf_addstr(w->out, " = ");
		if (!write_inline(w, &entry->value, depth + 1))
			return err_prefix(w->err, "%s", entry->key);
	}
	buf_addstr(w->out, first ? "}" : " }");
	return true;
}

/* A list of tables, and of nothing else. */
static bool is_tables(const struct value *v)
{
	if (v->type != VALUE_LIST || v->count == 0)
		return false;
	for (size_t i = 0; i < v->count; i++)
		if (v->items[i].type != VALUE_MAP)
			return false;
	return true;
}

static bool has_section(const struct value *v)
{
	return v->type == VALUE_MAP || is_tables(v);
}

static void write_heading(
    struct writer *w, const char *path, const char *open, const char *close)
{
	if (w->out->len > 0)
		buf_addch(w->out, '\n');
	buf_addf(w->out, "%s%s%s\n", open, path, close);
}

static bool write_table(
    struct writer *w, const struct value *v, const char *path, int depth);

/* [path.key] or each [[path.key]]. */
static bool write_section(struct writer *w, const struct value_entry *entry,
    const char *path, int depth)
{
	const struct value *v = &entry->value;
	struct buf name = BUF_INIT;
	bool ok = true;

	if (*path)
		buf_addf(&name, "%s.", path);
	write_key(&name, entry->key);
	if (v->type == VALUE_MAP) {
		write_heading(w, buf_str(&name), "[", "]");
		ok = write_table(w, v, buf_str(&name), depth + 1);
	}
	for (size_t i = 0; ok && v->type == VALUE_LIST && i < v->count; i++) {
		write_heading(w, buf_str(&name), "[[", "]]");
		ok = write_table(w, &v->items[i], buf_str(&name), depth + 1);
	}
	buf_release(&name);
	return ok;
}

static bool write_table(
    struct writer *w, const struct value *v, const char *path, int depth)
{
	if (depth > DEPTH_MOST)
		return err_set(w->err, ERR_PERM, "nested too deep for TOML");
	VALUE_EACH (entry, v) {
		if (entry->value.type == VALUE_NIL ||
		    has_section(&entry->value))
			continue;
		write_key(w->out, entry->key);
		buf_addstr(w->out, " = ");
		if (!write_inline(w, &entry->value, depth))
			return err_prefix(w->err, "%s", entry->key);
		buf_addch(w->out, '\n');
	}
	VALUE_EACH (entry, v)
		if (has_section(&entry->value) &&
		    !write_section(w, entry, path, depth))
			return false;
	return true;
}

bool toml_write(
    struct buf *out, const struct value *v, bool pretty, struct err *err)
{
	struct writer w = {out, pretty, err};

	if (v->type != VALUE_MAP)
		return err_set(err, ERR_PERM,
		    "a TOML document is a table, this is a %s",
		    value_type_name(v->type));
	return write_table(&w, v, "", 0);
}

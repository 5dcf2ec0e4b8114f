/*
 * yaml.c - values from and to YAML text
 */
#include "base/yaml.h"

#include <errno.h>
#include <math.h>
#include <yaml.h>

#include "base/json.h"
#include "base/str.h"

#define DEPTH_MOST 64
#define VALUES_MOST 1000000

struct reader {
	yaml_document_t *document;
	struct arena *arena;
	struct err *err;
	unsigned values;
};

/* ---- scalars ---- */

/* The whole of s as an integer: decimal, 0x, 0o. */
static bool read_int(const char *s, int64_t *out)
{
	const char *digits = s + (*s == '-' || *s == '+');
	char *end;
	long long n;
	int base = 10;

	if (str_starts(digits, "0x"))
		base = 16;
	else if (str_starts(digits, "0o"))
		base = 8;
	if (base != 10 && digits != s)
		return false;
	digits += base == 10 ? 0 : 2;
	if (!strchr("0123456789abcdefABCDEF", *digits) || !*digits)
		return false;
	errno = 0;
	n = strtoll(base == 10 ? s : digits, &end, base);
	if (*end || errno)
		return false;
	*out = n;
	return true;
}

static bool read_number(const char *s, double *out)
{
	static const char chars[] = "0123456789.eE+-";
	const char *unsigned_part = s + (*s == '-' || *s == '+');
	char *end;

	if (str_case_eq(unsigned_part, ".inf")) {
		*out = *s == '-' ? -INFINITY : INFINITY;
		return true;
	}
	if (str_case_eq(s, ".nan")) {
		*out = NAN;
		return true;
	}
	if (s[strspn(s, chars)] || !strpbrk(s, "0123456789"))
		return false;
	*out = strtod(s, &end);
	return *end == '\0';
}

static bool is_one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (str_eq(s, *words))
			return true;
	return false;
}

static const char *const words_nil[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const words_true[] = {"true", "True", "TRUE", NULL};
static const char *const words_false[] = {"false", "False", "FALSE", NULL};

/* What a plain scalar means; false: text. */
static bool resolve(const char *s, struct value *out)
{
	if (is_one_of(s, words_nil)) {
		out->type = VALUE_NIL;
	} else if (is_one_of(s, words_true) || is_one_of(s, words_false)) {
		out->type = VALUE_BOOL;
		out->b = is_one_of(s, words_true);
	} else if (read_int(s, &out->i)) {
		out->type = VALUE_INT;
		out->n = (double)out->i;
	} else if (read_number(s, &out->n)) {
		out->type = VALUE_NUMBER;
	} else {
		return false;
	}
	return true;
}

static void read_scalar(
    struct reader *r, const yaml_node_t *node, struct value *out)
{
	const char *text = (const char *)node->data.scalar.value;
	size_t len = node->data.scalar.length;

	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    strlen(text) == len && resolve(text, out))
		return;
	*out = value_string(r->arena, text, len);
}

/* ---- trees ---- */

static bool read_node(
    struct reader *r, int index, int depth, struct value *out);

static bool complain(
    struct reader *r, const yaml_node_t *node, const char *what)
{
	return err_set(r->err, ERR_PERM, "line %zu: %s",
	    (size_t)node->start_mark.line + 1, what);
}

static bool read_mapping(
    struct reader *r, const yaml_node_t *node, int depth, struct value *out)
{
	const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	const yaml_node_pair_t *end = node->data.mapping.pairs.top;

	out->type = VALUE_MAP;
	out->entries = ARENA_ARRAY(r->arena, struct value_entry, end - pair);
	for (; pair < end; pair++) {
		const yaml_node_t *key =
		    yaml_document_get_node(r->document, pair->key);
		struct value_entry *entry = &out->entries[out->count];
		const char *text;

		if (key->type != YAML_SCALAR_NODE)
			return complain(r, key, "a key must be a scalar");
		text = (const char *)key->data.scalar.value;
		if (strlen(text) != key->data.scalar.length)
			return complain(r, key, "a key holds a NUL");
		if (value_get(out, text))
			return complain(r, key, "a key appears twice");
		entry->key = arena_strdup(r->arena, text);
		if (!read_node(r, pair->value, depth + 1, &entry->value))
			return false;
		out->count++;
	}
	return true;
}

static bool read_sequence(
    struct reader *r, const yaml_node_t *node, int depth, struct value *out)
{
	const yaml_node_item_t *item = node->data.sequence.items.start;
	const yaml_node_item_t *end = node->data.sequence.items.top;

	out->type = VALUE_LIST;
	out->items = ARENA_ARRAY(r->arena, struct value, end - item);
	for (; item < end; item++)
		if (!read_node(r, *item, depth + 1, &out->items[out->count++]))
			return false;
	return true;
}

static bool read_node(struct reader *r, int index, int depth, struct value *out)
{
	const yaml_node_t *node = yaml_document_get_node(r->document, index);

	memset(out, 0, sizeof *out);
	if (depth > DEPTH_MOST)
		return complain(r, node, "nested more than 64 levels deep");
	if (++r->values > VALUES_MOST)
		return complain(r, node, "more than a million values");
	switch (node->type) {
	case YAML_SCALAR_NODE:
		read_scalar(r, node, out);
		return true;
	case YAML_SEQUENCE_NODE:
		return read_sequence(r, node, depth, out);
	case YAML_MAPPING_NODE:
		return read_mapping(r, node, depth, out);
	default:
		return true;
	}
}

bool yaml_parse(const char *text, size_t len, struct arena *arena,
    struct value *out, struct err *err)
{
	struct reader r = {NULL, arena, err, 0};
	yaml_document_t document;
	yaml_parser_t parser;
	bool ok;

	memset(out, 0, sizeof *out);
	if (!yaml_parser_initialize(&parser))
		return err_set(err, ERR_TEMP, "no memory for a YAML parser");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &document)) {
		ok = err_set(err, ERR_PERM, "line %zu: %s",
		    (size_t)parser.problem_mark.line + 1,
		    parser.problem ? parser.problem : "not YAML");
		yaml_parser_delete(&parser);
		return ok;
	}
	r.document = &document;
	ok =
	    !yaml_document_get_root_node(&document) || read_node(&r, 1, 0, out);
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
	return ok;
}

/* ---- writing ---- */

/* Letters, digits and harmless marks, and nothing that resolves to something
 * else: may stand without quotes. */
static bool is_plain(const char *s, size_t len)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789_./@";
	static const char *const yes_or_no[] = {"y", "Y", "yes", "Yes", "YES",
	    "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF",
	    NULL};
	struct value v = {0};

	return len > 0 && strspn(s, chars) == len && !strchr("@./", *s) &&
	       !resolve(s, &v) && !is_one_of(s, yes_or_no);
}

static void write_text(struct buf *out, const char *s, size_t len)
{
	if (is_plain(s, len))
		buf_add(out, s, len);
	else
		json_write_string(out, s, len);
}

static void write_scalar(struct buf *out, const struct value *v)
{
	if (v->type == VALUE_STRING)
		write_text(out, v->s, v->len);
	else if (v->type == VALUE_LIST)
		buf_addstr(out, "[]");
	else if (v->type == VALUE_NUMBER && isnan(v->n))
		buf_addstr(out, ".nan");
	else if (v->type == VALUE_NUMBER && isinf(v->n))
		buf_addstr(out, v->n < 0 ? "-.inf" : ".inf");
	else
		json_write(out, v); /* also {} */
}

static bool is_block(const struct value *v)
{
	return (v->type == VALUE_LIST || v->type == VALUE_MAP) && v->count > 0;
}

/* `is_open`: the line was begun, by the "- " of the list around it. */
static void write_block(
    struct buf *out, const struct value *v, int depth, bool is_open)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct value *item;

		for (int n = 0; n < depth && !(is_open && i == 0); n++)
			buf_addstr(out, "  ");
		if (v->type == VALUE_LIST) {
			item = &v->items[i];
			buf_addstr(out, "- ");
			if (is_block(item)) {
				write_block(out, item, depth + 1, true);
				continue;
			}
		} else {
			item = &v->entries[i].value;
			write_text(
			    out, v->entries[i].key, strlen(v->entries[i].key));
			buf_addch(out, ':');
			if (is_block(item)) {
				buf_addch(out, '\n');
				write_block(out, item, depth + 1, false);
				continue;
			}
			buf_addch(out, ' ');
		}
		write_scalar(out, item);
		buf_addch(out, '\n');
	}
}

void yaml_write(struct buf *out, const struct value *v)
{
	if (is_block(v)) {
		write_block(out, v, 0, false);
		return;
	}
	write_scalar(out, v);
	buf_addch(out, '\n');
}

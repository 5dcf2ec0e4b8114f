/*
 * template.c - compiles a template to a list of pieces and renders them
 *
 * A piece is text or an expression; an expression is an operand and the filters
 * that it goes through.  Values that filters make live in an arena of the
 * rendering.
 */
#include "policy/template.h"

#include "base/json.h"
#include "base/str.h"
#include "policy/template_parse.h"

struct rendering {
	const struct value *variables;
	struct arena *arena;
};

static const struct value nothing = {.type = VALUE_NIL};

static bool evaluate(const struct template_operand *o, struct rendering *r,
    struct value *out, struct err *err);

static const struct value *element(
    const struct value *v, const struct value *key)
{
	const struct value *found = NULL;

	if (v->type == VALUE_MAP && key->type == VALUE_STRING)
		found = value_get(v, key->s);
	else if (v->type == VALUE_LIST && key->type == VALUE_INT &&
		 key->i >= 0 && (uint64_t)key->i < v->count)
		found = &v->items[key->i];
	return found ? found : &nothing;
}

static bool evaluate(const struct template_operand *o, struct rendering *r,
    struct value *out, struct err *err)
{
	const struct value *v;

	if (!o->is_lookup) {
		*out = o->literal;
		return true;
	}
	v = element(r->variables, &o->literal);
	for (size_t i = 0; i < o->path_count; i++) {
		struct value key;

		if (!evaluate(&o->path[i], r, &key, err))
			return false;
		if (v->type == VALUE_NIL)
			return err_set(err, ERR_PERM,
			    "a lookup in something that is not defined");
		v = element(v, &key);
	}
	*out = *v;
	return true;
}

/* As it would stand in the text. */
static struct value as_text(const struct value *v, struct arena *arena)
{
	struct buf text = BUF_INIT;
	struct value out;

	switch (v->type) {
	case VALUE_STRING:
		return *v;
	case VALUE_NIL:
		break;
	default:
		json_write(&text, v);
	}
	out = value_string(arena, buf_str(&text), text.len);
	buf_release(&text);
	return out;
}

/* Filters: value in, value out. */

static struct value map_bytes(const struct value *v, struct arena *arena,
    char first, char last, int shift)
{
	struct value text = as_text(v, arena);
	char *copy = arena_strndup(arena, text.s, text.len);

	for (size_t i = 0; i < text.len; i++)
		if (copy[i] >= first && copy[i] <= last)
			copy[i] = (char)(copy[i] + shift);
	text.s = copy;
	return text;
}

static bool filter_lower(struct value *v, const struct value *args,
    struct arena *arena, struct err *err)
{
	*v = map_bytes(v, arena, 'A', 'Z', 'a' - 'A');
	return true;
}

static bool filter_upper(struct value *v, const struct value *args,
    struct arena *arena, struct err *err)
{
	*v = map_bytes(v, arena, 'a', 'z', 'A' - 'a');
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool filter_trim(struct value *v, const struct value *args,
    struct arena *arena, struct err *err)
{
	struct value text = as_text(v, arena);
	size_t from = 0;

	while (from < text.len && is_space(text.s[from]))
		from++;
	while (text.len > from && is_space(text.s[text.len - 1]))
		text.len--;
	*v = value_string(arena, text.s + from, text.len - from);
	return true;
}

static bool filter_default(struct value *v, const struct value *args,
    struct arena *arena, struct err *err)
{
	if (v->type == VALUE_NIL)
		*v = args[0];
	return true;
}

static bool filter_replace(struct value *v, const struct value *args,
    struct arena *arena, struct err *err)
{
	struct value text = as_text(v, arena);
	struct value from = as_text(&args[0], arena);
	struct value to = as_text(&args[1], arena);
	struct buf out = BUF_INIT;
	size_t i = 0;

	if (from.len == 0)
		return err_set(
		    err, ERR_PERM, "replace: there is nothing to look for");
	while (i < text.len) {
		if (text.len - i >= from.len &&
		    memcmp(text.s + i, from.s, from.len) == 0) {
			buf_add(&out, to.s, to.len);
			i += from.len;
		} else {
			buf_addch(&out, text.s[i++]);
		}
	}
	*v = value_string(arena, buf_str(&out), out.len);
	buf_release(&out);
	return true;
}

static bool filter_tojson(struct value *v, const struct value *args,
    struct arena *arena, struct err *err)
{
	struct buf out = BUF_INIT;

	json_write(&out, v);
	*v = value_string(arena, buf_str(&out), out.len);
	buf_release(&out);
	return true;
}

/* Of text, the characters, not the bytes. */
static bool filter_length(struct value *v, const struct value *args,
    struct arena *arena, struct err *err)
{
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
		return err_set(err, ERR_PERM, "length: a %s has none",
		    value_type_name(v->type));
	}
	*v = (struct value){.type = VALUE_INT, .i = n};
	return true;
}

static const struct template_filter_kind filters[] = {
    {"lower", 0, 0, filter_lower},
    {"upper", 0, 0, filter_upper},
    {"trim", 0, 0, filter_trim},
    {"default", 1, 1, filter_default},
    {"replace", 2, 2, filter_replace},
    {"tojson", 0, 0, filter_tojson},
    {"length", 0, 0, filter_length},
};

const struct template_filter_kind *template_filter_find(
    const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT(filters); i++)
		if (strlen(filters[i].name) == len &&
		    memcmp(filters[i].name, name, len) == 0)
			return &filters[i];
	return NULL;
}

static bool expression_text(const struct template_piece *piece,
    struct rendering *r, struct value *out, struct err *err)
{
	struct value v;

	if (!evaluate(&piece->operand, r, &v, err))
		return false;
	for (size_t i = 0; i < piece->filter_count; i++) {
		const struct template_filter *f = &piece->filters[i];
		struct value args[TEMPLATE_MAX_ARGS] = {0};

		for (size_t j = 0; j < f->arg_count; j++)
			if (!evaluate(&f->args[j], r, &args[j], err))
				return false;
		if (!f->kind->apply(&v, args, r->arena, err))
			return false;
	}
	*out = as_text(&v, r->arena);
	return true;
}

bool template_render(const struct template *t, const struct value *variables,
    template_check_fn *check, void *ctx, struct buf *out, struct err *err)
{
	struct rendering r = {variables, arena_new(0)};
	bool ok = true;

	for (size_t i = 0; ok && i < t->count; i++) {
		const struct template_piece *piece = &t->pieces[i];
		struct value v = nothing;

		if (!piece->is_expression) {
			buf_add(out, piece->text, piece->len);
			continue;
		}
		ok = expression_text(piece, &r, &v, err) ||
		     err_prefix(err, "{{ %s }}", piece->text);
		if (ok && check)
			ok = check(piece->text, v.s, v.len, ctx, err);
		if (ok)
			buf_add(out, v.s, v.len);
	}
	arena_unref(r.arena);
	return ok;
}

bool template_check_file_name(const char *expression, const char *result,
    size_t len, void *ctx, struct err *err)
{
	const char *what = NULL;

	if (len == 0)
		what = "it is empty";
	else if (memchr(result, '\0', len))
		what = "it contains a NUL byte";
	else if (memchr(result, '/', len))
		what = "it contains a slash";
	else if ((len == 1 && result[0] == '.') ||
		 (len == 2 && memcmp(result, "..", 2) == 0))
		what = "it names another directory";
	return !what ||
	       err_set(err, ERR_PERM, "{{ %s }} is not fit for a path: %s",
		   expression, what);
}

/*
 * template_run.c - evaluates expressions of a template, inside its limits
 */
#include "policy/template_run.h"

#include "base/json.h"
#include "base/str.h"

const char template_safe[] = "safe text";

static const struct value nothing = {.type = VALUE_NIL};

bool template_work(struct template_run *run, size_t cost, struct err *err)
{
	run->work += cost;
	return run->work <= TEMPLATE_MAX_WORK ||
	       err_set(err, ERR_CONFIG,
		   "the template does more than a rendering may");
}

struct value template_bool(bool b)
{
	return (struct value){.type = VALUE_BOOL, .b = b};
}

bool template_is_true(const struct value *v)
{
	switch (v->type) {
	case VALUE_BOOL:
		return v->b;
	case VALUE_INT:
		return v->i != 0;
	case VALUE_NUMBER:
		return v->n != 0;
	case VALUE_STRING:
		return v->len > 0;
	case VALUE_LIST:
	case VALUE_MAP:
		return v->count > 0;
	default:
		return false;
	}
}

bool template_take_text(struct template_run *run, struct buf *text,
    struct value *out, struct err *err)
{
	bool ok = text->len <= TEMPLATE_MAX_TEXT ||
		  err_set(err, ERR_CONFIG, "a text is longer than %u bytes",
		      TEMPLATE_MAX_TEXT);

	ok = ok && template_work(run, text->len, err);
	if (ok)
		*out = value_string(run->arena, buf_str(text), text->len);
	buf_release(text);
	return ok;
}

/* What a value weighs as text, about; counted before it is written. */
static size_t weight(const struct value *v)
{
	size_t n = 32;

	if (v->type == VALUE_STRING)
		n += v->len;
	else if (v->type == VALUE_LIST)
		for (size_t i = 0; i < v->count; i++)
			n += weight(&v->items[i]);
	else if (v->type == VALUE_MAP)
		VALUE_EACH (entry, v)
			n += strlen(entry->key) + weight(&entry->value);
	return n;
}

bool template_as_text(struct template_run *run, const struct value *v,
    struct value *out, struct err *err)
{
	struct buf text = BUF_INIT;

	if (v->type == VALUE_STRING) {
		*out = *v;
		return template_work(run, v->len, err);
	}
	if (!template_work(run, weight(v), err))
		return false;
	if (v->type != VALUE_NIL)
		json_write(&text, v);
	return template_take_text(run, &text, out, err);
}

bool template_items(struct template_run *run, const struct value *v,
    struct value *list, struct err *err)
{
	size_t n = 0;

	*list = (struct value){.type = VALUE_LIST};
	if (v->type == VALUE_NIL)
		return true;
	if (v->type == VALUE_LIST) {
		*list = *v;
		return true;
	}
	if (v->type != VALUE_MAP && v->type != VALUE_STRING)
		return err_set(err, ERR_CONFIG,
		    "expected a list, a map or a string, not a %s",
		    value_type_name(v->type));
	list->count = v->type == VALUE_MAP ? v->count : v->len;
	if (!template_work(run, list->count * TEMPLATE_STEP, err))
		return false;
	list->items = ARENA_ARRAY(run->arena, struct value, list->count + 1);
	if (v->type == VALUE_MAP) {
		VALUE_EACH (entry, v)
			list->items[n++] = value_string(
			    run->arena, entry->key, strlen(entry->key));
		return true;
	}
	for (size_t at = 0; at < v->len;) {
		size_t step = str_utf8_step(v->s + at, v->len - at);

		step = step ? step : 1;
		list->items[n++] = value_string(run->arena, v->s + at, step);
		at += step;
	}
	list->count = n;
	return true;
}

static bool is_number(const struct value *v)
{
	return v->type == VALUE_INT || v->type == VALUE_NUMBER;
}

bool template_compare(
    const struct value *a, const struct value *b, int *order, struct err *err)
{
	if (a->type == VALUE_INT && b->type == VALUE_INT) {
		*order = (a->i > b->i) - (a->i < b->i);
	} else if (is_number(a) && is_number(b)) {
		double x = a->type == VALUE_INT ? (double)a->i : a->n;
		double y = b->type == VALUE_INT ? (double)b->i : b->n;

		*order = (x > y) - (x < y);
	} else if (a->type == VALUE_STRING && b->type == VALUE_STRING) {
		size_t len = a->len < b->len ? a->len : b->len;

		*order = memcmp(a->s, b->s, len);
		if (*order == 0)
			*order = (a->len > b->len) - (a->len < b->len);
	} else {
		return err_set(err, ERR_CONFIG,
		    "expected two numbers or two strings to compare, not a %s "
		    "and a %s",
		    value_type_name(a->type), value_type_name(b->type));
	}
	return true;
}

static const struct value *key_of(
    const struct value *map, const struct value *key)
{
	if (key->type != VALUE_STRING || strlen(key->s) != key->len)
		return NULL;
	return value_get(map, key->s);
}

bool template_contains(struct template_run *run, const struct value *in,
    const struct value *what, bool *found, struct err *err)
{
	struct value text;

	*found = false;
	switch (in->type) {
	case VALUE_NIL:
		return true;
	case VALUE_LIST:
		for (size_t i = 0; i < in->count && !*found; i++) {
			if (!template_work(run, weight(&in->items[i]), err))
				return false;
			*found = value_eq(&in->items[i], what);
		}
		return true;
	case VALUE_MAP:
		*found = key_of(in, what) != NULL;
		return template_work(run, in->count, err);
	case VALUE_STRING:
		if (!template_as_text(run, what, &text, err))
			return false;
		*found = memmem(in->s, in->len, text.s, text.len) != NULL;
		return template_work(run, in->len, err);
	default:
		return err_set(err, ERR_CONFIG,
		    "expected a list, a map or a string behind in, not a %s",
		    value_type_name(in->type));
	}
}

static struct value variable(struct template_run *run, const struct value *name)
{
	const struct value *found;

	for (const struct template_binding *b = run->bindings; b; b = b->next)
		if (strcmp(b->name, name->s) == 0)
			return b->value;
	found = run->variables->type == VALUE_MAP
		    ? value_get(run->variables, name->s)
		    : NULL;
	return found ? *found : nothing;
}

static bool element(const struct value *v, const struct value *key,
    struct value *out, struct err *err)
{
	const struct value *found = NULL;
	int64_t at = key->i;

	if (v->type == VALUE_NIL)
		return err_set(err, ERR_CONFIG,
		    "a lookup in something that is not defined");
	if (v->type == VALUE_MAP) {
		found = key_of(v, key);
	} else if (v->type == VALUE_LIST && key->type == VALUE_INT) {
		if (at < 0)
			at += (int64_t)v->count;
		if (at >= 0 && (uint64_t)at < v->count)
			found = &v->items[at];
	}
	*out = found ? *found : nothing;
	return true;
}

/* Flat, so that no value that a template makes grows with the steps. */
static bool make_list(const struct template_expr *e, struct template_run *run,
    struct value *out, struct err *err)
{
	struct value list = {.type = VALUE_LIST, .count = e->arg_count};

	list.items = ARENA_ARRAY(run->arena, struct value, e->arg_count + 1);
	for (size_t i = 0; i < e->arg_count; i++) {
		struct value *item = &list.items[i];

		if (!template_evaluate(e->args[i], run, item, err))
			return false;
		if (item->type == VALUE_LIST || item->type == VALUE_MAP)
			return err_set(err, ERR_CONFIG,
			    "expected a string, a number or a boolean in a "
			    "list, not a %s",
			    value_type_name(item->type));
	}
	*out = list;
	return true;
}

static bool concat(struct template_run *run, const struct value *args,
    struct value *out, struct err *err)
{
	struct buf text = BUF_INIT;
	struct value a, b;

	if (!template_as_text(run, &args[0], &a, err) ||
	    !template_as_text(run, &args[1], &b, err))
		return false;
	buf_add(&text, a.s, a.len);
	buf_add(&text, b.s, b.len);
	return template_take_text(run, &text, out, err);
}

static bool ordered(enum template_expr_kind kind, const struct value *args,
    struct value *out, struct err *err)
{
	int order = 0;

	if (!template_compare(&args[0], &args[1], &order, err))
		return false;
	*out = template_bool(kind == EXPR_LT   ? order < 0
			     : kind == EXPR_LE ? order <= 0
			     : kind == EXPR_GT ? order > 0
					       : order >= 0);
	return true;
}

static bool operate(const struct template_expr *e, struct template_run *run,
    const struct value *args, struct value *out, struct err *err)
{
	bool found;

	switch (e->kind) {
	case EXPR_ELEMENT:
		return template_work(run, 4 * args[0].count, err) &&
		       element(&args[0], &args[1], out, err);
	case EXPR_NOT:
		*out = template_bool(!template_is_true(&args[0]));
		return true;
	case EXPR_EQ:
	case EXPR_NE:
		*out = template_bool(
		    value_eq(&args[0], &args[1]) == (e->kind == EXPR_EQ));
		return template_work(run, weight(&args[0]), err);
	case EXPR_IN:
		if (!template_contains(run, &args[1], &args[0], &found, err))
			return false;
		*out = template_bool(found);
		return true;
	case EXPR_CONCAT:
		return concat(run, args, out, err);
	case EXPR_METHOD:
		if (args[0].type != VALUE_STRING)
			return err_set(err, ERR_CONFIG,
			    "%s: expected a string before the dot, not a %s",
			    e->call->name, value_type_name(args[0].type));
		/* fall through */
	case EXPR_FILTER:
	case EXPR_TEST:
		return e->call->apply(run, args, e->arg_count, out, err);
	default:
		return ordered(e->kind, args, out, err);
	}
}

bool template_evaluate(const struct template_expr *e, struct template_run *run,
    struct value *out, struct err *err)
{
	struct value args[TEMPLATE_MAX_ARGS] = {0};

	if (!template_work(run, TEMPLATE_STEP, err))
		return false;
	switch (e->kind) {
	case EXPR_LITERAL:
		*out = e->literal;
		return true;
	case EXPR_NAME:
		*out = variable(run, &e->literal);
		return true;
	case EXPR_LIST:
		return make_list(e, run, out, err);
	case EXPR_AND:
	case EXPR_OR:
		if (!template_evaluate(e->args[0], run, out, err))
			return false;
		return template_is_true(out) == (e->kind == EXPR_OR) ||
		       template_evaluate(e->args[1], run, out, err);
	default:
		break;
	}
	for (size_t i = 0; i < e->arg_count; i++)
		if (!template_evaluate(e->args[i], run, &args[i], err))
			return false;
	return operate(e, run, args, out, err);
}

/*
 * template.c - renders a template: text, output, if, for and set
 *
 * Values that expressions make live in an arena of the rendering.
 */
#include "policy/template.h"

#include "base/json.h"
#include "policy/template_run.h"

struct rendering {
	struct template_run run;
	template_check_fn *check;
	void *ctx;
	struct buf *out;
	size_t from; /* where ours begins in out */
	struct err *err;
};

static void add_html(struct buf *out, const struct value *text)
{
	static const char *const entities[256] = {['&'] = "&amp;",
	    ['<'] = "&lt;",
	    ['>'] = "&gt;",
	    ['"'] = "&quot;",
	    ['\''] = "&#x27;",
	    ['/'] = "&#x2f;"};

	for (size_t i = 0; i < text->len; i++) {
		const char *entity = entities[(unsigned char)text->s[i]];

		if (entity)
			buf_addstr(out, entity);
		else
			buf_addch(out, text->s[i]);
	}
}

/* As it goes into the result, escaped. */
static bool output_text(
    struct rendering *r, const struct value *v, struct value *out)
{
	struct template_run *run = &r->run;
	struct buf text = BUF_INIT;

	if (!template_as_text(run, v, out, r->err))
		return false;
	if (run->escape == ESCAPE_NONE || v->type == VALUE_NIL ||
	    (v->type == VALUE_STRING && v->kind == template_safe))
		return true;
	if (run->escape == ESCAPE_HTML)
		add_html(&text, out);
	else
		json_write(&text, v);
	return template_take_text(run, &text, out, r->err);
}

static bool add(struct rendering *r, const char *text, size_t len)
{
	if (r->out->len - r->from + len > TEMPLATE_MAX_TEXT)
		return err_set(r->err, ERR_CONFIG,
		    "the result is longer than %u bytes", TEMPLATE_MAX_TEXT);
	buf_add(r->out, text, len);
	return template_work(&r->run, TEMPLATE_STEP + len, r->err);
}

static bool evaluate(
    struct rendering *r, const struct template_node *node, struct value *v)
{
	return template_evaluate(node->expr, &r->run, v, r->err) ||
	       err_prefix(r->err, "line %zu: %s", node->line, node->text);
}

static bool render_output(struct rendering *r, const struct template_node *node)
{
	struct value v, text;

	if (!evaluate(r, node, &v))
		return false;
	if (!output_text(r, &v, &text))
		return err_prefix(
		    r->err, "line %zu: %s", node->line, node->text);
	if (r->check && !r->check(node->text, text.s, text.len, r->ctx, r->err))
		return false;
	return add(r, text.s, text.len) ||
	       err_prefix(r->err, "line %zu: %s", node->line, node->text);
}

static void bind(struct rendering *r, const char *name, struct value v)
{
	struct template_binding *b =
	    ARENA_NEW(r->run.arena, struct template_binding);

	*b = (struct template_binding){name, v, r->run.bindings};
	r->run.bindings = b;
}

static bool render_block(
    struct rendering *r, const struct template_block *block);

static bool render_if(struct rendering *r, const struct template_node *node)
{
	for (;;) {
		struct value v;

		if (!evaluate(r, node, &v))
			return false;
		if (template_is_true(&v))
			return render_block(r, &node->body);
		if (!node->elif)
			return render_block(r, &node->other);
		node = node->elif;
	}
}

/* What `loop` is in the step `i` of `n`. */
static struct value loop_value(struct rendering *r, size_t i, size_t n)
{
	const struct value_entry entries[] = {
	    {"index", {.type = VALUE_INT, .i = (int64_t)i + 1}},
	    {"index0", {.type = VALUE_INT, .i = (int64_t)i}},
	    {"revindex", {.type = VALUE_INT, .i = (int64_t)(n - i)}},
	    {"revindex0", {.type = VALUE_INT, .i = (int64_t)(n - i) - 1}},
	    {"first", template_bool(i == 0)},
	    {"last", template_bool(i + 1 == n)},
	    {"length", {.type = VALUE_INT, .i = (int64_t)n}},
	};

	return (struct value){.type = VALUE_MAP,
	    .count = COUNT(entries),
	    .entries = arena_memdup(r->run.arena, entries, sizeof entries)};
}

/* One name takes the item; two take a pair, or key and value of `of`. */
static bool bind_item(struct rendering *r, const struct template_node *node,
    const struct value *of, const struct value *item, size_t i)
{
	if (!node->names[1]) {
		bind(r, node->names[0], *item);
		return true;
	}
	if (of->type == VALUE_MAP) {
		bind(r, node->names[0], *item);
		bind(r, node->names[1], of->entries[i].value);
		return true;
	}
	if (item->type != VALUE_LIST || item->count != 2)
		return err_set(r->err, ERR_CONFIG,
		    "line %zu: for %s, %s: expected a map or pairs, not a %s",
		    node->line, node->names[0], node->names[1],
		    value_type_name(item->type));
	bind(r, node->names[0], item->items[0]);
	bind(r, node->names[1], item->items[1]);
	return true;
}

static bool render_for(struct rendering *r, const struct template_node *node)
{
	const struct template_binding *outside = r->run.bindings;
	struct value of, list;
	bool ok = true;

	if (!evaluate(r, node, &of))
		return false;
	if (!template_items(&r->run, &of, &list, r->err))
		return err_prefix(
		    r->err, "line %zu: %s", node->line, node->text);
	if (list.count == 0)
		return render_block(r, &node->other);
	for (size_t i = 0; ok && i < list.count; i++) {
		/* A step takes about a KiB of the arena. */
		ok = template_work(&r->run, 8 * TEMPLATE_STEP, r->err) ||
		     err_prefix(r->err, "line %zu: for", node->line);
		if (!ok)
			break;
		bind(r, "loop", loop_value(r, i, list.count));
		ok = bind_item(r, node, &of, &list.items[i], i) &&
		     render_block(r, &node->body);
		r->run.bindings = outside;
	}
	return ok;
}

static bool render_node(struct rendering *r, const struct template_node *node)
{
	struct value v;

	switch (node->kind) {
	case NODE_TEXT:
		return add(r, node->text, node->len) ||
		       err_prefix(r->err, "line %zu", node->line);
	case NODE_OUTPUT:
		return render_output(r, node);
	case NODE_IF:
		return render_if(r, node);
	case NODE_FOR:
		return render_for(r, node);
	case NODE_SET:
		if (!evaluate(r, node, &v))
			return false;
		bind(r, node->names[0], v);
		return true;
	}
	return false;
}

static bool render_block(
    struct rendering *r, const struct template_block *block)
{
	for (size_t i = 0; i < block->count; i++)
		if (!render_node(r, &block->nodes[i]))
			return false;
	return true;
}

bool template_render(const struct template *t, const struct value *variables,
    template_check_fn *check, void *ctx, struct buf *out, struct err *err)
{
	struct rendering r = {
	    .run = {.variables = variables,
		.arena = arena_new(0),
		.escape = t->escape},
	    .check = check,
	    .ctx = ctx,
	    .out = out,
	    .from = out->len,
	    .err = err,
	};
	bool ok = render_block(&r, &t->body);

	arena_unref(r.run.arena);
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

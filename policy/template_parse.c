/*
 * template_parse.c - text and statements of the grammar of template.h
 *
 * Errors give line and column, counted from 1, of the template; where that
 * stands is known by whoever compiles it.
 */
#include "policy/template_parse.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/array.h"
#include "base/str.h"

/* Of blocks and expressions in each other. */
#define MAX_DEPTH 32

struct nodes {
	struct template_node *items;
	size_t count, size;
};

/* The statement that a block ended at; no name: the template did. */
struct word {
	const char *s;
	size_t len;
};

size_t template_line(const struct template_parser *p)
{
	size_t line = 1;

	for (const char *s = p->text; s < p->at; s++)
		line += *s == '\n';
	return line;
}

bool template_wrong(struct template_parser *p, const char *fmt, ...)
{
	const char *begin = p->at;
	char what[256];
	va_list ap;

	while (begin > p->text && begin[-1] != '\n')
		begin--;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return err_set(p->err, ERR_CONFIG, "template: line %zu, column %zu: %s",
	    template_line(p), (size_t)(p->at - begin) + 1, what);
}

bool template_deeper(struct template_parser *p)
{
	return ++p->depth <= MAX_DEPTH ||
	       template_wrong(p, "nested too deeply");
}

static bool is(struct word w, const char *name)
{
	return strlen(name) == w.len && memcmp(name, w.s, w.len) == 0;
}

/* `end` is "}}" or "%}", with a dash or without. */
static bool parse_end(struct template_parser *p, const char *end)
{
	template_skip_space(p);
	p->strip_next = *p->at == '-' && str_starts(p->at + 1, end);
	if (p->strip_next)
		p->at++;
	return template_take(p, end) || template_wrong(p, "expected %s", end);
}

static bool parse_block(
    struct template_parser *p, struct template_block *block, struct word *end);

/* The expression, and its source for messages. */
static bool parse_expr(struct template_parser *p, struct template_node *node)
{
	const char *begin, *end;

	template_skip_space(p);
	begin = p->at;
	node->expr = template_expr_parse(p);
	if (!node->expr)
		return false;
	end = p->at;
	while (end > begin && strchr(" \t\r\n", end[-1]))
		end--;
	node->len = (size_t)(end - begin);
	node->text = arena_strndup(p->arena, begin, node->len);
	return true;
}

static bool parse_name(struct template_parser *p, const char **name)
{
	size_t len = template_name(p);

	if (len == 0 || template_is_keyword(p->at, len))
		return template_wrong(p, "expected the name of a variable");
	*name = arena_strndup(p->arena, p->at, len);
	p->at += len;
	return true;
}

static bool expect_end_of(struct template_parser *p,
    const struct template_node *node, struct word end, const char *name)
{
	if (!is(end, name)) {
		if (end.len > 0)
			p->at = end.s;
		return template_wrong(p,
		    "expected {%% %s %%}, of the statement in line %zu", name,
		    node->line);
	}
	return parse_end(p, "%}");
}

static bool parse_if(struct template_parser *p, struct template_node *node)
{
	const struct template_node *first = node;
	struct word end;

	for (;;) {
		struct template_node *next;

		if (!parse_expr(p, node) || !parse_end(p, "%}") ||
		    !parse_block(p, &node->body, &end))
			return false;
		if (!is(end, "elif"))
			break;
		next = ARENA_NEW(p->arena, struct template_node);
		next->kind = NODE_IF;
		next->line = template_line(p);
		node->elif = next;
		node = next;
	}
	if (is(end, "else") &&
	    (!parse_end(p, "%}") || !parse_block(p, &node->other, &end)))
		return false;
	return expect_end_of(p, first, end, "endif");
}

static bool parse_for(struct template_parser *p, struct template_node *node)
{
	struct word end;

	if (!parse_name(p, &node->names[0]))
		return false;
	if (template_take(p, ",") && !parse_name(p, &node->names[1]))
		return false;
	if (!template_take_word(p, "in"))
		return template_wrong(p, "expected in");
	if (!parse_expr(p, node) || !parse_end(p, "%}") ||
	    !parse_block(p, &node->body, &end))
		return false;
	if (is(end, "else") &&
	    (!parse_end(p, "%}") || !parse_block(p, &node->other, &end)))
		return false;
	return expect_end_of(p, node, end, "endfor");
}

static bool parse_set(struct template_parser *p, struct template_node *node)
{
	if (!parse_name(p, &node->names[0]))
		return false;
	if (!template_take(p, "="))
		return template_wrong(p, "expected =");
	return parse_expr(p, node) && parse_end(p, "%}");
}

static bool is_later(struct word w)
{
	static const char *const later[] = {"autoescape", "block", "break",
	    "call", "continue", "do", "extends", "filter", "from", "import",
	    "include", "macro", "raw", "with"};

	for (size_t i = 0; i < COUNT(later); i++)
		if (is(w, later[i]))
			return true;
	return false;
}

static bool ends_block(struct word w)
{
	return is(w, "elif") || is(w, "else") || is(w, "endif") ||
	       is(w, "endfor");
}

static bool parse_statement(
    struct template_parser *p, struct word word, struct template_node *node)
{
	if (is(word, "if")) {
		node->kind = NODE_IF;
		return parse_if(p, node);
	}
	if (is(word, "for")) {
		node->kind = NODE_FOR;
		return parse_for(p, node);
	}
	if (is(word, "set")) {
		node->kind = NODE_SET;
		return parse_set(p, node);
	}
	p->at = word.s;
	if (is_later(word))
		return template_wrong(p, "statement %.*s is not supported yet",
		    (int)word.len, word.s);
	return template_wrong(p, "expected if, for or set");
}

/* Up to the next tag; a dash in that takes the white space before it. */
static void parse_text(struct template_parser *p, struct nodes *nodes)
{
	const char *begin, *end;
	struct template_node node = {.line = template_line(p)};

	if (p->strip_next)
		template_skip_space(p);
	p->strip_next = false;
	begin = end = p->at;
	while (*end && !(*end == '{' && end[1] && strchr("{%#", end[1])))
		end++;
	p->at = end;
	if (*end && end[2] == '-')
		while (end > begin && strchr(" \t\r\n", end[-1]))
			end--;
	if (end == begin)
		return;
	node.len = (size_t)(end - begin);
	node.text = arena_strndup(p->arena, begin, node.len);
	*ARRAY_ADD(nodes) = node;
}

static bool parse_comment(struct template_parser *p)
{
	const char *end = strstr(p->at + 2, "#}");

	if (!end)
		return template_wrong(p, "a comment does not end, expected #}");
	p->strip_next = end > p->at + 2 && end[-1] == '-';
	p->at = end + 2;
	return true;
}

/* At a tag.  end->len: it is for whoever opened the block. */
static bool parse_tag(
    struct template_parser *p, struct nodes *nodes, struct word *end)
{
	struct template_node node = {.line = template_line(p)};
	bool is_statement = p->at[1] == '%';

	if (p->at[1] == '#')
		return parse_comment(p);
	p->at += 2;
	if (*p->at == '-')
		p->at++;
	if (is_statement) {
		struct word word = {.len = template_name(p)};

		word.s = p->at;
		p->at += word.len;
		if (ends_block(word)) {
			*end = word;
			return true;
		}
		if (!parse_statement(p, word, &node))
			return false;
	} else {
		node.kind = NODE_OUTPUT;
		if (!parse_expr(p, &node) || !parse_end(p, "}}"))
			return false;
	}
	*ARRAY_ADD(nodes) = node;
	return true;
}

static bool parse_block(
    struct template_parser *p, struct template_block *block, struct word *end)
{
	struct nodes nodes = {0};
	bool ok = template_deeper(p);

	*end = (struct word){p->at, 0};
	while (ok && end->len == 0 && *p->at) {
		parse_text(p, &nodes);
		if (*p->at)
			ok = parse_tag(p, &nodes, end);
	}
	p->depth--;
	if (nodes.count > 0)
		block->nodes = arena_memdup(
		    p->arena, nodes.items, nodes.count * sizeof *nodes.items);
	block->count = nodes.count;
	ARRAY_FREE(&nodes);
	return ok;
}

static enum template_escape escape_of(const char *name)
{
	static const struct {
		const char *suffix;
		enum template_escape escape;
	} suffixes[] = {{".html", ESCAPE_HTML}, {".htm", ESCAPE_HTML},
	    {".xml", ESCAPE_HTML}, {".json", ESCAPE_JSON}, {".js", ESCAPE_JSON},
	    {".yaml", ESCAPE_JSON}};

	for (size_t i = 0; i < COUNT(suffixes); i++)
		if (str_ends(name, suffixes[i].suffix))
			return suffixes[i].escape;
	return ESCAPE_NONE;
}

const struct template *template_compile_named(
    const char *name, const char *text, struct arena *arena, struct err *err)
{
	struct template_parser p = {
	    .text = text, .at = text, .arena = arena, .err = err};
	struct template *t = ARENA_NEW(arena, struct template);
	struct word end;

	t->escape = escape_of(name);
	if (!parse_block(&p, &t->body, &end))
		return NULL;
	if (end.len > 0) {
		p.at = end.s;
		template_wrong(
		    &p, "%.*s does not belong here", (int)end.len, end.s);
		return NULL;
	}
	return t;
}

const struct template *template_compile(
    const char *text, struct arena *arena, struct err *err)
{
	const struct template *t = template_compile_named("", text, arena, err);

	return t;
}

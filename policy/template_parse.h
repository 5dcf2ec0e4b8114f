/*
 * template_parse.h - a template as pieces, between its parser and its renderer
 *
 * Only template*.c include this; see template.h.
 */
#ifndef POLICY_TEMPLATE_PARSE_H
#define POLICY_TEMPLATE_PARSE_H

#include "policy/template.h"

#define TEMPLATE_MAX_ARGS 2

/* A literal, or a variable named by `literal` and a path into it. */
struct template_operand {
	bool is_lookup;
	struct value literal;
	struct template_operand *path;
	size_t path_count;
};

struct template_filter_kind {
	const char *name;
	size_t min_args, max_args;
	bool (*apply)(struct value *v, const struct value *args,
	    struct arena *arena, struct err *err);
};

struct template_filter {
	const struct template_filter_kind *kind;
	struct template_operand args[TEMPLATE_MAX_ARGS];
	size_t arg_count;
};

struct template_piece {
	bool is_expression;
	const char *text; /* literal text, or the source of the expression */
	size_t len;
	struct template_operand operand;
	struct template_filter *filters;
	size_t filter_count;
};

struct template
{
	struct template_piece *pieces;
	size_t count;
};

/* NULL: there is no such filter. */
const struct template_filter_kind *template_filter_find(
    const char *name, size_t len);

#endif

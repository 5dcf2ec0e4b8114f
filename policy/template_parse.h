/*
 * template_parse.h - a template as a tree, between its parser and its renderer
 *
 * Only template*.c include this; see template.h for the grammar.  The depth of
 * every tree is limited when it is built, so that walking one may recurse.
 *
 * Ownership: everything lives in the arena of the template.
 */
#ifndef POLICY_TEMPLATE_PARSE_H
#define POLICY_TEMPLATE_PARSE_H

#include "policy/template.h"

/* What a filter, a method or a test works on, and its arguments. */
#define TEMPLATE_MAX_ARGS 4

struct template_run;

/* args[0] is what stands before the bar or the dot. */
typedef bool template_apply_fn(struct template_run *run,
    const struct value *args, size_t count, struct value *out, struct err *err);

struct template_call {
	const char *name;
	size_t min_args, max_args; /* in the parentheses */
	template_apply_fn *apply;
};

enum template_expr_kind {
	EXPR_LITERAL,
	EXPR_NAME, /* literal is the name */
	EXPR_LIST,
	EXPR_ELEMENT, /* args[0][args[1]] */
	EXPR_FILTER,
	EXPR_METHOD,
	EXPR_TEST,
	EXPR_NOT,
	EXPR_AND,
	EXPR_OR,
	EXPR_EQ,
	EXPR_NE,
	EXPR_LT,
	EXPR_LE,
	EXPR_GT,
	EXPR_GE,
	EXPR_IN,
	EXPR_CONCAT,
};

struct template_expr {
	enum template_expr_kind kind;
	unsigned depth;
	struct value literal;
	const struct template_call *call;
	const struct template_expr **args;
	size_t arg_count;
};

struct template_block {
	const struct template_node *nodes;
	size_t count;
};

enum template_node_kind {
	NODE_TEXT,
	NODE_OUTPUT,
	NODE_IF,
	NODE_FOR,
	NODE_SET,
};

struct template_node {
	enum template_node_kind kind;
	size_t line;      /* counted from 1 */
	const char *text; /* the text, or the source of the expression */
	size_t len;
	const struct template_expr *expr;
	const char *names[2]; /* NODE_FOR, NODE_SET; [1] may be NULL */
	struct template_block body;
	const struct template_node *elif; /* NODE_IF; NULL: there is none */
	struct template_block other; /* else, of the last elif or the for */
};

enum template_escape { ESCAPE_NONE, ESCAPE_HTML, ESCAPE_JSON };

struct template
{
	struct template_block body;
	enum template_escape escape;
};

struct template_parser {
	const char *text, *at;
	struct arena *arena;
	struct err *err;
	unsigned depth;  /* of blocks and expressions that are open */
	bool strip_next; /* the tag before ended with a dash */
};

/* Sets err to where the parser stands and `what`; returns false. */
bool template_wrong(struct template_parser *p, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
/* One level deeper; false, with an error, when it is too deep. */
bool template_deeper(struct template_parser *p);
size_t template_line(const struct template_parser *p);

/* template_expr.c.  NULL: it is wrong, and the parser's err says why. */
const struct template_expr *template_expr_parse(struct template_parser *p);
void template_skip_space(struct template_parser *p);
/* After white space. */
bool template_take(struct template_parser *p, const char *mark);
/* The length of the name here, after white space; 0: there is none. */
size_t template_name(struct template_parser *p);
/* Takes `word` when it is the whole name here. */
bool template_take_word(struct template_parser *p, const char *word);
/* Words that cannot name a variable. */
bool template_is_keyword(const char *name, size_t len);

#endif

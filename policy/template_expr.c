/*
 * template_expr.c - expressions of the grammar of template.h
 *
 * By recursive descent, one function for each level of binding; what is built
 * is at most MAX_TREE deep.
 */
#include "base/array.h"
#include "base/str.h"
#include "policy/template_parse.h"
#include "policy/template_run.h"

#define MAX_TREE 64
#define MAX_LIST 256

static const char space[] = " \t\r\n";

void template_skip_space(struct template_parser *p)
{
	p->at += strspn(p->at, space);
}

bool template_take(struct template_parser *p, const char *mark)
{
	template_skip_space(p);
	if (!str_starts(p->at, mark))
		return false;
	p->at += strlen(mark);
	return true;
}

size_t template_name(struct template_parser *p)
{
	const char *s;
	size_t len = 0;

	template_skip_space(p);
	s = p->at;
	while (s[len] == '_' || (s[len] >= 'a' && s[len] <= 'z') ||
	       (s[len] >= 'A' && s[len] <= 'Z') ||
	       (len > 0 && s[len] >= '0' && s[len] <= '9'))
		len++;
	return len;
}

static bool same(const char *word, const char *name, size_t len)
{
	return strlen(word) == len && memcmp(word, name, len) == 0;
}

bool template_take_word(struct template_parser *p, const char *word)
{
	size_t len = template_name(p);

	if (!same(word, p->at, len))
		return false;
	p->at += len;
	return true;
}

bool template_is_keyword(const char *name, size_t len)
{
	static const char *const keywords[] = {
	    "and", "or", "not", "in", "is", "if", "else"};

	for (size_t i = 0; i < COUNT(keywords); i++)
		if (same(keywords[i], name, len))
			return true;
	return false;
}

/* NULL of any argument is an error that was reported. */
static struct template_expr *make(struct template_parser *p,
    enum template_expr_kind kind, const struct template_expr **args,
    size_t count)
{
	struct template_expr *e = ARENA_NEW(p->arena, struct template_expr);

	e->kind = kind;
	e->arg_count = count;
	if (count > 0)
		e->args = arena_memdup(p->arena, args, count * sizeof *args);
	for (size_t i = 0; i < count; i++) {
		if (!args[i])
			return NULL;
		if (args[i]->depth >= e->depth)
			e->depth = args[i]->depth + 1;
	}
	if (e->depth > MAX_TREE) {
		template_wrong(p, "the expression is nested too deeply");
		return NULL;
	}
	return e;
}

static const struct template_expr *make_two(struct template_parser *p,
    enum template_expr_kind kind, const struct template_expr *a,
    const struct template_expr *b)
{
	const struct template_expr *args[] = {a, b};

	return a && b ? make(p, kind, args, 2) : NULL;
}

static const struct template_expr *make_literal(
    struct template_parser *p, enum template_expr_kind kind, struct value v)
{
	struct template_expr *e = make(p, kind, NULL, 0);

	e->literal = v;
	return e;
}

/* 'text' or "text"; a backslash takes the next character as it is, but for n,
 * r and t. */
static const struct template_expr *parse_string(struct template_parser *p)
{
	char quote = *p->at++;
	struct buf text = BUF_INIT;
	static const char from[] = "nrt";
	static const char to[] = "\n\r\t";
	struct value v;

	while (*p->at && *p->at != quote) {
		char c = *p->at++;

		if (c == '\\' && *p->at) {
			const char *known = strchr(from, *p->at);

			c = known ? to[known - from] : *p->at;
			p->at++;
		}
		buf_addch(&text, c);
	}
	v = value_string(p->arena, buf_str(&text), text.len);
	buf_release(&text);
	if (*p->at != quote) {
		template_wrong(p, "a string does not end");
		return NULL;
	}
	p->at++;
	return make_literal(p, EXPR_LITERAL, v);
}

static const struct template_expr *parse_number(struct template_parser *p)
{
	size_t sign = *p->at == '-';
	size_t len = sign + strspn(p->at + sign, "0123456789.");
	const char *digits = arena_strndup(p->arena, p->at, len);
	struct value v = {.type = VALUE_INT};
	char *end;

	if (!str_to_int(digits, &v.i)) {
		v = (struct value){
		    .type = VALUE_NUMBER, .n = strtod(digits, &end)};
		if (*end) {
			template_wrong(p, "not a number");
			return NULL;
		}
	}
	p->at += len;
	return make_literal(p, EXPR_LITERAL, v);
}

/* Behind the "(" or "[".  *count: how many there are already. */
static bool parse_several(struct template_parser *p, const char *end,
    const struct template_expr **args, size_t *count, size_t most)
{
	if (template_take(p, end))
		return true;
	do {
		if (*count == most)
			return template_wrong(
			    p, "too many arguments, expected %s", end);
		args[*count] = template_expr_parse(p);
		if (!args[(*count)++])
			return false;
		template_skip_space(p);
		if (p->at[0] == '=' && p->at[1] != '=')
			return template_wrong(
			    p, "arguments by name are not supported yet");
	} while (template_take(p, ","));
	return template_take(p, end) ||
	       template_wrong(p, "expected , or %s", end);
}

static const struct template_expr *parse_list(struct template_parser *p)
{
	const struct template_expr *items[MAX_LIST] = {NULL};
	size_t count = 0;

	if (!parse_several(p, "]", items, &count, MAX_LIST))
		return NULL;
	return make(p, EXPR_LIST, items, count);
}

static const struct template_expr *parse_parentheses(struct template_parser *p)
{
	const struct template_expr *e = template_expr_parse(p);

	if (e && !template_take(p, ")")) {
		template_wrong(p, "expected )");
		return NULL;
	}
	return e;
}

static const struct template_expr *parse_name(
    struct template_parser *p, size_t len)
{
	static const struct {
		const char *word;
		struct value value;
	} constants[] = {
	    {"true", {.type = VALUE_BOOL, .b = true}},
	    {"True", {.type = VALUE_BOOL, .b = true}},
	    {"false", {.type = VALUE_BOOL}},
	    {"False", {.type = VALUE_BOOL}},
	    {"none", {.type = VALUE_NIL}},
	    {"None", {.type = VALUE_NIL}},
	};
	const char *name = p->at;

	p->at += len;
	for (size_t i = 0; i < COUNT(constants); i++)
		if (same(constants[i].word, name, len))
			return make_literal(
			    p, EXPR_LITERAL, constants[i].value);
	return make_literal(p, EXPR_NAME, value_string(p->arena, name, len));
}

static const struct template_expr *parse_primary(struct template_parser *p)
{
	size_t len = template_name(p);

	if (len > 0 && !template_is_keyword(p->at, len))
		return parse_name(p, len);
	if (*p->at == '\'' || *p->at == '"')
		return parse_string(p);
	if ((*p->at >= '0' && *p->at <= '9') ||
	    (*p->at == '-' && p->at[1] >= '0' && p->at[1] <= '9'))
		return parse_number(p);
	if (template_take(p, "("))
		return parse_parentheses(p);
	if (template_take(p, "["))
		return parse_list(p);
	template_wrong(p, "expected a name, a string or a number");
	return NULL;
}

/* The arguments of a filter, a method or a test; the name is behind us. */
static const struct template_expr *parse_call(struct template_parser *p,
    enum template_expr_kind kind, const struct template_call *call,
    const struct template_expr *subject)
{
	const struct template_expr *args[TEMPLATE_MAX_ARGS] = {subject};
	struct template_expr *e;
	size_t count = 1;

	if (template_take(p, "(") &&
	    !parse_several(p, ")", args, &count, call->max_args + 1))
		return NULL;
	if (count < call->min_args + 1) {
		template_wrong(p, "too few arguments of %s", call->name);
		return NULL;
	}
	e = make(p, kind, args, count);
	if (e)
		e->call = call;
	return e;
}

static const struct template_expr *parse_dot(
    struct template_parser *p, const struct template_expr *of)
{
	size_t len = template_name(p);
	const char *name = p->at;
	const struct template_call *method;

	if (len == 0) {
		template_wrong(p, "expected a name after the dot");
		return NULL;
	}
	p->at += len;
	template_skip_space(p);
	if (*p->at != '(')
		return make_two(p, EXPR_ELEMENT, of,
		    make_literal(
			p, EXPR_LITERAL, value_string(p->arena, name, len)));
	method = template_method_find(name, len);
	if (!method) {
		template_wrong(p,
		    "no such method (there are startswith, endswith, lower, "
		    "upper, split, strip, replace)");
		return NULL;
	}
	return parse_call(p, EXPR_METHOD, method, of);
}

static const struct template_expr *parse_index(
    struct template_parser *p, const struct template_expr *of)
{
	const struct template_expr *key = template_expr_parse(p);

	if (key && !template_take(p, "]")) {
		template_wrong(p, "expected ]");
		return NULL;
	}
	return make_two(p, EXPR_ELEMENT, of, key);
}

static const struct template_expr *parse_filter(
    struct template_parser *p, const struct template_expr *of)
{
	size_t len = template_name(p);
	const struct template_call *filter = template_filter_find(p->at, len);

	if (!filter) {
		if (template_filter_is_later(p->at, len))
			template_wrong(p, "filter %.*s is not supported yet",
			    (int)len, p->at);
		else
			template_wrong(p,
			    "no such filter (there are lower, upper, trim, "
			    "default, replace, tojson, length, join, first, "
			    "last, split, items, reject, select, int, safe, "
			    "title, sort, unique)");
		return NULL;
	}
	p->at += len;
	return parse_call(p, EXPR_FILTER, filter, of);
}

static const struct template_expr *parse_test(
    struct template_parser *p, const struct template_expr *of)
{
	bool negated = template_take_word(p, "not");
	size_t len = template_name(p);
	const struct template_call *test = template_test_find(p->at, len);
	const struct template_expr *e;

	if (!test) {
		template_wrong(p,
		    "no such test (there are defined, undefined, none, string, "
		    "number, sequence, mapping, eq, ne, startingwith, "
		    "endingwith, in)");
		return NULL;
	}
	p->at += len;
	e = parse_call(p, EXPR_TEST, test, of);
	return e && negated ? make(p, EXPR_NOT, &e, 1) : e;
}

static const struct template_expr *parse_operand(struct template_parser *p)
{
	const struct template_expr *e = parse_primary(p);

	while (e) {
		if (template_take(p, "."))
			e = parse_dot(p, e);
		else if (template_take(p, "["))
			e = parse_index(p, e);
		else if (template_take(p, "|"))
			e = parse_filter(p, e);
		else if (template_take_word(p, "is"))
			e = parse_test(p, e);
		else
			break;
	}
	return e;
}

static const struct template_expr *parse_concat(struct template_parser *p)
{
	const struct template_expr *e = parse_operand(p);

	while (e && template_take(p, "~"))
		e = make_two(p, EXPR_CONCAT, e, parse_operand(p));
	return e;
}

static const struct template_expr *parse_comparison(struct template_parser *p)
{
	static const struct {
		const char *mark;
		enum template_expr_kind kind;
	} marks[] = {{"==", EXPR_EQ}, {"!=", EXPR_NE}, {"<=", EXPR_LE},
	    {">=", EXPR_GE}, {"<", EXPR_LT}, {">", EXPR_GT}};
	const struct template_expr *e = parse_concat(p);

	if (!e)
		return NULL;
	for (size_t i = 0; i < COUNT(marks); i++)
		if (template_take(p, marks[i].mark))
			return make_two(p, marks[i].kind, e, parse_concat(p));
	if (template_take_word(p, "in"))
		return make_two(p, EXPR_IN, e, parse_concat(p));
	if (template_take_word(p, "not")) {
		if (!template_take_word(p, "in")) {
			template_wrong(p, "expected in after not");
			return NULL;
		}
		e = make_two(p, EXPR_IN, e, parse_concat(p));
		return e ? make(p, EXPR_NOT, &e, 1) : NULL;
	}
	return e;
}

static const struct template_expr *parse_not(struct template_parser *p)
{
	unsigned nots = 0;
	const struct template_expr *e;

	while (template_take_word(p, "not"))
		nots++;
	e = parse_comparison(p);
	for (; e && nots > 0; nots--)
		e = make(p, EXPR_NOT, &e, 1);
	return e;
}

static const struct template_expr *parse_and(struct template_parser *p)
{
	const struct template_expr *e = parse_not(p);

	while (e && template_take_word(p, "and"))
		e = make_two(p, EXPR_AND, e, parse_not(p));
	return e;
}

const struct template_expr *template_expr_parse(struct template_parser *p)
{
	const struct template_expr *e;

	if (!template_deeper(p))
		return NULL;
	e = parse_and(p);
	while (e && template_take_word(p, "or"))
		e = make_two(p, EXPR_OR, e, parse_and(p));
	p->depth--;
	return e;
}

/*
 * template_parse.c - the grammar of template.h, by recursive descent
 *
 * Errors give the column, counted from 1, because a template is one line in a
 * policy and the policy's line is known by whoever called make_queue_config.
 */
#include "policy/template_parse.h"

#include "base/array.h"
#include "base/str.h"

#define MAX_FILTERS 16
#define MAX_PATH 16
/* Of [ ] in [ ]. */
#define MAX_DEPTH 8

struct parser {
	const char *text, *at;
	struct arena *arena;
	struct err *err;
	int depth;
};

static bool wrong(struct parser *p, const char *what)
{
	return err_set(p->err, ERR_CONFIG, "template: column %zu: %s",
	    (size_t)(p->at - p->text) + 1, what);
}

static void skip_space(struct parser *p)
{
	p->at += strspn(p->at, " \t\r\n");
}

static bool take(struct parser *p, char c)
{
	skip_space(p);
	if (*p->at != c)
		return false;
	p->at++;
	return true;
}

static size_t name_len(const char *s)
{
	size_t len = 0;

	while (s[len] == '_' || (s[len] >= 'a' && s[len] <= 'z') ||
	       (s[len] >= 'A' && s[len] <= 'Z') ||
	       (len > 0 && s[len] >= '0' && s[len] <= '9'))
		len++;
	return len;
}

/* 'text' or "text"; a backslash takes the next character as it is, but for n,
 * r and t. */
static bool parse_string(struct parser *p, struct value *out)
{
	char quote = *p->at++;
	struct buf text = BUF_INIT;
	static const char from[] = "nrt";
	static const char to[] = "\n\r\t";

	while (*p->at && *p->at != quote) {
		char c = *p->at++;

		if (c == '\\' && *p->at) {
			const char *known = strchr(from, *p->at);

			c = known ? to[known - from] : *p->at;
			p->at++;
		}
		buf_addch(&text, c);
	}
	*out = value_string(p->arena, buf_str(&text), text.len);
	buf_release(&text);
	if (*p->at != quote)
		return wrong(p, "a string does not end");
	p->at++;
	return true;
}

static bool parse_number(struct parser *p, struct value *out)
{
	size_t len = strspn(p->at, "0123456789.");
	const char *digits = arena_strndup(p->arena, p->at, len);
	char *end;

	*out = (struct value){.type = VALUE_INT};
	if (!str_to_int(digits, &out->i)) {
		*out = (struct value){
		    .type = VALUE_NUMBER, .n = strtod(digits, &end)};
		if (*end)
			return wrong(p, "not a number");
	}
	p->at += len;
	return true;
}

static bool parse_operand(struct parser *p, struct template_operand *o);

/* The next step of a lookup; *more false: there is none. */
static bool parse_step(
    struct parser *p, struct template_operand *step, bool *more)
{
	size_t len;

	*more = true;
	*step = (struct template_operand){0};
	if (take(p, '.')) {
		skip_space(p);
		len = name_len(p->at);
		if (len == 0)
			return wrong(p, "expected a name after the dot");
		step->literal = value_string(p->arena, p->at, len);
		p->at += len;
		return true;
	}
	if (take(p, '[')) {
		if (++p->depth > MAX_DEPTH)
			return wrong(p, "nested too deeply");
		if (!parse_operand(p, step))
			return false;
		p->depth--;
		return take(p, ']') || wrong(p, "expected ]");
	}
	*more = false;
	return true;
}

static bool parse_lookup(struct parser *p, struct template_operand *o)
{
	size_t len = name_len(p->at);

	o->is_lookup = true;
	o->literal = value_string(p->arena, p->at, len);
	o->path = ARENA_ARRAY(p->arena, struct template_operand, MAX_PATH);
	p->at += len;
	for (;;) {
		struct template_operand step;
		bool more;

		if (!parse_step(p, &step, &more))
			return false;
		if (!more)
			return true;
		if (o->path_count == MAX_PATH)
			return wrong(p, "the lookup is too long");
		o->path[o->path_count++] = step;
	}
}

static bool parse_operand(struct parser *p, struct template_operand *o)
{
	*o = (struct template_operand){0};
	skip_space(p);
	if (*p->at == '\'' || *p->at == '"')
		return parse_string(p, &o->literal);
	if (*p->at >= '0' && *p->at <= '9')
		return parse_number(p, &o->literal);
	if (name_len(p->at) > 0)
		return parse_lookup(p, o);
	return wrong(p, "expected a name, a string or a number");
}

static bool parse_args(struct parser *p, struct template_filter *f)
{
	if (!take(p, '('))
		return true;
	if (take(p, ')'))
		return true;
	do {
		if (f->arg_count == f->kind->max_args)
			return wrong(p, "too many arguments of the filter");
		if (!parse_operand(p, &f->args[f->arg_count++]))
			return false;
	} while (take(p, ','));
	return take(p, ')') || wrong(p, "expected )");
}

static bool parse_filter(struct parser *p, struct template_filter *f)
{
	size_t len;

	*f = (struct template_filter){0};
	skip_space(p);
	len = name_len(p->at);
	f->kind = template_filter_find(p->at, len);
	if (!f->kind)
		return wrong(p, "no such filter (there are lower, upper, trim, "
				"default, replace, tojson, length)");
	p->at += len;
	if (!parse_args(p, f))
		return false;
	return f->arg_count >= f->kind->min_args ||
	       wrong(p, "too few arguments of the filter");
}

/* Behind the "{{". */
static bool parse_expression(struct parser *p, struct template_piece *piece)
{
	const char *begin, *end;

	piece->is_expression = true;
	piece->filters =
	    ARENA_ARRAY(p->arena, struct template_filter, MAX_FILTERS);
	skip_space(p);
	begin = p->at;
	if (!parse_operand(p, &piece->operand))
		return false;
	while (take(p, '|')) {
		if (piece->filter_count == MAX_FILTERS)
			return wrong(p, "too many filters");
		if (!parse_filter(p, &piece->filters[piece->filter_count++]))
			return false;
	}
	skip_space(p);
	if (!str_starts(p->at, "}}"))
		return wrong(p, "expected }}");
	end = p->at;
	while (end > begin && strchr(" \t\r\n", end[-1]))
		end--;
	piece->len = (size_t)(end - begin);
	piece->text = arena_strndup(p->arena, begin, piece->len);
	p->at += 2;
	return true;
}

static size_t literal_len(const char *s)
{
	size_t len = 0;

	while (s[len] &&
	       !(s[len] == '{' && s[len + 1] && strchr("{%#", s[len + 1])))
		len++;
	return len;
}

/* One piece, or none for a comment. */
static bool parse_piece(
    struct parser *p, struct template_piece *piece, bool *made)
{
	const char *end;

	*piece = (struct template_piece){0};
	*made = true;
	piece->len = literal_len(p->at);
	if (piece->len > 0) {
		piece->text = arena_strndup(p->arena, p->at, piece->len);
		p->at += piece->len;
		return true;
	}
	if (p->at[1] == '%')
		return wrong(p, "{% statements %} are not supported yet");
	if (p->at[1] == '{') {
		p->at += 2;
		return parse_expression(p, piece);
	}
	*made = false;
	end = strstr(p->at, "#}");
	if (!end)
		return wrong(p, "a comment does not end");
	p->at = end + 2;
	return true;
}

const struct template *template_compile(
    const char *text, struct arena *arena, struct err *err)
{
	struct parser p = {text, text, arena, err, 0};
	struct {
		struct template_piece *items;
		size_t count, size;
	} pieces = {0};
	struct template *t = ARENA_NEW(arena, struct template);
	bool ok = true;

	while (ok && *p.at) {
		struct template_piece piece;
		bool made;

		ok = parse_piece(&p, &piece, &made);
		if (ok && made)
			*ARRAY_ADD(&pieces) = piece;
	}
	if (pieces.count > 0)
		t->pieces = arena_memdup(
		    arena, pieces.items, pieces.count * sizeof *pieces.items);
	t->count = pieces.count;
	ARRAY_FREE(&pieces);
	return ok ? t : NULL;
}

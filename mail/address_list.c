/*
 * address_list.c - the addresses of a From, To or Cc field
 *
 * One pass.  Until "<", ":" or the end it is open whether words are a phrase or
 * an address, so they are kept in both forms: as a phrase, unquoted and with
 * one blank between words, and as written.
 */
#include "mail/address_list.h"

#include "base/array.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/header.h"

#define MOST_DEPTH 50 /* of comments */

struct parser {
	const char *p, *end;
	struct arena *arena;
	struct err *err;
	const char *group;
	struct buf phrase, spec;
	bool is_apart; /* white space after the last word of spec */
	struct {
		struct mailbox *items;
		size_t count, size;
	} list;
};

static bool fail(struct parser *x, const char *what)
{
	return err_set(x->err, ERR_PERM, "not a list of addresses: %s", what);
}

/* At "(": past the comment. */
static bool skip_comment(struct parser *x)
{
	int depth = 0;

	for (; x->p < x->end; x->p++) {
		if (*x->p == '\\' && x->p + 1 < x->end)
			x->p++;
		else if (*x->p == '(' && ++depth > MOST_DEPTH)
			return fail(x, "comments inside of comments");
		else if (*x->p == ')' && --depth == 0) {
			x->p++;
			return true;
		}
	}
	return fail(x, "a comment does not end");
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool skip_space(struct parser *x)
{
	while (x->p < x->end) {
		if (is_space(*x->p)) {
			x->p++;
			x->is_apart = true;
		} else if (*x->p == '(') {
			x->is_apart = true;
			if (!skip_comment(x))
				return false;
		} else {
			break;
		}
	}
	return true;
}

/* At a quote: past it.  What is inside goes to both. */
static bool quoted(struct parser *x, struct buf *text, struct buf *raw)
{
	const char *start = x->p;

	for (x->p++; x->p < x->end && *x->p != '"'; x->p++) {
		if (*x->p == '\\' && x->p + 1 < x->end)
			x->p++;
		if (text && *x->p != '\r' && *x->p != '\n')
			buf_addch(text, *x->p);
	}
	if (x->p == x->end)
		return fail(x, "a quoted text does not end");
	x->p++;
	buf_add(raw, start, (size_t)(x->p - start));
	return true;
}

static bool is_special(char c)
{
	return strchr("()<>[]:;,\"\\", c) != NULL;
}

/* Blanks inside of an address may stand around dots and @ only. */
static void join(struct parser *x, char next)
{
	char last = x->spec.len ? x->spec.data[x->spec.len - 1] : '.';

	if (x->is_apart && !strchr(".@", last) && !strchr(".@", next))
		buf_addch(&x->spec, ' ');
	x->is_apart = false;
}

/* Words until something else. */
static bool words(struct parser *x)
{
	for (;;) {
		const char *start;

		if (!skip_space(x))
			return false;
		if (x->p == x->end)
			return true;
		if (x->is_apart && x->phrase.len > 0)
			buf_addch(&x->phrase, ' ');
		start = x->p;
		if (*x->p == '"') {
			join(x, '"');
			if (!quoted(x, &x->phrase, &x->spec))
				return false;
			continue;
		}
		if (*x->p == '[') { /* of a literal */
			while (x->p < x->end && *x->p != ']')
				x->p++;
			if (x->p == x->end)
				return fail(x, "a literal does not end");
			x->p++;
		} else {
			while (x->p < x->end && !is_space(*x->p) &&
			       !is_special(*x->p))
				x->p++;
		}
		if (x->p == start)
			return true;
		join(x, *start);
		buf_add(&x->phrase, start, (size_t)(x->p - start));
		buf_add(&x->spec, start, (size_t)(x->p - start));
	}
}

/* The phrase so far, decoded. */
static const char *take_phrase(struct parser *x)
{
	struct header_field field = {
	    .value = buf_str(&x->phrase), .value_len = x->phrase.len};
	char *text = header_decode(&field, x->arena);

	buf_reset(&x->phrase);
	buf_reset(&x->spec);
	return text;
}

static bool add(
    struct parser *x, const char *name, const char *spec, size_t len)
{
	struct mailbox mailbox = {.name = name, .group = x->group};
	struct err why = {0};
	char *bracketed;

	if (len == 0)
		return fail(x, "an address is empty");
	if (x->list.count >= ADDRESS_LIST_MOST)
		return fail(x, "too many addresses");
	bracketed = arena_printf(x->arena, "<%.*s>", (int)len, spec);
	if (!address_parse(
		bracketed, strlen(bracketed), x->arena, &mailbox.address, &why))
		return fail(x, why.text);
	if (address_is_null(&mailbox.address))
		return fail(x, "an address is empty");
	if (!*mailbox.address.domain)
		return fail(x, "an address has no domain");
	*ARRAY_ADD(&x->list) = mailbox;
	return true;
}

/* At "<": the address in it, with the phrase before it. */
static bool angle(struct parser *x)
{
	const char *name = take_phrase(x);
	struct buf spec = BUF_INIT;
	bool ok = true;

	for (x->p++; ok && x->p < x->end && *x->p != '>';) {
		if (*x->p == '"')
			ok = quoted(x, NULL, &spec);
		else if (*x->p == '(')
			ok = skip_comment(x);
		else if (is_space(*x->p))
			x->p++;
		else
			buf_addch(&spec, *x->p++);
	}
	if (ok && x->p == x->end)
		ok = fail(x, "an address in <> does not end");
	if (ok) {
		x->p++;
		ok = add(x, name, buf_str(&spec), spec.len);
	}
	buf_release(&spec);
	x->is_apart = false;
	return ok && skip_space(x);
}

/* One element, up to its end: a comma, the group's ";" or the end. */
static bool element(struct parser *x)
{
	x->is_apart = false;
	if (!words(x))
		return false;
	if (x->p < x->end && *x->p == ':') {
		if (x->group)
			return fail(x, "a group inside of a group");
		if (x->list.count >= ADDRESS_LIST_MOST)
			return fail(x, "too many addresses");
		x->group = take_phrase(x);
		*ARRAY_ADD(&x->list) = (struct mailbox){
		    .name = "", .group = x->group, .is_empty_group = true};
		x->p++;
		return element(x);
	}
	if (x->p < x->end && *x->p == '<')
		return angle(x);
	if (x->spec.len > 0) {
		bool ok = add(x, "", buf_str(&x->spec), x->spec.len);

		buf_reset(&x->phrase);
		buf_reset(&x->spec);
		return ok;
	}
	return true;
}

static bool parse(struct parser *x)
{
	while (x->p < x->end) {
		if (!element(x))
			return false;
		if (x->p < x->end && *x->p == ';' && x->group) {
			x->group = NULL;
			x->p++;
			if (!skip_space(x))
				return false;
		}
		if (x->p == x->end)
			break;
		if (*x->p != ',')
			return fail(x, "a comma is missing");
		x->p++;
	}
	return !x->group || fail(x, "a group does not end");
}

bool address_list_parse(const char *value, size_t len, struct arena *arena,
    struct address_list *out, struct err *err)
{
	struct parser x = {
	    .p = value, .end = value + len, .arena = arena, .err = err};
	bool ok = parse(&x);

	*out = (struct address_list){NULL, 0};
	if (ok && x.list.count > 0) {
		out->items = arena_memdup(
		    arena, x.list.items, x.list.count * sizeof *out->items);
		out->count = x.list.count;
		/* A group with members needs no entry of its own. */
		for (size_t i = out->count - 1; i-- > 0;)
			if (out->items[i].is_empty_group &&
			    out->items[i + 1].group == out->items[i].group) {
				memmove(&out->items[i], &out->items[i + 1],
				    (--out->count - i) * sizeof *out->items);
			}
	}
	free(x.list.items);
	buf_release(&x.phrase);
	buf_release(&x.spec);
	return ok;
}

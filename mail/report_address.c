/*
 * report_address.c - the one address that a field of a report names
 */
#include "mail/report_address.h"

#include "base/diag.h"
#include "base/str.h"
#include "mail/address.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *trim_end(const char *begin, const char *end)
{
	while (end > begin && is_blank(end[-1]))
		end--;
	return end;
}

/* The end of the comment that begins at p, NULL when it is not closed. */
static const char *skip_comment(const char *p, const char *end)
{
	int depth = 0;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			return p + 1;
	}
	return NULL;
}

/* Nothing but comments from p on. */
static bool are_comments(const char *p, const char *end)
{
	while (p < end) {
		if (is_blank(*p)) {
			p++;
			continue;
		}
		if (*p != '(')
			return false;
		p = skip_comment(p, end);
		if (!p)
			return false;
	}
	return true;
}

/* Where the comments begin that the value ends in; end: there are none.  One
 * without a blank before it is a comment only behind an address. */
static const char *find_comments(const char *p, const char *end)
{
	bool quoted = false, at = false;

	for (const char *begin = p; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && *p == '@')
			at = true;
		else if (!quoted && *p == '(' && p > begin &&
			 (at || is_blank(p[-1])))
			return are_comments(p, end) ? p : end;
	}
	return end;
}

/* What belongs to no address: blanks, comments, and the "," or ";" of a list of
 * one. */
static void strip(const char **p, const char **end)
{
	const char *begin = *p;

	while (begin < *end && is_blank(*begin))
		begin++;
	if (begin < *end && *begin == '(') {
		begin = skip_comment(begin, *end);
		while (begin && begin < *end && is_blank(*begin))
			begin++;
		if (begin && begin < *end)
			*p = begin;
	} else {
		*p = begin;
	}
	*end = trim_end(*p, find_comments(*p, *end));
	if (*end > *p && ((*end)[-1] == ',' || (*end)[-1] == ';') &&
	    memchr(*p, '@', (size_t)(*end - *p)))
		*end = trim_end(*p, *end - 1);
}

/* Is [p, end) in a pair of these, with none of them inside? */
static bool is_between(const char *p, const char *end, char open, char close)
{
	return end - p > 2 && p[0] == open && end[-1] == close &&
	       !memchr(p + 1, open, (size_t)(end - p) - 2) &&
	       !memchr(p + 1, close, (size_t)(end - p) - 2);
}

/* "bob @ example.com": blanks around an "@" are of obsolete mail, or of a fold
 * (RFC 5322, 4.4). */
static bool parse_joined(
    const char *p, const char *end, struct arena *arena, struct address *out)
{
	const char *at = memchr(p, '@', (size_t)(end - p)), *right;

	if (!at)
		return false;
	right = at + 1;
	while (right < end && is_blank(*right))
		right++;
	p = arena_printf(arena, "%.*s@%.*s", (int)(trim_end(p, at) - p), p,
	    (int)(end - right), right);
	return address_parse(p, strlen(p), arena, out, NULL);
}

/* An address alone, in any brackets and quotes. */
static bool parse_bare(const char *p, const char *end, struct arena *arena,
    struct address *out, struct err *err)
{
	while (end - p > 2 && p[0] == '<' && end[-1] == '>') {
		end = trim_end(p, end - 1);
		for (p++; p < end && is_blank(*p); p++)
			;
	}
	/* A mailbox whose name is another address is none that exists. */
	if ((is_between(p, end, '"', '"') || is_between(p, end, '\'', '\'')) &&
	    address_parse(p + 1, (size_t)(end - p) - 2, arena, out, NULL) &&
	    *out->domain)
		return true;
	return address_parse(p, (size_t)(end - p), arena, out, err) ||
	       parse_joined(p, end, arena, out);
}

/* "<" outside of a quoted string; NULL when there is none, or another one. */
static const char *find_angle(const char *p, const char *end)
{
	const char *open = NULL;
	bool quoted = false;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end) {
			p++;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (!quoted && *p == '<') {
			if (open)
				return NULL;
			open = p;
		}
	}
	return open;
}

/* A phrase before <email> speaks of nobody else. */
static bool is_phrase(const char *p, const char *end, const char *email)
{
	size_t len = (size_t)(trim_end(p, end) - p);
	bool quoted = false, at = false;

	if (len == strlen(email) && str_ncase_eq(p, email, len))
		return true;
	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted)
			at = at || *p == '@' || *p == '>';
	}
	return !at;
}

bool report_address_parse(
    const char *value, struct arena *arena, const char **out, struct err *err)
{
	const char *end = value + strlen(value), *open;
	struct address address;
	char quoted[120];

	strip(&value, &end);
	if (parse_bare(value, end, arena, &address, err)) {
		*out = address.email;
		return true;
	}
	/* Bob <bob@example.com> */
	if (end == value || end[-1] != '>')
		return false;
	open = find_angle(value, end);
	if (!open || !parse_bare(open, end, arena, &address, NULL) ||
	    !is_phrase(value, open, address.email))
		return err_set(err, ERR_PERM, "not one address: \"%s\"",
		    diag_quote(
			quoted, sizeof quoted, value, (size_t)(end - value)));
	*out = address.email;
	return true;
}

bool report_address_is_whole(const char *value, struct arena *arena)
{
	const char *address = "";

	return report_address_parse(value, arena, &address, NULL) &&
	       strchr(address, '@');
}

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
	const char *end = trim_end(value, value + strlen(value)), *open;
	struct address address;
	char quoted[120];

	if (address_parse(value, (size_t)(end - value), arena, &address, err)) {
		*out = address.email;
		return true;
	}
	/* bob@example.com (Bob) */
	open = strstr(value, " (");
	if (open && are_comments(open, end) &&
	    address_parse(
		value, (size_t)(open - value), arena, &address, NULL)) {
		*out = address.email;
		return true;
	}
	if (end == value || end[-1] != '>')
		return false;
	open = find_angle(value, end);
	if (!open ||
	    !address_parse(open, (size_t)(end - open), arena, &address, NULL) ||
	    !is_phrase(value, open, address.email))
		return err_set(err, ERR_PERM, "not one address: \"%s\"",
		    diag_quote(quoted, sizeof quoted, value, strlen(value)));
	*out = address.email;
	return true;
}

bool report_address_is_whole(const char *value, struct arena *arena)
{
	const char *address = "";

	return report_address_parse(value, arena, &address, NULL) &&
	       strchr(address, '@');
}

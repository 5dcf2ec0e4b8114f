/*
 * regex.c - regular expressions, in bounded time
 */
#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>

#include "base/str.h"
#include "base/xalloc.h"

#define MOST_STEPS 2000000 /* of one match: tens of milliseconds */
#define MOST_HEAP_KIB 20000
#define MOST_DEPTH 100000
#define MOST_PATTERN 65536

struct regex {
	pcre2_code *code;
	pcre2_match_context *limits;
	uint32_t groups, name_count, name_size;
	PCRE2_SPTR names;
};

struct regex_match {
	pcre2_match_data *data;
};

static bool explain(struct err *err, int code, const char *where, size_t at)
{
	PCRE2_UCHAR text[256];

	(void)pcre2_get_error_message(code, text, sizeof text);
	if (where)
		return err_set(err, ERR_CONFIG, "%s at character %zu: %s",
		    where, at + 1, (const char *)text);
	return err_set(
	    err, ERR_TEMP, "regular expression: %s", (const char *)text);
}

struct regex *regex_compile(const char *pattern, size_t len, struct err *err)
{
	const uint32_t options = PCRE2_UTF | PCRE2_UCP |
				 PCRE2_MATCH_INVALID_UTF |
				 PCRE2_NEVER_BACKSLASH_C;
	struct regex *regex;
	pcre2_code *code;
	PCRE2_SIZE at;
	int error;

	if (len > MOST_PATTERN) {
		(void)err_set(
		    err, ERR_CONFIG, "regular expression: it is too long");
		return NULL;
	}
	code =
	    pcre2_compile((PCRE2_SPTR)pattern, len, options, &error, &at, NULL);
	if (!code) {
		(void)explain(err, error, "regular expression", at);
		return NULL;
	}
	regex = xcalloc(1, sizeof *regex);
	regex->code = code;
	regex->limits = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(regex->limits, MOST_STEPS);
	pcre2_set_depth_limit(regex->limits, MOST_DEPTH);
	pcre2_set_heap_limit(regex->limits, MOST_HEAP_KIB);
	(void)pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &regex->groups);
	(void)pcre2_pattern_info(
	    code, PCRE2_INFO_NAMECOUNT, &regex->name_count);
	(void)pcre2_pattern_info(
	    code, PCRE2_INFO_NAMEENTRYSIZE, &regex->name_size);
	(void)pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, &regex->names);
	return regex;
}

void regex_free(struct regex *regex)
{
	if (!regex)
		return;
	pcre2_match_context_free(regex->limits);
	pcre2_code_free(regex->code);
	free(regex);
}

size_t regex_size(const struct regex *regex)
{
	size_t size = 0;

	(void)pcre2_pattern_info(regex->code, PCRE2_INFO_SIZE, &size);
	return size + sizeof *regex;
}

size_t regex_groups(const struct regex *regex)
{
	return regex->groups;
}

size_t regex_names(const struct regex *regex)
{
	return regex->name_count;
}

/* An entry is the number in two bytes, then the name. */
const char *regex_name(const struct regex *regex, size_t i, size_t *group)
{
	PCRE2_SPTR entry = regex->names + i * regex->name_size;

	*group = (size_t)entry[0] << 8 | entry[1];
	return (const char *)entry + 2;
}

struct regex_match *regex_match_new(const struct regex *regex)
{
	struct regex_match *match = xcalloc(1, sizeof *match);

	match->data = pcre2_match_data_create_from_pattern(regex->code, NULL);
	return match;
}

void regex_match_free(struct regex_match *match)
{
	if (!match)
		return;
	pcre2_match_data_free(match->data);
	free(match);
}

enum regex_result regex_find(const struct regex *regex,
    struct regex_match *match, const char *text, size_t len, size_t at,
    struct err *err)
{
	int code = pcre2_match(regex->code, (PCRE2_SPTR)text, len, at, 0,
	    match->data, regex->limits);

	if (code > 0)
		return REGEX_MATCH;
	if (code == PCRE2_ERROR_NOMATCH)
		return REGEX_NONE;
	(void)explain(err, code, NULL, 0);
	return REGEX_FAILED;
}

bool regex_group(
    const struct regex_match *match, size_t n, size_t *start, size_t *end)
{
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(match->data);

	if (n >= pcre2_get_ovector_count(match->data) ||
	    ends[2 * n] == PCRE2_UNSET)
		return false;
	*start = ends[2 * n];
	*end = ends[2 * n + 1];
	/* \K in a look-ahead can put the start behind the end. */
	if (*start > *end)
		*start = *end;
	return true;
}

void regex_escape(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] && strchr("\\.+*?()|[]{}^$#&-~", text[i]))
			buf_addch(out, '\\');
		buf_addch(out, text[i]);
	}
}

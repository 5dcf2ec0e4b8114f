/*
 * regex_list.c - many regular expressions in order
 *
 * They are tried one by one.  PCRE2 has no sets, and one large alternation
 * would answer which match is leftmost, not which rule is first.
 *
 * Nearly all replies are ASCII, and for those an expression in ASCII is
 * compiled a second time without Unicode, which is several times faster and
 * cannot tell them apart.
 */
#include "base/regex_list.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <time.h>

#include "base/array.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"

#define MOST_STEPS 2000
#define MOST_DEPTH 2000
#define MOST_HEAP_KIB 1024
#define MOST_PATTERN 65536
#define LOOK_AT_TIME 8 /* expressions */

struct expression {
	pcre2_code *unicode;
	pcre2_code *ascii; /* NULL: it speaks of more */
};

struct regex_list {
	struct {
		struct expression *items;
		size_t count, size;
	} all;
	pcre2_match_context *limits;
};

struct regex_list *regex_list_new(void)
{
	struct regex_list *list = xcalloc(1, sizeof *list);

	list->limits = pcre2_match_context_create(NULL);
	invariant(list->limits);
	pcre2_set_match_limit(list->limits, MOST_STEPS);
	pcre2_set_depth_limit(list->limits, MOST_DEPTH);
	pcre2_set_heap_limit(list->limits, MOST_HEAP_KIB);
	return list;
}

void regex_list_free(struct regex_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->all.count; i++) {
		pcre2_code_free(list->all.items[i].unicode);
		pcre2_code_free(list->all.items[i].ascii);
	}
	ARRAY_FREE(&list->all);
	pcre2_match_context_free(list->limits);
	free(list);
}

/* NULL: *error, at character *at. */
static pcre2_code *compile(const char *pattern, size_t len, uint32_t options,
    int *error, PCRE2_SIZE *at)
{
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, len,
	    options | PCRE2_NEVER_BACKSLASH_C, error, at, NULL);

	/* Where no memory may be made executable it is interpreted. */
	if (code)
		(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	return code;
}

bool regex_list_add(
    struct regex_list *list, const char *pattern, size_t len, struct err *err)
{
	struct expression e = {NULL, NULL};
	PCRE2_UCHAR why[256];
	PCRE2_SIZE at;
	int error;

	if (len > MOST_PATTERN)
		return err_set(
		    err, ERR_CONFIG, "regular expression: it is too long");
	e.unicode = compile(pattern, len, PCRE2_UTF | PCRE2_UCP, &error, &at);
	if (!e.unicode) {
		(void)pcre2_get_error_message(error, why, sizeof why);
		return err_set(err, ERR_CONFIG,
		    "regular expression at character %zu: %s", at + 1,
		    (const char *)why);
	}
	if (str_is_ascii(pattern, len))
		e.ascii = compile(pattern, len, 0, &error, &at);
	*ARRAY_ADD(&list->all) = e;
	return true;
}

size_t regex_list_count(const struct regex_list *list)
{
	return list->all.count;
}

/* Ours alone: waiting for a processor does not count. */
static int64_t cpu_now(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

size_t regex_list_first(const struct regex_list *list, const char *text,
    size_t len, int64_t cpu_ns, regex_list_over_fn *over, void *ctx)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	bool is_ascii = str_is_ascii(text, len);
	int64_t end = cpu_now() + cpu_ns;
	size_t found = REGEX_LIST_NONE;

	invariant(data);
	for (size_t i = 0; i < list->all.count; i++) {
		const struct expression *e = &list->all.items[i];
		int code =
		    pcre2_match(is_ascii && e->ascii ? e->ascii : e->unicode,
			(PCRE2_SPTR)text, len, 0, PCRE2_NO_UTF_CHECK, data,
			list->limits);

		/* 0: it matches, and has groups that we do not ask for. */
		if (code >= 0) {
			found = i;
			break;
		}
		if (code != PCRE2_ERROR_NOMATCH)
			over(i, ctx);
		else if (i % LOOK_AT_TIME != LOOK_AT_TIME - 1)
			continue;
		if (cpu_now() >= end) {
			over(REGEX_LIST_NONE, ctx);
			break;
		}
	}
	pcre2_match_data_free(data);
	return found;
}

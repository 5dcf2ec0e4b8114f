/*
 * regex.h - regular expressions, in bounded time
 *
 * PCRE2 with named groups and look-around; texts are taken as UTF-8 where they
 * are.  A match that takes too many steps or too much memory is an error, not
 * an answer.
 *
 * Ownership: regex_free gives it back.
 * Threads:   a compiled one never changes; any number of matchers, each with
 *            its own struct regex_match.
 */
#ifndef BASE_REGEX_H
#define BASE_REGEX_H

#include "base/buf.h"
#include "base/err.h"

struct regex;

struct regex *regex_compile(const char *pattern, size_t len, struct err *err)
    MUST_USE;
void regex_free(struct regex *regex);           /* NULL is fine */
size_t regex_size(const struct regex *regex);   /* bytes, about */
size_t regex_groups(const struct regex *regex); /* without the whole */
/* The names of groups: i-th of regex_names(), and its number. */
size_t regex_names(const struct regex *regex);
const char *regex_name(const struct regex *regex, size_t i, size_t *group);

struct regex_match;
struct regex_match *regex_match_new(const struct regex *regex) MUST_USE;
void regex_match_free(struct regex_match *match);

enum regex_result { REGEX_MATCH, REGEX_NONE, REGEX_FAILED };

/* The first match at `at` or later. */
enum regex_result regex_find(const struct regex *regex,
    struct regex_match *match, const char *text, size_t len, size_t at,
    struct err *err);
/* Where group `n` is; false: it took no part. */
bool regex_group(
    const struct regex_match *match, size_t n, size_t *start, size_t *end);

/* The text with everything that means something escaped. */
void regex_escape(struct buf *out, const char *text, size_t len);

#endif

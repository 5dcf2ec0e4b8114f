/*
 * regex_list.h - many regular expressions in order: which is the first that
 * matches?
 *
 * For rules that are asked about every reply of a host, in threads that must
 * not be held up.  PCRE2, as in regex.h, with its just-in-time compiler where
 * the system allows that.  A match is bounded three times: in steps, depth and
 * memory for one expression, and in CPU time for all of them.  An expression
 * beyond its limits does not match; beyond the time nothing does.
 *
 * Texts are UTF-8; whatever else is in them must have been replaced before.
 *
 * Ownership: regex_list_free gives it back.
 * Threads:   once filled it never changes; any number of readers.
 */
#ifndef BASE_REGEX_LIST_H
#define BASE_REGEX_LIST_H

#include <stdint.h>

#include "base/err.h"

struct regex_list;

struct regex_list *regex_list_new(void) MUST_USE;
void regex_list_free(struct regex_list *list); /* NULL is fine */
/* At most 64 KiB of pattern.  Errors say at which character. */
bool regex_list_add(struct regex_list *list, const char *pattern, size_t len,
    struct err *err) MUST_USE;
size_t regex_list_count(const struct regex_list *list);

#define REGEX_LIST_NONE SIZE_MAX

/* What was not answered on the way: each expression that went beyond its
 * limits, and REGEX_LIST_NONE when the time was over. */
typedef void regex_list_over_fn(size_t index, void *ctx);

/* The number of the first that matches `text`, or REGEX_LIST_NONE.  `cpu_ns`:
 * looked at after every eighth expression, and after each that went beyond its
 * limits. */
size_t regex_list_first(const struct regex_list *list, const char *text,
    size_t len, int64_t cpu_ns, regex_list_over_fn *over, void *ctx);

#endif

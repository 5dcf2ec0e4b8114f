/*
 * str.h - small questions about text
 *
 * ASCII only, never the locale: mail's keywords are ASCII.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdint.h>

#include "base/attr.h"

bool str_eq(const char *a, const char *b);      /* NULL equals only NULL */
bool str_case_eq(const char *a, const char *b); /* ASCII case folded */
bool str_ncase_eq(const char *a, const char *b, size_t len);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
char *str_lower(char *s); /* in place, returns s */
/* Copies and always terminates; false when it had to cut. */
bool str_copy(char *out, size_t size, const char *s);
/* A whole decimal number and nothing else. */
bool str_to_int(const char *s, int64_t *out);
bool str_is_ascii(const char *s, size_t len);
bool str_is_utf8(const char *s, size_t len);
/* Bytes of the UTF-8 character that text begins with; 0: it is none. */
size_t str_utf8_step(const char *text, size_t len);
/* Levenshtein distance, cut off at `most`+1: for "did you mean". */
unsigned str_distance(const char *a, const char *b, unsigned most);

#endif

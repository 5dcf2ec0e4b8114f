/*
 * xalloc.h - memory or the end
 *
 * No memory stops the process: when the milter dies the MTA answers 4yz, and a
 * daemon that guesses loses mail.  Sizes from the network are checked before
 * they get here.
 */
#ifndef BASE_XALLOC_H
#define BASE_XALLOC_H

#include "base/attr.h"

void *xmalloc(size_t size) MUST_USE;
void *xcalloc(size_t count, size_t size) MUST_USE;
void *xrealloc(void *p, size_t size) MUST_USE;
char *xstrdup(const char *s) MUST_USE;
char *xstrndup(const char *s, size_t len) MUST_USE;
void *xmemdup(const void *p, size_t len) MUST_USE;
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2) MUST_USE;

#endif

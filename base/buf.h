/*
 * buf.h - bytes under construction
 *
 * Always followed by a NUL that does not count, so data is a C string when it
 * holds no NUL of its own.  An empty buf (BUF_INIT) owns nothing.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/attr.h"

struct buf {
	char *data; /* never NULL after the first add; see buf_str */
	size_t len, size;
};

/* clang-format off */
#define BUF_INIT {NULL, 0, 0}
/* clang-format on */

void buf_init(struct buf *buf);
void buf_release(struct buf *buf);
void buf_reset(struct buf *buf); /* len 0, memory kept */
void buf_reserve(struct buf *buf, size_t more);
void buf_add(struct buf *buf, const void *p, size_t len);
void buf_addstr(struct buf *buf, const char *s);
void buf_addch(struct buf *buf, char c);
void buf_addf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vaddf(struct buf *buf, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Decimal, without the cost of printf. */
void buf_addint(struct buf *buf, long long n);
/* Drops the first n bytes. */
void buf_consume(struct buf *buf, size_t n);
const char *buf_str(const struct buf *buf); /* "" when empty */
/* The caller owns the result (free); the buf is empty again. */
char *buf_take(struct buf *buf, size_t *len) MUST_USE;

#endif

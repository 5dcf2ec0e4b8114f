/*
 * buf.c - bytes under construction
 *
 * Grows by half, so that a message built from many pieces is copied a few
 * times at most.
 */
#include "base/buf.h"

#include <stdint.h>

#include "base/diag.h"
#include "base/xalloc.h"

void buf_init(struct buf *buf)
{
	*buf = (struct buf)BUF_INIT;
}

void buf_release(struct buf *buf)
{
	free(buf->data);
	buf_init(buf);
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

void buf_reserve(struct buf *buf, size_t more)
{
	size_t want;

	invariant(more < SIZE_MAX / 4 && buf->len < SIZE_MAX / 4);
	want = buf->len + more + 1;
	if (want <= buf->size)
		return;
	if (want < buf->size + buf->size / 2)
		want = buf->size + buf->size / 2;
	if (want < 64)
		want = 64;
	buf->data = xrealloc(buf->data, want);
	buf->size = want;
	buf->data[buf->len] = '\0';
}

void buf_add(struct buf *buf, const void *p, size_t len)
{
	buf_reserve(buf, len);
	if (len)
		memcpy(buf->data + buf->len, p, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void buf_addstr(struct buf *buf, const char *s)
{
	buf_add(buf, s, strlen(s));
}

void buf_addch(struct buf *buf, char c)
{
	buf_reserve(buf, 1);
	buf->data[buf->len++] = c;
	buf->data[buf->len] = '\0';
}

void buf_addf(struct buf *buf, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(buf, fmt, ap);
	va_end(ap);
}

void buf_vaddf(struct buf *buf, const char *fmt, va_list ap)
{
	va_list again;
	size_t room;
	int len;

	buf_reserve(buf, 64);
	room = buf->size - buf->len;
	va_copy(again, ap);
	len = vsnprintf(buf->data + buf->len, room, fmt, ap);
	invariant(len >= 0);
	if ((size_t)len >= room) {
		buf_reserve(buf, (size_t)len);
		(void)vsnprintf(
		    buf->data + buf->len, (size_t)len + 1, fmt, again);
	}
	va_end(again);
	buf->len += (size_t)len;
}

void buf_addint(struct buf *buf, long long n)
{
	char digits[24], *p = digits + sizeof digits;
	unsigned long long u =
	    n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (n < 0)
		*--p = '-';
	buf_add(buf, p, (size_t)(digits + sizeof digits - p));
}

void buf_consume(struct buf *buf, size_t n)
{
	invariant(n <= buf->len);
	if (!n)
		return;
	memmove(buf->data, buf->data + n, buf->len - n + 1);
	buf->len -= n;
}

const char *buf_str(const struct buf *buf)
{
	return buf->data ? buf->data : "";
}

char *buf_take(struct buf *buf, size_t *len)
{
	char *data;

	buf_reserve(buf, 0);
	data = buf->data;
	if (len)
		*len = buf->len;
	buf_init(buf);
	return data;
}

/*
 * line_endings.c - a message whose lines end otherwise than in CRLF
 */
#include "mail/line_endings.h"

#include "base/buf.h"

#define PIECE 65536

/* `pending`: the last byte was a CR, of which nothing was written yet. */
static void convert(struct buf *out, const char *p, size_t len, bool *pending)
{
	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (*pending || c == '\n')
			buf_add(out, "\r\n", 2);
		if (c != '\r' && c != '\n')
			buf_addch(out, c);
		*pending = c == '\r';
	}
}

struct content *content_with_crlf(const struct content *c,
    const char *spill_dir, int64_t spill_at, struct err *err)
{
	struct content_builder *b = content_builder_new(spill_dir, spill_at);
	int64_t size = content_facts(c)->size;
	struct buf in = BUF_INIT, out = BUF_INIT;
	bool ok = true, pending = false;

	buf_reserve(&in, PIECE);
	for (int64_t at = 0; ok && at < size; at += PIECE) {
		size_t len = size - at < PIECE ? (size_t)(size - at) : PIECE;

		buf_reset(&out);
		ok = content_read(c, at, in.data, len, err);
		if (ok) {
			convert(&out, in.data, len, &pending);
			ok = content_builder_add(b, out.data, out.len, err);
		}
	}
	if (ok && pending)
		ok = content_builder_add(b, "\r\n", 2, err);
	buf_release(&in);
	buf_release(&out);
	if (ok)
		return content_builder_finish(b, err);
	content_builder_free(b);
	return NULL;
}

/*
 * header.h - the header block of a message, field by field (RFC 5322, 2.2)
 *
 * Reads folded, unfolded, CRLF or LF; never changes what it does not touch.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct header_field {
	const char *name;
	size_t name_len;
	/* Raw: after the colon, folds inside, no last CRLF. */
	const char *value;
	size_t value_len;
	size_t offset, len; /* of the whole field in the block, with line end */
};

/* *pos starts at 0 and moves on.  False at the end of the block (an empty line
 * or the end of the text). Lines that are no fields are skipped. */
bool header_next(
    const char *block, size_t len, size_t *pos, struct header_field *out);
bool header_name_is(const struct header_field *f, const char *name);
/* Unfolded, trimmed, RFC 2047 words decoded to UTF-8. */
char *header_decode(const struct header_field *f, struct arena *arena);
/* Appends a value that header_decode() reads as `text`, for a field of this
 * name: folded at 75 columns, encoded words where they are needed.  ERR_PERM
 * when it is not UTF-8. */
bool header_encode(const char *name, const char *text, size_t len,
    struct buf *out, struct err *err) MUST_USE;

#endif

/*
 * mime.h - the parts of a multipart message (RFC 2046), and their text
 *
 * One level of parts and no more, found in one pass over the bytes: whatever is
 * nested inside a part is bytes of that part.  So a message of a hundred
 * thousand parts, or of parts ten thousand deep, costs what its bytes cost.
 * Content types and encodings are GMime's; it only ever sees the value of one
 * field or the body of one part.
 *
 * Lines end in CRLF or LF.  A boundary is a whole line (white space may
 * follow, and precede one that is not short); the last part may be unfinished.
 *
 * Ownership: parts point into the text they were found in; everything else is
 *	      in `arena`.
 * Threads:   any; GMime is started by the first caller.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/arena.h"

#define MIME_PARTS_MOST 200

struct mime_type {
	const char *type;        /* "multipart/report", lower case; "": none */
	const char *boundary;    /* NULL: absent, as the next two */
	const char *report_type; /* RFC 6522 */
	const char *charset;
};

struct mime_part {
	const char *header; /* with the empty line */
	size_t header_len;
	const char *body; /* without the line end before the boundary */
	size_t body_len;
	struct mime_type type;
};

/* What the first Content-Type field of a header block says. */
void mime_type_parse(
    const char *header, size_t len, struct arena *arena, struct mime_type *out);
/* The direct parts of a multipart body.  False: there are none, or more than
 * MIME_PARTS_MOST. */
bool mime_split(const char *body, size_t len, const char *boundary,
    struct arena *arena, struct mime_part **parts, size_t *count) MUST_USE;
/* The part's body with its Content-Transfer-Encoding undone, as UTF-8: from
 * its charset if that is known, else from ISO-8859-1 unless it is UTF-8
 * already.  At most the first `most` bytes of the body are looked at. */
char *mime_text(const struct mime_part *part, size_t most, struct arena *arena,
    size_t *len) MUST_USE;

#endif

/*
 * dot_stuffing.h - message bytes as DATA wants them (RFC 5321, 4.5.2)
 *
 * Doubles the dots that begin a line, and turns a CR or LF that stands alone
 * into CRLF: neither may be sent (RFC 5321, 2.3.8), and servers that take a
 * bare LF for a line end would see an end of data where there is none.
 *
 *	struct dot_stuffing state;
 *	dot_stuffing_init(&state);
 *	dot_stuffing_add(&state, out, chunk, len);	for each chunk
 *	dot_stuffing_end(&state, out);			adds ".CRLF"
 *
 * Chunks may be cut anywhere.  Both LMTP and SMTP use it; BDAT does not.
 */
#ifndef MAIL_DOT_STUFFING_H
#define MAIL_DOT_STUFFING_H

#include "base/buf.h"

struct dot_stuffing {
	bool at_line_start;
	bool after_cr; /* a CR was read and not written yet */
};

void dot_stuffing_init(struct dot_stuffing *state);
void dot_stuffing_add(
    struct dot_stuffing *state, struct buf *out, const char *p, size_t len);
/* Ends the last line, with a CRLF of ours when it has none, and adds the final
 * dot.  True: a CRLF had to be added. */
bool dot_stuffing_end(struct dot_stuffing *state, struct buf *out);

#endif

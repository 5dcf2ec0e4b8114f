/*
 * radix.h - bytes as text: hex, base32 and base64 in all their alphabets
 *
 * RFC 4648.  Reading is strict: no white space, the padding that the form
 * wants, no bits left over.  For MIME's lenient Base64 see base64.h.
 */
#ifndef BASE_RADIX_H
#define BASE_RADIX_H

#include "base/buf.h"

struct radix {
	const char *name; /* "base64url_nopad" */
	const char *alphabet;
	unsigned bits; /* of one character */
	bool padded;   /* with "=", to a multiple of what fills whole bytes */
	bool any_case; /* letters of either case are read */
};

extern const struct radix radixes[];
extern const size_t radix_count;

/* NULL: no such name. */
const struct radix *radix_find(const char *name);
void radix_encode(
    const struct radix *radix, struct buf *out, const void *p, size_t len);
bool radix_decode(const struct radix *radix, struct buf *out, const char *text,
    size_t len) MUST_USE;

#endif

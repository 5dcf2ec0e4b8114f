/*
 * base64.h - RFC 4648, section 4: standard alphabet, padded
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

void base64_encode(struct buf *out, const void *p, size_t len);
/* White space is skipped; false when anything else is left over. */
bool base64_decode(struct buf *out, const char *text, size_t len) MUST_USE;

#endif

/*
 * line_endings.h - a message whose lines end otherwise than in CRLF
 */
#ifndef MAIL_LINE_ENDINGS_H
#define MAIL_LINE_ENDINGS_H

#include "mail/content.h"

/* A copy in which each CR or LF that stands alone is a CRLF.  spill_dir and
 * spill_at as for content_builder_new.  NULL: ERR_TEMP, the disk refused. */
struct content *content_with_crlf(const struct content *c,
    const char *spill_dir, int64_t spill_at, struct err *err) MUST_USE;

#endif

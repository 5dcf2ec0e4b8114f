/*
 * log_capture.h - the metadata and header fields that a logger asked for
 *
 * Names are exact, or end in '*' and mean all that begin so.  Each function
 * writes a JSON object.
 */
#ifndef LOGS_LOG_CAPTURE_H
#define LOGS_LOG_CAPTURE_H

#include "logs/log_record.h"

/* Case matters.  A null is copied only for a prefix. meta may be NULL. */
void log_capture_meta(
    struct buf *out, const struct meta *meta, struct string_list_view names);
/* Case does not matter.  Keys as the message spells them; one value is text,
 * several are an array. block may be NULL. */
void log_capture_headers(struct buf *out, const char *block, size_t block_len,
    struct string_list_view names);

#endif

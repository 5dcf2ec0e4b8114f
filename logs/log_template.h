/*
 * log_template.h - a record as the policy wants it to look
 *
 * A template (policy/template.h) sees the record's fields as variables, and all
 * of it as log_record (policy language, 15.1).
 */
#ifndef LOGS_LOG_TEMPLATE_H
#define LOGS_LOG_TEMPLATE_H

#include "logs/log_record.h"

struct template;

/* Appends one line with its newline: JSON when `t` is NULL.  A record that the
 * template cannot render is written as JSON, and the operator is told: better
 * an odd line than none. */
void log_record_render(const struct log_record *r, const char *nodeid,
    struct string_list_view meta_names, struct string_list_view header_names,
    const struct template *t, struct buf *out);

#endif

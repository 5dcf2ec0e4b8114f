/*
 * yaml.h - values from and to YAML text
 *
 * Reading is libyaml's, for the first document of a text; plain scalars mean
 * what the core schema of YAML 1.2 says (yes and no are text).  Aliases are
 * copies, and what they add up to is limited.  Keys are scalars.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

/* The error names the line.  At most 64 levels and a million values. */
bool yaml_parse(const char *text, size_t len, struct arena *arena,
    struct value *out, struct err *err) MUST_USE;
/* Block style, one line an entry; texts that could be misread in quotes. */
void yaml_write(struct buf *out, const struct value *v);

#endif

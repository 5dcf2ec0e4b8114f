/*
 * toml.h - values from and to TOML text
 *
 * Reading is toml++'s, in the one C++ file of the tree (toml.cc).  Writing is
 * ours.  Dates and times become the table that readers of TOML elsewhere make
 * of them: one key, "$__toml_private_datetime", with the text.
 */
#ifndef BASE_TOML_H
#define BASE_TOML_H

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

/* The error names line and column.  At most 64 levels. */
bool toml_parse(const char *text, size_t len, struct arena *arena,
    struct value *out, struct err *err) MUST_USE;
/* `v` is a map; nil entries are left out.  pretty: long lists over lines. */
bool toml_write(struct buf *out, const struct value *v, bool pretty,
    struct err *err) MUST_USE;

#endif

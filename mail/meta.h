/*
 * meta.h - named values that travel with a connection or a message
 *
 * What conn_meta:set_meta and msg:set_meta write.  Values are JSON-like trees;
 * setting nil stores null, which reads back as nil.
 *
 * Ownership: values are copied in; what meta_get returns lives until the name
 *            is set again.
 * Threads:   one at a time.  To hand one to another thread, hand it a copy.
 */
#ifndef MAIL_META_H
#define MAIL_META_H

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

struct meta;

struct meta *meta_new(void) MUST_USE;
struct meta *meta_copy(const struct meta *meta) MUST_USE;
void meta_free(struct meta *meta);
void meta_set(struct meta *meta, const char *name, const struct value *v);
void meta_set_string(struct meta *meta, const char *name, const char *s);
void meta_unset(struct meta *meta, const char *name); /* as if never set */
/* NULL when absent; a VALUE_NIL when null was stored. */
const struct value *meta_get(const struct meta *meta, const char *name);
/* NULL when absent, null or not a string. */
const char *meta_get_string(const struct meta *meta, const char *name);
/* In order of first appearance; *pos starts at 0. */
bool meta_each(const struct meta *meta, size_t *pos, const char **name,
    const struct value **v);
/* The same names and values in the same order. */
bool meta_same(const struct meta *a, const struct meta *b);
/* Bytes of memory that all names and values take. */
size_t meta_size(const struct meta *meta);
void meta_write_json(const struct meta *meta, struct buf *out);
struct meta *meta_parse_json(const char *text, size_t len, struct err *err)
    MUST_USE;

#endif

/*
 * json.h - values from and to JSON text
 *
 * Reading is jansson's.  Writing is ours and straight into a buf, because a log
 * record is a hundred small pieces and its cost is counted.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

/* Depth and size are limited (64 levels). null becomes VALUE_NIL. */
bool json_parse(const char *text, size_t len, struct arena *arena,
    struct value *out, struct err *err) MUST_USE;

void json_write(struct buf *buf, const struct value *v);
/* "text" with quotes; bytes that are not UTF-8 become U+FFFD, so that the
 * result is always JSON. */
void json_write_string(struct buf *buf, const char *s, size_t len);

/* For building objects by hand: `first` keeps the commas right. */
struct json_object {
	struct buf *buf;
	bool first;
};
void json_open(struct json_object *o, struct buf *buf);
void json_close(struct json_object *o);
void json_key(struct json_object *o, const char *key);
void json_add_string(struct json_object *o, const char *key, const char *s);
/* NULL writes null. */
void json_add_int(struct json_object *o, const char *key, int64_t n);
void json_add_bool(struct json_object *o, const char *key, bool b);
void json_add_value(
    struct json_object *o, const char *key, const struct value *v);
void json_add_raw(
    struct json_object *o, const char *key, const char *json, size_t len);

#endif

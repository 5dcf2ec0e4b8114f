/*
 * err.h - what went wrong, and whether it may pass
 *
 * A class and a fixed text, so that failing needs no memory.  The class is the
 * question that mail always asks; callers branch on it, never on the text.
 * On the way up each caller prefixes what it was doing, so the text reads from
 * the outside in: `policy.lua: get_egress_source("ip-1"): ttl: expected ...`.
 *
 * Style of a text: no capital, no full stop, input quoted and cut.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"

enum err_class {
	ERR_NONE,
	ERR_TEMP,   /* may pass: 4yz, defer */
	ERR_PERM,   /* will not pass: 5yz, bounce */
	ERR_CONFIG, /* needs the operator */
};

struct err {
	enum err_class class;
	char text[1024];
};

/* All three return false, so that `return err_set(...)` is a statement.
 * `err` may be NULL: then nothing is recorded. */
bool err_set(struct err *err, enum err_class class, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Appends ": " and the text of errno as it was at the call. */
bool err_errno(struct err *err, enum err_class class, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Puts "what: " in front of the text; the class stays. */
bool err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

const char *err_class_name(enum err_class class);

/* The sysexits code that a program ends with: ERR_TEMP 75, ERR_PERM 65,
 * ERR_CONFIG 78. */
int err_exit_code(const struct err *err);

#endif

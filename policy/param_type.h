/*
 * param_type.h - the table of types behind the rows of param.h
 *
 * A type is its name in the manual, a reader and a printer.  Only param*.c
 * include this.
 */
#ifndef POLICY_PARAM_TYPE_H
#define POLICY_PARAM_TYPE_H

#include "policy/param.h"

/* Room for the field of any type but PARAM_RECORD and PARAM_CUSTOM. */
#define PARAM_FIELD_SIZE 64

struct param_type_row {
	const char *syntax; /* for the manual; NULL: the row's names */
	bool (*read)(const struct param_spec *spec, const struct value *v,
	    void *field, struct arena *arena, struct err *err);
	struct value (*print)(const struct param_spec *spec, const void *field,
	    struct arena *arena);
};

extern const struct param_type_row param_type_string, param_type_bool,
    param_type_int, param_type_limit, param_type_duration, param_type_rate,
    param_type_address, param_type_endpoint, param_type_enum,
    param_type_rate_map, param_type_limit_map;

void param_type_bounds(
    const struct param_spec *spec, int64_t *min, int64_t *max);
void param_type_names(
    const struct param_enum_name *names, const char *between, struct buf *out);

/* Reads `v`, which is not NIL, into the row's field. */
bool param_type_read(const struct param_spec *spec, const struct value *v,
    void *record, struct arena *arena, struct err *err) MUST_USE;
/* Reads the row's fallback; nothing happens without one. */
bool param_type_read_fallback(const struct param_spec *spec, void *record,
    struct arena *arena, struct err *err) MUST_USE;
/* What the field holds; NIL when that is nothing. */
struct value param_type_print(
    const struct param_spec *spec, const void *record, struct arena *arena);
/* How the manual writes a value of the row: "N (1..65535)". */
void param_type_syntax(const struct param_spec *spec, struct buf *out);

#endif

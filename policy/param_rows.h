/*
 * param_rows.h - how to write the rows of a parameter table
 *
 * For the files that hold tables; readers of records want param.h.
 *
 *	#define S egress_source
 *	static const struct param_spec specs[] = {
 *	    P_INT(S, remote_port, 1, 65535, .help = "..."),
 *	};
 *	#undef S
 *
 * Each P_* names the C type that the field must have, and a field of another
 * type is a compile error, at no cost when the program runs.
 */
#ifndef POLICY_PARAM_ROWS_H
#define POLICY_PARAM_ROWS_H

#include "policy/param.h"

#define PARAM_AT_IF(S, field, condition, what)                                 \
	(offsetof(struct S, field) + 0 * sizeof(struct {                       \
		_Static_assert(condition, #S "." #field " must be " what);     \
		char unused;                                                   \
	}))
#define PARAM_AT(S, field, T)                                                  \
	PARAM_AT_IF(S, field,                                                  \
	    _Generic(((struct S *)0)->field, T : 1, default : 0), #T)

#define PARAM_ROW(S, f, T, sort, ...)                                          \
	{                                                                      \
		.key = #f, .type = sort, .offset = PARAM_AT(S, f, T),          \
		__VA_ARGS__                                                    \
	}

#define P_STRING(S, f, ...)                                                    \
	PARAM_ROW(S, f, const char *, PARAM_STRING, __VA_ARGS__)
#define P_BOOL(S, f, ...) PARAM_ROW(S, f, bool, PARAM_BOOL, __VA_ARGS__)
/* Bounds included; both 0: anything not negative. */
#define P_INT(S, f, least, most, ...)                                          \
	PARAM_ROW(                                                             \
	    S, f, int64_t, PARAM_INT, .min = least, .max = most, __VA_ARGS__)
#define P_LIMIT(S, f, ...) PARAM_ROW(S, f, int64_t, PARAM_LIMIT, __VA_ARGS__)
#define P_DURATION(S, f, ...)                                                  \
	PARAM_ROW(S, f, struct duration, PARAM_DURATION, __VA_ARGS__)
#define P_RATE(S, f, ...)                                                      \
	PARAM_ROW(S, f, const struct rate *, PARAM_RATE, __VA_ARGS__)
#define P_ADDRESS(S, f, ...)                                                   \
	PARAM_ROW(S, f, const struct ip_addr *, PARAM_ADDRESS, __VA_ARGS__)
#define P_ENDPOINT(S, f, ...)                                                  \
	PARAM_ROW(S, f, const struct endpoint *, PARAM_ENDPOINT, __VA_ARGS__)
#define P_CIDR_LIST(S, f, ...)                                                 \
	PARAM_ROW(S, f, struct cidr_list, PARAM_CIDR_LIST, __VA_ARGS__)
#define P_STRING_LIST(S, f, ...)                                               \
	PARAM_ROW(S, f, struct string_list, PARAM_STRING_LIST, __VA_ARGS__)
#define P_KEY_SOURCE(S, f, ...)                                                \
	PARAM_ROW(S, f, const struct value *, PARAM_KEY_SOURCE, __VA_ARGS__)
#define P_VALUE(S, f, ...)                                                     \
	PARAM_ROW(S, f, const struct value *, PARAM_VALUE, __VA_ARGS__)
#define P_RATE_MAP(S, f, ...)                                                  \
	PARAM_ROW(S, f, struct named_rates, PARAM_RATE_MAP, __VA_ARGS__)
#define P_LIMIT_MAP(S, f, ...)                                                 \
	PARAM_ROW(S, f, struct named_limits, PARAM_LIMIT_MAP, __VA_ARGS__)
#define P_MAP(S, f, ...)                                                       \
	PARAM_ROW(S, f, const struct value *, PARAM_MAP, __VA_ARGS__)
#define P_RECORD(S, f, T, nested, ...)                                         \
	PARAM_ROW(S, f, T, PARAM_RECORD, .set = nested, __VA_ARGS__)
#define P_ENUM(S, f, table, ...)                                               \
	{                                                                      \
		.key = #f, .type = PARAM_ENUM, .names = table,                 \
		.offset = PARAM_AT_IF(S, f,                                    \
		    sizeof(((struct S *)0)->f) == sizeof(int), "an enum"),     \
		__VA_ARGS__                                                    \
	}
#define P_CUSTOM(S, f, reader, printer, ...)                                   \
	{                                                                      \
		.key = #f, .type = PARAM_CUSTOM, .custom = reader,             \
		.print = printer, .offset = offsetof(struct S, f), __VA_ARGS__ \
	}
/* A key that has no field: checked, and nothing else. */
#define P_NOWHERE(name, sort, ...)                                             \
	{                                                                      \
		.key = name, .type = sort, .offset = PARAM_NOWHERE,            \
		__VA_ARGS__                                                    \
	}

/* For custom readers.  As param_parse(), but errors do not begin with the name
 * of the set, since the caller knows a better one. */
bool param_fill(const struct param_set *set, const struct value *table,
    struct arena *arena, void *record, struct err *err) MUST_USE;
/* The same over what `record` holds already, bitmap included. */
bool param_fill_over(const struct param_set *set, const struct value *table,
    struct arena *arena, void *record, struct err *err) MUST_USE;

/* `invalid type: string "25", expected an integer`; false. */
bool param_type_error(
    struct err *err, const struct value *v, const char *expected);
/* `invalid value: string "5", <why>`; false. */
bool param_value_error(struct err *err, const struct value *v, const char *fmt,
    ...) PRINTF_LIKE(3, 4);
/* From base's `invalid duration "5": ...`; false. */
bool param_refused(struct err *err, const struct err *why);
/* A string without a NUL inside, which C would take for its end. */
bool param_plain_text(const struct value *v, struct err *err);
/* A name that goes into a line of SMTP or a header: printable ASCII without
 * blanks, or NULL.  For the checks of sets. */
bool param_check_word(const char *key, const char *s, struct err *err);
/* Nothing, {} or a list without elements. */
bool param_is_empty_table(const struct value *v);
/* A string value, for printers; NULL becomes NIL. */
struct value param_text(struct arena *arena, const char *s);

/* The record that `table` (NULL: no keys) parses into, made once and kept for
 * good in *slot.  For what is built in, so a failure is a bug. */
const void *param_constant(const struct param_set *set,
    const struct value *table, const void *_Atomic *slot);

#endif

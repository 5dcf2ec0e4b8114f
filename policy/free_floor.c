/*
 * free_floor.c - "10%" or a number: how much of a file system stays free
 *
 * A percentage has no bytes that would be enough (INT64_MAX); a number of them
 * is at most all there are (100 %).
 */
#include "policy/free_floor.h"

#include "base/arena.h"
#include "base/diag.h"

/* 1*3DIGIT ["." 1*DIGIT] "%" */
static bool read_percent(const char *text, double *out)
{
	char *end;
	size_t digits = strspn(text, "0123456789.");

	if (digits == 0 || text[0] == '.' || text[digits - 1] == '.')
		return false;
	*out = strtod(text, &end);
	return end == text + digits && end[0] == '%' && !end[1] && *out <= 100;
}

bool free_floor_read(
    const struct value *v, struct free_floor *out, struct err *err)
{
	char quoted[64];

	switch (v->type) {
	case VALUE_INT:
		if (v->i < 0)
			return err_set(err, ERR_CONFIG,
			    "invalid value: %lld is below 0", (long long)v->i);
		*out = (struct free_floor){v->i, 100};
		return true;
	case VALUE_STRING:
		out->least = INT64_MAX;
		if (read_percent(v->s, &out->percent)) {
			/* "0%" demands nothing, and is given. */
			if (out->percent == 0)
				*out = (struct free_floor){0, 100};
			return true;
		}
		return err_set(err, ERR_CONFIG,
		    "invalid value: \"%s\", expected \"10%%\" or a number",
		    diag_quote(quoted, sizeof quoted, v->s, v->len));
	default:
		return param_type_error(
		    err, v, "a percentage as text, or a number");
	}
}

struct value free_floor_print(
    const struct free_floor *floor, struct arena *arena)
{
	if (floor->percent == 0)
		return (struct value){.type = VALUE_NIL};
	if (floor->least < INT64_MAX)
		return (struct value){.type = VALUE_INT, .i = floor->least};
	return param_text(arena, arena_printf(arena, "%g%%", floor->percent));
}

/*
 * free_floor.h - "10%" or a number: how much of a file system stays free
 * (policy language, 15.1)
 */
#ifndef POLICY_FREE_FLOOR_H
#define POLICY_FREE_FLOOR_H

#include "base/free_space.h"
#include "policy/param_rows.h"

/* For custom rows (param_rows.h).  Text: a number with "%"; number: bytes or
 * inodes, 0 demands nothing. */
bool free_floor_read(
    const struct value *v, struct free_floor *out, struct err *err) MUST_USE;
/* As it was given; nil when it was not. */
struct value free_floor_print(
    const struct free_floor *floor, struct arena *arena);

/* The reader and the printer of field `f` of struct S, for P_FREE_FLOOR. */
#define FREE_FLOOR_FIELD(S, f)                                                 \
	static bool read_##f(const struct value *v, void *record,              \
	    struct arena *arena, struct err *err)                              \
	{                                                                      \
		(void)arena;                                                   \
		return free_floor_read(v, &((struct S *)record)->f, err);      \
	}                                                                      \
	static struct value print_##f(const void *record, struct arena *arena) \
	{                                                                      \
		return free_floor_print(                                       \
		    &((const struct S *)record)->f, arena);                    \
	}
#define P_FREE_FLOOR(S, f, ...) P_CUSTOM(S, f, read_##f, print_##f, __VA_ARGS__)

#endif

/*
 * rehearsal_value.h - what passes between a test script and C
 *
 * For the functions of the table that rehearsal_core.c opens.  Who raises does
 * not return: lua_error() jumps, so callers hold nothing that must be freed.
 *
 * Ownership: texts that are returned live in the rehearsal's arena.
 */
#ifndef TRIAL_REHEARSAL_VALUE_H
#define TRIAL_REHEARSAL_VALUE_H

#include <lua.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/value.h"

struct rehearsal;

/* Whose state this is. */
struct rehearsal *rehearsal_self(lua_State *L);
/* Without a position: prelude.lua finds the script's line. */
NORETURN void rehearsal_raise_text(lua_State *L, const char *text);
NORETURN void rehearsal_raise(lua_State *L, const struct err *err);
/* A copy of the text at this index; NULL: nil, or none. */
const char *rehearsal_keep_text(lua_State *L, int index);
/* A copy of a field of the table at this index; NULL: nil.  Raises when it is
 * no text. */
const char *rehearsal_text_field(lua_State *L, int index, const char *key);
/* Sets a field of the table on top; text may be NULL: nil. */
void rehearsal_set_text(lua_State *L, const char *key, const char *text);

#endif

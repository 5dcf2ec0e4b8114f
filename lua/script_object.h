/*
 * script_object.h - values that Lua holds but cannot take apart
 *
 * A config object is what a make_* function returned: checked, and readable
 * field by field as its effective values (durations as text).  A shared value
 * is a table that kumo.memoize keeps for all states: reading goes to the shared
 * tree, writing to a copy of this one level.
 *
 * Threads: the arena behind a shared value is immutable; the objects belong to
 *          their state.
 */
#ifndef LUA_SCRIPT_OBJECT_H
#define LUA_SCRIPT_OBJECT_H

#include <lua.h>

#include "base/arena.h"
#include "base/value.h"
#include "policy/param.h"

void script_object_open(lua_State *L);
/* Pushes a config object.  value->kind names it; `arena` holds the value and is
 * referenced.  The value has been checked. */
void script_config_push(
    lua_State *L, struct arena *arena, const struct value *value);
/* Pushes any value of an immutable tree: scalars as such, tables as shared
 * values, config objects as config objects. */
void script_shared_push(
    lua_State *L, struct arena *arena, const struct value *value);
/* Is it one of the two?  Then what it holds; for a shared value with changes
 * of its own, a merged copy in `arena`. */
const struct value *script_object_value(
    lua_State *L, int index, struct arena *arena);
/* The constructor called `kind`, or NULL. */
const struct param_set *script_param_set(const char *kind);

#endif

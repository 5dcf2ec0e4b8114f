/*
 * script_value.h - Lua values <-> struct value
 *
 * Reading takes tables as they are (no metamethod runs, so no Lua code):
 * a table with the keys 1..n and no other is a list, everything else a map with
 * text keys, sorted, so that what users see does not depend on a hash.  Config
 * objects and shared values (script_object.h) are what they hold; addresses are
 * their text; functions, threads and other objects are refused.
 */
#ifndef LUA_SCRIPT_VALUE_H
#define LUA_SCRIPT_VALUE_H

#include <lua.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/value.h"

/* Into `arena`.  False: cyclic, deeper than 64, more than a million values, or
 * something that is no value.  Raises only for want of memory or time. */
bool script_value_read(lua_State *L, int index, struct arena *arena,
    struct value *out, struct err *err) MUST_USE;
/* The same; domain maps and CIDR maps keep their kind (script_object.h). */
bool script_value_read_maps(lua_State *L, int index, struct arena *arena,
    struct value *out, struct err *err) MUST_USE;
/* Plain tables; values that have a kind become config objects. */
void script_value_push(lua_State *L, const struct value *v);
/* Plain tables whatever the kind; into any Lua state, also one that is none of
 * a policy. */
void script_value_push_plain(lua_State *L, const struct value *v);
/* "a table", "the number 5", "\"text\"": for error texts, bounded. */
const char *script_value_name(lua_State *L, int index);

#endif

/*
 * script_raised.h - what a policy raised, in words for its author
 *
 * Lua can raise any value, and what C raises tells no place.
 *
 * Threads: those of the state.
 */
#ifndef LUA_SCRIPT_RAISED_H
#define LUA_SCRIPT_RAISED_H

#include <lua.h>
#include <stdbool.h>

/* Replaces the value on top by a text: a table by its JSON, "not enough memory"
 * by the limit.  It may raise and runs __tostring of the policy: call it
 * protected. */
void script_raised_describe(lua_State *L);
/* A message handler that does that to all but text, with file and line. */
int script_raised_l_handler(lua_State *L);
/* Does the text name file and line? */
bool script_raised_has_place(const char *text);

#endif

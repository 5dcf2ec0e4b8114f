/*
 * script_table.h - tables, and objects that behave like one
 */
#ifndef LUA_SCRIPT_TABLE_H
#define LUA_SCRIPT_TABLE_H

#include <lauxlib.h>
#include <lua.h>

/* Registers the metatable of a type of userdata, closed to policies. */
void script_table_type(lua_State *L, const char *name, const luaL_Reg *methods);
/* The same for objects with methods; either may be NULL. */
void script_table_class(
    lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);
/* Pushes a plain table with the entries of what is at `index`: a table, or an
 * object of ours with __pairs.  Raises for anything else. */
void script_table_of(lua_State *L, int index);
/* What __pairs returns for the table on top: a copy is walked, so that the
 * table may change meanwhile.  Returns 3. */
int script_table_pairs(lua_State *L);
/* A field that the table on top, the methods of a `kind` of object, does not
 * have is an error from now on; `hint` may be NULL.  Nil would read as "not
 * set". */
void script_table_seal(lua_State *L, const char *kind, const char *hint);
/* All entries, not only 1..n. */
lua_Integer script_table_count(lua_State *L, int index);
/* __pairs and __len of an object of `type`, at 1, that keeps its entries in the
 * table that is this user value of it. */
int script_table_of_object_pairs(lua_State *L, const char *type, int value);
int script_table_of_object_len(lua_State *L, const char *type, int value);

#endif

/*
 * script_table.c - tables, and objects that behave like one
 */
#include "lua/script_table.h"

void script_table_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
	luaL_newmetatable(L, name);
	luaL_setfuncs(L, methods, 0);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

void script_table_class(
    lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	if (methods) {
		lua_newtable(L);
		luaL_setfuncs(L, methods, 0);
		lua_setfield(L, -2, "__index");
	}
	if (gc) {
		lua_pushcfunction(L, gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

/* Upvalues: the kind, the hint. */
static int l_no_field(lua_State *L)
{
	const char *hint = lua_tostring(L, lua_upvalueindex(2));

	return luaL_error(L, "%s has no field or method \"%s\"%s%s",
	    lua_tostring(L, lua_upvalueindex(1)), luaL_tolstring(L, 2, NULL),
	    hint ? ": " : "", hint ? hint : "");
}

void script_table_seal(lua_State *L, const char *kind, const char *hint)
{
	lua_createtable(L, 0, 2);
	lua_pushstring(L, kind);
	lua_pushstring(L, hint);
	lua_pushcclosure(L, l_no_field, 2);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}

void script_table_of(lua_State *L, int index)
{
	index = lua_absindex(L, index);
	if (lua_istable(L, index)) {
		lua_pushvalue(L, index);
		return;
	}
	if (!lua_isuserdata(L, index) ||
	    luaL_getmetafield(L, index, "__pairs") == LUA_TNIL)
		luaL_typeerror(L, index, "table");
	lua_pushvalue(L, index);
	lua_call(L, 1, 3); /* next, table, nil */
	luaL_checktype(L, -2, LUA_TTABLE);
	lua_pop(L, 1);
	lua_remove(L, -2);
}

int script_table_pairs(lua_State *L)
{
	int from = lua_gettop(L);

	lua_getglobal(L, "next");
	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, from)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -4);
	}
	lua_pushnil(L);
	return 3;
}

lua_Integer script_table_count(lua_State *L, int index)
{
	lua_Integer n = 0;

	index = lua_absindex(L, index);
	lua_pushnil(L);
	for (; lua_next(L, index); n++)
		lua_pop(L, 1);
	return n;
}

static void push_entries(lua_State *L, const char *type, int value)
{
	luaL_checkudata(L, 1, type);
	lua_getiuservalue(L, 1, value);
}

int script_table_of_object_pairs(lua_State *L, const char *type, int value)
{
	push_entries(L, type, value);
	return script_table_pairs(L);
}

int script_table_of_object_len(lua_State *L, const char *type, int value)
{
	push_entries(L, type, value);
	lua_pushinteger(L, script_table_count(L, -1));
	return 1;
}

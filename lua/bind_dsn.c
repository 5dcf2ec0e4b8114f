/*
 * bind_dsn.c - kumo.generate_rfc3464_message
 *
 * It is written in Lua, as everything that can be:
 * lua/modules/penstock/dsn.lua.
 */
#include "lua/bind.h"

static int l_generate(lua_State *L)
{
	int args = lua_gettop(L);

	lua_getglobal(L, "require");
	lua_pushliteral(L, "penstock.dsn");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "generate_rfc3464_message");
	lua_remove(L, -2);
	lua_insert(L, 1);
	lua_call(L, args, 1);
	return 1;
}

void bind_dsn_open(lua_State *L)
{
	lua_pushcfunction(L, l_generate);
	lua_setfield(L, -2, "generate_rfc3464_message");
}

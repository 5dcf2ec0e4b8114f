/*
 * script_raised.c - what a policy raised, in words for its author
 */
#include "lua/script_raised.h"

#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

#include "lua/bind.h"
#include "lua/script_state.h"

#define MOST_JSON 200

/* The table on top as JSON, or what it is. */
static void describe_table(lua_State *L)
{
	size_t len = 0;
	const char *json = NULL;

	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	if (lua_getfield(L, -1, "kumo") == LUA_TTABLE &&
	    lua_getfield(L, -1, "json_encode") == LUA_TFUNCTION) {
		lua_pushvalue(L, -4);
		if (lua_pcall(L, 1, 1, 0) == LUA_OK)
			json = lua_tolstring(L, -1, &len);
	}
	if (!json)
		lua_pushliteral(L, "raised a table");
	else if (len > MOST_JSON)
		lua_pushfstring(
		    L, "raised %s...", lua_pushlstring(L, json, MOST_JSON));
	else
		lua_pushfstring(L, "raised %s", json);
}

void script_raised_describe(lua_State *L)
{
	int value = lua_gettop(L);
	size_t limit = script_state_of(L)->limit;

	if (lua_type(L, value) == LUA_TSTRING) {
		if (strcmp(lua_tostring(L, value), "not enough memory") != 0)
			return;
		lua_pushfstring(L,
		    "not enough memory: more than the %d MiB that a state "
		    "may take",
		    (int)(limit >> 20));
	} else if (lua_isnil(L, value))
		lua_pushliteral(L, "raised nil");
	else if (script_reject_test(L, value))
		lua_pushfstring(L,
		    "kumo.reject: %s: there is nobody to answer here",
		    luaL_tolstring(L, value, NULL));
	else if (lua_istable(L, value) &&
		 luaL_getmetafield(L, value, "__tostring") == LUA_TNIL)
		describe_table(L);
	else
		(void)luaL_tolstring(L, value, NULL);
	lua_replace(L, value);
	lua_settop(L, value);
}

int script_raised_l_handler(lua_State *L)
{
	lua_Debug ar;

	if (lua_type(L, 1) == LUA_TSTRING)
		return 1;
	lua_settop(L, 1);
	script_raised_describe(L);
	for (int level = 0; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (ar.currentline <= 0)
			continue;
		lua_pushfstring(L, "%s:%d: %s", ar.short_src, ar.currentline,
		    lua_tostring(L, 1));
		return 1;
	}
	return 1;
}

/* NAME:LINE: with a name that is no address. */
bool script_raised_has_place(const char *text)
{
	for (const char *at = strchr(text, ':'); at; at = strchr(at + 1, ':')) {
		size_t digits = strspn(at + 1, "0123456789");

		if (digits > 0 && at[1 + digits] == ':' && at > text &&
		    !isdigit((unsigned char)at[-1]) && at[-1] != ']')
			return true;
	}
	return false;
}

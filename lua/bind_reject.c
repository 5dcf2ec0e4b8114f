/*
 * bind_reject.c - kumo.reject and kumo.disconnect: an answer, raised
 *
 * What is raised is a userdata, so that pcall and error(e, 0) keep its nature.
 */
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_table.h"

#define REJECT "penstock.reject"

struct rejection {
	struct script_reject reject;
	char text[]; /* what reject.message points to */
};

static const struct {
	const char *name;
	enum script_disconnect mode;
} modes[] = {
    {"If421", DISCONNECT_IF_421},
    {"ForceDisconnect", DISCONNECT_FORCE},
    {"FollowWith421", DISCONNECT_FOLLOW_421},
};

const struct script_reject *script_reject_test(lua_State *L, int index)
{
	struct rejection *r = luaL_testudata(L, index, REJECT);

	return r ? &r->reject : NULL;
}

static int raise(lua_State *L, enum script_disconnect mode)
{
	lua_Integer code = luaL_checkinteger(L, 1);
	size_t len;
	const char *text = luaL_checklstring(L, 2, &len);
	struct rejection *r = lua_newuserdatauv(L, sizeof *r + len + 1, 0);

	memcpy(r->text, text, len);
	r->text[len] = '\0';
	r->reject.code = code > -100000 && code < 100000 ? (int)code : 0;
	r->reject.message = r->text;
	r->reject.mode = mode;
	luaL_setmetatable(L, REJECT);
	return lua_error(L);
}

void script_reject_raise(lua_State *L, int code, const char *text)
{
	lua_pushinteger(L, code);
	lua_insert(L, 1);
	lua_pushstring(L, text);
	lua_insert(L, 2);
	(void)raise(L, DISCONNECT_IF_421);
	abort(); /* not reached */
}

static int l_reject(lua_State *L)
{
	return raise(L, DISCONNECT_IF_421);
}

static int l_disconnect(lua_State *L)
{
	const char *name = luaL_optstring(L, 3, "ForceDisconnect");

	for (size_t i = 0; i < COUNT(modes); i++)
		if (str_eq(modes[i].name, name))
			return raise(L, modes[i].mode);
	return luaL_argerror(L, 3,
	    "expected \"ForceDisconnect\", \"FollowWith421\" or \"If421\"");
}

static int l_index(lua_State *L)
{
	struct rejection *r = luaL_checkudata(L, 1, REJECT);
	const char *key = luaL_checkstring(L, 2);

	if (str_eq(key, "code")) {
		lua_pushinteger(L, r->reject.code);
	} else if (str_eq(key, "message")) {
		lua_pushstring(L, r->reject.message);
	} else if (str_eq(key, "disconnect")) {
		for (size_t i = 0; i < COUNT(modes); i++)
			if (modes[i].mode == r->reject.mode)
				lua_pushstring(L, modes[i].name);
	} else {
		lua_pushnil(L);
	}
	return 1;
}

static int l_tostring(lua_State *L)
{
	struct rejection *r = luaL_checkudata(L, 1, REJECT);

	lua_pushfstring(L, "%d %s", r->reject.code, r->reject.message);
	return 1;
}

/* 'failed: ' .. err, as with an ordinary error text. */
static int l_concat(lua_State *L)
{
	luaL_tolstring(L, 1, NULL);
	luaL_tolstring(L, 2, NULL);
	lua_concat(L, 2);
	return 1;
}

static const luaL_Reg meta_methods[] = {
    {"__index", l_index},
    {"__tostring", l_tostring},
    {"__concat", l_concat},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"reject", l_reject},
    {"disconnect", l_disconnect},
    {NULL, NULL},
};

void bind_reject_open(lua_State *L)
{
	script_table_type(L, REJECT, meta_methods);
	luaL_setfuncs(L, functions, 0);
}

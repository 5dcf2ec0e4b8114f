/*
 * bind_address.c - EnvelopeAddress (policy language, 3.7)
 */
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_table.h"

#define ADDRESS "penstock.address"
#define ARENA_SIZE 256 /* of an address; a longer one is no more than 1 KiB */

struct held_address {
	struct arena *arena;
	struct address address;
};

static struct held_address *push_empty(lua_State *L)
{
	struct held_address *held = lua_newuserdatauv(L, sizeof *held, 0);

	memset(held, 0, sizeof *held);
	luaL_setmetatable(L, ADDRESS);
	held->arena = arena_new(ARENA_SIZE);
	script_charge(L, ARENA_SIZE);
	return held;
}

void script_address_push(lua_State *L, const struct address *a)
{
	struct held_address *held = push_empty(L);

	held->address.local = arena_strdup(held->arena, a->local);
	held->address.user = arena_strdup(held->arena, a->user);
	held->address.domain = arena_strdup(held->arena, a->domain);
	held->address.email = arena_strdup(held->arena, a->email);
}

const struct address *script_address_test(lua_State *L, int index)
{
	struct held_address *held = luaL_testudata(L, index, ADDRESS);

	return held ? &held->address : NULL;
}

struct address script_address_check(
    lua_State *L, int index, struct arena *arena)
{
	const struct address *given = script_address_test(L, index);
	struct address parsed;
	struct err err = {0};
	const char *text;
	size_t len;

	if (given) {
		parsed.local = arena_strdup(arena, given->local);
		parsed.user = arena_strdup(arena, given->user);
		parsed.domain = arena_strdup(arena, given->domain);
		parsed.email = arena_strdup(arena, given->email);
		return parsed;
	}
	if (lua_type(L, index) != LUA_TSTRING)
		luaL_typeerror(L, index, "address");
	text = lua_tolstring(L, index, &len);
	if (!address_parse(text, len, arena, &parsed, &err))
		script_raise(L, &err);
	return parsed;
}

static int l_index(lua_State *L)
{
	struct held_address *held = luaL_checkudata(L, 1, ADDRESS);
	const char *key = luaL_checkstring(L, 2);

	if (str_eq(key, "user"))
		lua_pushstring(L, held->address.user);
	else if (str_eq(key, "domain"))
		lua_pushstring(L, held->address.domain);
	else if (str_eq(key, "email"))
		lua_pushstring(L, held->address.email);
	else
		return luaL_error(L,
		    "address has no field \"%s\": there are user, domain and "
		    "email",
		    key);
	return 1;
}

static int l_tostring(lua_State *L)
{
	struct held_address *held = luaL_checkudata(L, 1, ADDRESS);

	lua_pushstring(L, held->address.email);
	return 1;
}

static int l_eq(lua_State *L)
{
	struct held_address *a = luaL_testudata(L, 1, ADDRESS);
	struct held_address *b = luaL_testudata(L, 2, ADDRESS);

	lua_pushboolean(
	    L, a && b && str_eq(a->address.email, b->address.email));
	return 1;
}

static int l_concat(lua_State *L)
{
	luaL_tolstring(L, 1, NULL);
	luaL_tolstring(L, 2, NULL);
	lua_concat(L, 2);
	return 1;
}

static int l_gc(lua_State *L)
{
	struct held_address *held = luaL_checkudata(L, 1, ADDRESS);

	if (held->arena)
		script_uncharge(L, ARENA_SIZE);
	arena_unref(held->arena);
	memset(held, 0, sizeof *held);
	return 0;
}

static const luaL_Reg meta_methods[] = {
    {"__index", l_index},
    {"__tostring", l_tostring},
    {"__eq", l_eq},
    {"__concat", l_concat},
    {"__gc", l_gc},
    {NULL, NULL},
};

void bind_address_open(lua_State *L)
{
	script_table_type(L, ADDRESS, meta_methods);
}

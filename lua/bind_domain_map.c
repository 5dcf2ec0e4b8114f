/*
 * bind_domain_map.c - kumo.domain_map: values by domain name, with wildcards
 *
 * A lookup walks the labels from the right through what is stored.  At the
 * first label that has no node it takes the "*" of that level, and only of that
 * level (policy language, 16.2).
 *
 * The values are a table name -> value; the nodes a table of all the names and
 * their parents.
 */
#include <string.h>

#include "lua/bind.h"
#include "lua/script_object.h"
#include "lua/script_table.h"

#define MAP "penstock.domain_map"
#define VALUES 1
#define NODES 2

static void push_new(lua_State *L)
{
	(void)lua_newuserdatauv(L, 0, 2);
	lua_newtable(L);
	lua_setiuservalue(L, -2, VALUES);
	lua_newtable(L);
	lua_setiuservalue(L, -2, NODES);
	luaL_setmetatable(L, MAP);
}

/* What follows the first label; NULL: nothing. */
static const char *parent(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? dot + 1 : NULL;
}

/* Marks the name and its parents in the table on top. */
static void add_nodes(lua_State *L, const char *name)
{
	for (; name; name = parent(name)) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, name);
	}
}

/* Nodes from the names that still have a value. */
static void remake_nodes(lua_State *L, int map)
{
	lua_newtable(L);
	lua_getiuservalue(L, map, VALUES);
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		lua_pop(L, 1);
		lua_pushvalue(L, -3);
		add_nodes(L, lua_tostring(L, -2));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	lua_setiuservalue(L, map, NODES);
}

/* map[key] = the value on top, which is popped. */
static void set(lua_State *L, int map, const char *key)
{
	bool removed = lua_isnil(L, -1);

	lua_getiuservalue(L, map, VALUES);
	lua_insert(L, -2);
	lua_setfield(L, -2, key);
	lua_pop(L, 1);
	if (removed) {
		remake_nodes(L, map);
		return;
	}
	lua_getiuservalue(L, map, NODES);
	add_nodes(L, key);
	lua_pop(L, 1);
}

static int l_newindex(lua_State *L)
{
	luaL_checkudata(L, 1, MAP);
	lua_settop(L, 3);
	set(L, 1, luaL_checkstring(L, 2));
	return 0;
}

/* Is there a node?  NODES is on top. */
static bool has_node(lua_State *L, const char *name)
{
	bool has = lua_getfield(L, -1, name) != LUA_TNIL;

	lua_pop(L, 1);
	return has;
}

static int l_index(lua_State *L)
{
	const char *name, *known = NULL, *at;
	size_t len;

	luaL_checkudata(L, 1, MAP);
	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	name = lua_tolstring(L, 2, &len);
	lua_getiuservalue(L, 1, VALUES);
	lua_getiuservalue(L, 1, NODES);
	/* The longest end of the name that is a node. */
	for (size_t i = len + 1; i-- > 0;) {
		at = name + i;
		if (i > 0 && (i == len || at[-1] != '.'))
			continue;
		if (!has_node(L, at))
			break;
		known = at;
	}
	lua_pop(L, 1);
	if (known == name)
		lua_pushvalue(L, 2);
	else if (known)
		lua_pushfstring(L, "*.%s", known);
	else
		lua_pushliteral(L, "*");
	lua_rawget(L, -2);
	return 1;
}

static int l_pairs(lua_State *L)
{
	return script_table_of_object_pairs(L, MAP, VALUES);
}

static int l_len(lua_State *L)
{
	return script_table_of_object_len(L, MAP, VALUES);
}

static int l_new(lua_State *L)
{
	bool given = !lua_isnoneornil(L, 1);

	lua_settop(L, 1);
	if (given)
		script_table_of(L, 1); /* 2 */
	push_new(L);
	if (!given)
		return 1;
	lua_pushnil(L);
	while (lua_next(L, 2)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			return luaL_error(
			    L, "domain_map: a key must be a domain name");
		set(L, 3, lua_tostring(L, -2));
	}
	return 1;
}

bool script_domain_map_read(lua_State *L, int index)
{
	if (!luaL_testudata(L, index, MAP))
		return false;
	lua_getiuservalue(L, index, VALUES);
	return true;
}

void script_domain_map_push(
    lua_State *L, struct arena *arena, const struct value *value)
{
	int map;

	push_new(L);
	map = lua_gettop(L);
	VALUE_EACH (entry, value) {
		script_shared_push(L, arena, &entry->value);
		set(L, map, entry->key);
	}
}

static const luaL_Reg functions[] = {
    /* ([table]): a map; map[name] looks up, map[name] = value sets */
    {"new", l_new},
    {NULL, NULL},
};

static const luaL_Reg meta_methods[] = {
    {"__index", l_index},
    {"__newindex", l_newindex},
    {"__pairs", l_pairs},
    {"__len", l_len},
    {NULL, NULL},
};

void bind_domain_map_open(lua_State *L)
{
	script_table_type(L, MAP, meta_methods);
	luaL_getsubtable(L, -1, "domain_map");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}

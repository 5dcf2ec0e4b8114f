/*
 * bind_cidr.c - kumo.cidr: values by address, the longest prefix wins
 *
 * The values are a table of texts in canonical form; a lookup masks the address
 * to each prefix length that occurs, from the longest.
 */
#include "base/cidr.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_object.h"
#include "lua/script_table.h"

#define MAP "penstock.cidr_map"
#define VALUES 1

struct cidr_map {
	/* How many blocks have this length; never less than there are. */
	unsigned of4[33], of6[129];
};

static struct cidr_map *push_new(lua_State *L)
{
	struct cidr_map *map = lua_newuserdatauv(L, sizeof *map, 1);

	memset(map, 0, sizeof *map);
	lua_newtable(L);
	lua_setiuservalue(L, -2, VALUES);
	luaL_setmetatable(L, MAP);
	return map;
}

/* "ADDR", "[ADDR]", and both with ":port". */
static bool parse_address(const char *text, struct ip_addr *out)
{
	char inside[IP_TEXT];
	const char *end = strchr(text, ']');
	uint16_t port;
	int64_t n;

	if (ip_parse(text, out) || ip_port_parse(text, out, &port))
		return true;
	if (text[0] != '[' || !end || (size_t)(end - text) > sizeof inside ||
	    (end[1] && (end[1] != ':' || !str_to_int(end + 2, &n))))
		return false;
	memcpy(inside, text + 1, (size_t)(end - text - 1));
	inside[end - text - 1] = '\0';
	return ip_parse(inside, out);
}

static struct cidr check_block(lua_State *L, const char *text)
{
	struct cidr block = {0};
	struct err err = {0};

	if (parse_address(text, &block.ip)) {
		block.len = block.ip.family == AF_INET ? 32 : 128;
		return block;
	}
	if (!cidr_parse(text, &block, &err))
		script_raise(L, &err);
	return block;
}

/* map[text] = the value on top, which is popped. */
static void set(lua_State *L, struct cidr_map *map, int index, const char *text)
{
	struct cidr block = check_block(L, text);
	char canonical[IP_TEXT + 4];

	if (block.ip.family == AF_INET)
		map->of4[block.len]++;
	else if (block.ip.family == AF_INET6)
		map->of6[block.len]++;
	lua_getiuservalue(L, index, VALUES);
	lua_insert(L, -2);
	lua_setfield(L, -2, cidr_print(canonical, &block));
	lua_pop(L, 1);
}

static int l_newindex(lua_State *L)
{
	struct cidr_map *map = luaL_checkudata(L, 1, MAP);

	lua_settop(L, 3);
	set(L, map, 1, luaL_checkstring(L, 2));
	return 0;
}

static void mask(struct ip_addr *ip, unsigned len)
{
	unsigned size = ip->family == AF_INET ? 4 : 16;

	for (unsigned i = 0; i < size; i++) {
		unsigned bits = len > i * 8 ? len - i * 8 : 0;

		if (bits < 8)
			ip->bytes[i] &= (unsigned char)(0xff00 >> bits);
	}
}

static int l_index(lua_State *L)
{
	const struct cidr_map *map = luaL_checkudata(L, 1, MAP);
	char canonical[IP_TEXT + 4];
	struct cidr block = {0};
	const unsigned *counts;

	lua_settop(L, 2);
	if (lua_type(L, 2) != LUA_TSTRING ||
	    !parse_address(lua_tostring(L, 2), &block.ip))
		return 0;
	counts = block.ip.family == AF_INET ? map->of4 : map->of6;
	lua_getiuservalue(L, 1, VALUES);
	for (int len = block.ip.family == AF_INET ? 32 : 128; len >= 0; len--) {
		if (counts[len] == 0)
			continue;
		block.len = (unsigned)len;
		mask(&block.ip, block.len);
		if (lua_getfield(L, 3, cidr_print(canonical, &block)) !=
		    LUA_TNIL)
			return 1;
		lua_pop(L, 1);
	}
	lua_getfield(L, 3, "any");
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

static int l_make_map(lua_State *L)
{
	bool given = !lua_isnoneornil(L, 1);
	struct cidr_map *map;

	lua_settop(L, 1);
	if (given)
		script_table_of(L, 1); /* 2 */
	map = push_new(L);
	if (!given)
		return 1;
	lua_pushnil(L);
	while (lua_next(L, 2)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			return luaL_error(L, "cidr map: a key must be text");
		set(L, map, 3, lua_tostring(L, -2));
	}
	return 1;
}

bool script_cidr_map_read(lua_State *L, int index)
{
	if (!luaL_testudata(L, index, MAP))
		return false;
	lua_getiuservalue(L, index, VALUES);
	return true;
}

void script_cidr_map_push(
    lua_State *L, struct arena *arena, const struct value *value)
{
	struct cidr_map *map = push_new(L);
	int index = lua_gettop(L);

	VALUE_EACH (entry, value) {
		script_shared_push(L, arena, &entry->value);
		set(L, map, index, entry->key);
	}
}

static const luaL_Reg functions[] = {
    /* ([table]): a map; map[address] looks up, map[block] = value sets */
    {"make_map", l_make_map},
    {NULL, NULL},
};

static const luaL_Reg meta_methods[] = {
    {"__index", l_index},
    {"__newindex", l_newindex},
    {"__pairs", l_pairs},
    {"__len", l_len},
    {NULL, NULL},
};

void bind_cidr_open(lua_State *L)
{
	script_table_type(L, MAP, meta_methods);
	luaL_getsubtable(L, -1, "cidr");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}

/*
 * bind_encode.c - kumo.encode: bytes as text and back
 *
 * A pair of functions for each row of base/radix.c: NAME_encode(bytes) gives
 * text, NAME_decode(text) gives bytes or raises.
 */
#include "base/radix.h"
#include "lua/bind.h"
#include "lua/script_table.h"

static int l_encode(lua_State *L)
{
	const struct radix *radix = lua_touserdata(L, lua_upvalueindex(1));
	size_t len;
	const char *bytes = luaL_checklstring(L, 1, &len);
	struct buf *out = script_box_buf(L);

	radix_encode(radix, out, bytes, len);
	lua_pushlstring(L, buf_str(out), out->len);
	buf_release(out);
	return 1;
}

static int l_decode(lua_State *L)
{
	const struct radix *radix = lua_touserdata(L, lua_upvalueindex(1));
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	struct buf *out = script_box_buf(L);

	if (!radix_decode(radix, out, text, len))
		return luaL_error(
		    L, "%s_decode: not %s", radix->name, radix->name);
	lua_pushlstring(L, buf_str(out), out->len);
	buf_release(out);
	return 1;
}

static void add(lua_State *L, const struct radix *radix, const char *verb,
    lua_CFunction function)
{
	lua_pushfstring(L, "%s_%s", radix->name, verb);
	lua_pushlightuserdata(L, (void *)(uintptr_t)radix);
	lua_pushcclosure(L, function, 1);
	lua_settable(L, -3);
}

/* ---- bytes with forms ---- */

#define BYTES "penstock.bytes"

/* .bytes, and .NAME for each form */
static int l_bytes_index(lua_State *L)
{
	const struct radix *radix;
	struct buf *out;
	size_t len;
	const char *bytes;

	luaL_checkudata(L, 1, BYTES);
	lua_settop(L, 2);
	lua_getiuservalue(L, 1, 1);
	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	if (strcmp(lua_tostring(L, 2), "bytes") == 0)
		return 1;
	radix = radix_find(lua_tostring(L, 2));
	if (!radix)
		return 0;
	bytes = lua_tolstring(L, 3, &len);
	out = script_box_buf(L);
	radix_encode(radix, out, bytes, len);
	lua_pushlstring(L, buf_str(out), out->len);
	buf_release(out);
	return 1;
}

static int l_bytes_tostring(lua_State *L)
{
	lua_settop(L, 1);
	lua_pushliteral(L, "hex");
	return l_bytes_index(L);
}

static int l_bytes_eq(lua_State *L)
{
	bool same = luaL_testudata(L, 1, BYTES) && luaL_testudata(L, 2, BYTES);

	if (same) {
		lua_getiuservalue(L, 1, 1);
		lua_getiuservalue(L, 2, 1);
		same = lua_rawequal(L, -1, -2);
	}
	lua_pushboolean(L, same);
	return 1;
}

static const luaL_Reg bytes_methods[] = {
    {"__index", l_bytes_index},
    {"__tostring", l_bytes_tostring},
    {"__eq", l_bytes_eq},
    {NULL, NULL},
};

void script_bytes_push(lua_State *L, const void *p, size_t len)
{
	(void)lua_newuserdatauv(L, 0, 1);
	lua_pushlstring(L, p, len);
	lua_setiuservalue(L, -2, 1);
	luaL_setmetatable(L, BYTES);
}

void bind_encode_open(lua_State *L)
{
	script_table_type(L, BYTES, bytes_methods);
	luaL_getsubtable(L, -1, "encode");
	for (size_t i = 0; i < radix_count; i++) {
		add(L, &radixes[i], "encode", l_encode);
		add(L, &radixes[i], "decode", l_decode);
	}
	lua_pop(L, 1);
}

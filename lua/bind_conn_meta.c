/*
 * bind_conn_meta.c - conn_meta:get_meta and set_meta
 *
 * The meta belongs to the call (a copy of the session's); the handle is emptied
 * when the call ends.
 */
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_table.h"
#include "lua/script_value.h"

#define CONN_META "penstock.conn_meta"
#define MOST_META (1 << 20) /* it is copied for each event, and stored */

struct handle {
	struct meta *meta; /* NULL: the call is over */
};

void script_conn_meta_push(lua_State *L, struct meta *meta)
{
	struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);

	handle->meta = meta;
	luaL_setmetatable(L, CONN_META);
}

int script_meta_get(lua_State *L, const struct meta *meta)
{
	const struct value *value = meta_get(meta, luaL_checkstring(L, 2));

	if (value)
		script_value_push(L, value);
	else
		lua_pushnil(L);
	return 1;
}

/* What the value holds is a JSON-like tree; the meta copies it. */
int script_meta_set(lua_State *L, struct meta *meta)
{
	const char *name = luaL_checkstring(L, 2);
	struct arena *scratch;
	struct value value;
	struct err err = {0};

	luaL_checkany(L, 3);
	lua_settop(L, 3);
	scratch = script_box_arena(L);
	if (!script_value_read(L, 3, scratch, &value, &err))
		return luaL_error(L, "set_meta: %s: %s", name, err.text);
	if (meta_size(meta) + arena_used(scratch) > MOST_META)
		return luaL_error(L,
		    "set_meta: %s: metadata may take %d bytes of memory", name,
		    MOST_META);
	meta_set(meta, name, &value);
	return 0;
}

static struct meta *check(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, CONN_META);

	if (!handle->meta)
		luaL_error(
		    L, "this conn_meta belongs to an event that is over");
	return handle->meta;
}

static int l_get_meta(lua_State *L)
{
	return script_meta_get(L, check(L));
}

static int l_set_meta(lua_State *L)
{
	return script_meta_set(L, check(L));
}

static int l_auth_info(lua_State *L)
{
	return luaL_error(L, "conn_meta:auth_info is not supported yet");
}

static const luaL_Reg methods[] = {
    {"get_meta", l_get_meta},
    {"set_meta", l_set_meta},
    {"auth_info", l_auth_info},
    {NULL, NULL},
};

void script_handle_end(lua_State *L, int index)
{
	struct handle *handle = luaL_testudata(L, index, CONN_META);

	if (handle)
		handle->meta = NULL;
	script_message_end(L, index);
}

void bind_conn_meta_open(lua_State *L)
{
	luaL_newmetatable(L, CONN_META);
	luaL_newlib(L, methods);
	script_table_seal(L, "conn_meta", "ask conn_meta:get_meta(NAME)");
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

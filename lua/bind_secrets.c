/*
 * bind_secrets.c - kumo.secrets: the bytes behind a key source
 *
 * A key source is the path of a file, {key_data = bytes}, or {event_name =,
 * event_args =} of an event that returns the bytes (policy language, 3.10).
 */
#include "base/fd.h"
#include "lua/bind.h"
#include "lua/script_event.h"

#define MOST_KEY (1 << 20)

static void push_file(lua_State *L, const char *path)
{
	struct err err = {0};
	struct buf *copy;
	size_t len;
	char *bytes;

	script_check_file(L, path);
	copy = script_box_buf(L);
	bytes = fd_read_file(path, MOST_KEY, &len, &err);
	if (!bytes)
		script_raise(L, &err);
	buf_add(copy, bytes, len);
	free(bytes);
	lua_pushlstring(L, buf_str(copy), copy->len);
	buf_release(copy);
	lua_remove(L, -2);
}

static void push_answer(lua_State *L, int index)
{
	const char *name = luaL_checkstring(L, -1);
	int count = 0;

	if (!script_event_push_handler(L, name))
		luaL_error(L, "key source: nobody handles the event %s", name);
	if (lua_getfield(L, index, "event_args") != LUA_TTABLE)
		luaL_error(L, "key source: event_args is missing");
	count = (int)lua_rawlen(L, -1);
	luaL_checkstack(L, count, "too many event_args");
	for (int i = 1; i <= count; i++)
		lua_rawgeti(L, -i, i);
	lua_remove(L, -count - 1);
	lua_call(L, count, 1);
	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(
		    L, "key source: the event %s returned no text", name);
	lua_remove(L, -2);
}

void script_key_source_push(lua_State *L, int index)
{
	index = lua_absindex(L, index);
	if (lua_type(L, index) == LUA_TSTRING) {
		push_file(L, lua_tostring(L, index));
		return;
	}
	luaL_checktype(L, index, LUA_TTABLE);
	if (lua_getfield(L, index, "key_data") == LUA_TSTRING)
		return;
	lua_pop(L, 1);
	if (lua_getfield(L, index, "event_name") == LUA_TSTRING) {
		push_answer(L, index);
		return;
	}
	if (lua_getfield(L, index, "vault_path") != LUA_TNIL)
		luaL_error(L, "key source: vault is not supported yet");
	luaL_error(L, "key source: expected a path, {key_data=} or "
		      "{event_name=, event_args=}");
}

static int l_load(lua_State *L)
{
	luaL_checkany(L, 1);
	script_key_source_push(L, 1);
	return 1;
}

static const luaL_Reg functions[] = {
    /* (key source): its bytes */
    {"load", l_load},
    {NULL, NULL},
};

void bind_secrets_open(lua_State *L)
{
	lua_pushcfunction(L, l_load);
	script_event_add(L, SCRIPT_KEY_SOURCE);
	luaL_getsubtable(L, -1, "secrets");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}

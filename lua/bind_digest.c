/*
 * bind_digest.c - kumo.digest: checksums
 *
 * NAME(...) takes texts, and other values as their JSON, one after another;
 * hmac_NAME(key, ...) with a key source in front.  The result has .bytes and a
 * field for each form of kumo.encode; its text is the hex form.
 */
#include "base/digest.h"
#include "base/json.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_match.h"
#include "lua/script_value.h"

/* Replaces what is no text by its JSON. */
static void make_text(lua_State *L, int index)
{
	struct arena *arena;
	struct buf *json;
	struct value value;
	struct err err = {0};

	if (lua_type(L, index) == LUA_TSTRING)
		return;
	arena = script_box_arena(L);
	json = script_box_buf(L);
	if (!script_value_read(L, index, arena, &value, &err))
		luaL_error(L, "argument %d: %s", index, err.text);
	json_write(json, &value);
	lua_pushlstring(L, buf_str(json), json->len);
	lua_replace(L, index);
	lua_pop(L, 2);
}

static struct digest_part part_at(lua_State *L, int index)
{
	struct digest_part part;

	part.p = lua_tolstring(L, index, &part.len);
	match_look(L, part.len);
	return part;
}

static int compute(lua_State *L, bool keyed)
{
	const char *name = lua_tostring(L, lua_upvalueindex(1));
	int first = keyed ? 2 : 1, last = lua_gettop(L);
	unsigned char out[DIGEST_MOST];
	struct digest_part *parts, key;
	struct err err = {0};
	size_t len = 0;

	luaL_checkany(L, first);
	if (keyed) {
		script_key_source_push(L, 1);
		lua_replace(L, 1);
		key = part_at(L, 1);
	}
	parts = lua_newuserdatauv(L, sizeof *parts * (size_t)last, 0);
	for (int i = first; i <= last; i++) {
		make_text(L, i);
		parts[i - first] = part_at(L, i);
	}
	if (!digest_compute(name, keyed ? &key : NULL, parts,
		(size_t)last - (size_t)first + 1, out, &len, &err))
		script_raise(L, &err);
	script_bytes_push(L, out, len);
	return 1;
}

static int l_digest(lua_State *L)
{
	return compute(L, false);
}

static int l_hmac(lua_State *L)
{
	return compute(L, true);
}

void bind_digest_open(lua_State *L)
{
	luaL_getsubtable(L, -1, "digest");
	for (size_t i = 0; i < digest_count; i++) {
		lua_pushstring(L, digest_names[i]);
		lua_pushcclosure(L, l_digest, 1);
		lua_setfield(L, -2, digest_names[i]);
		if (str_eq(digest_names[i], "crc32"))
			continue;
		lua_pushfstring(L, "hmac_%s", digest_names[i]);
		lua_pushstring(L, digest_names[i]);
		lua_pushcclosure(L, l_hmac, 1);
		lua_settable(L, -3);
	}
	lua_pop(L, 1);
}

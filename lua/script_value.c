/*
 * script_value.c - Lua values <-> struct value
 */
#include "lua/script_value.h"

#include <lauxlib.h>
#include <math.h>

#include "base/diag.h"

#include "lua/bind.h"
#include "lua/script_object.h"
#include "lua/script_state.h"

#define MOST_DEPTH 64
#define MOST_VALUES 1000000
#define VALUES_A_LOOK 4096

struct reading {
	lua_State *L;
	struct arena *arena;
	struct err *err;
	unsigned values;
	bool keep_maps;
};

static bool read_any(
    struct reading *r, int index, int depth, struct value *out);

const char *script_value_name(lua_State *L, int index)
{
	char quoted[64];
	const char *text;
	size_t len;

	switch (lua_type(L, index)) {
	case LUA_TNONE:
	case LUA_TNIL:
		return "nil";
	case LUA_TBOOLEAN:
		return lua_toboolean(L, index) ? "true" : "false";
	case LUA_TNUMBER:
		lua_pushvalue(L, index);
		return lua_pushfstring(L, "the number %s", lua_tostring(L, -1));
	case LUA_TSTRING:
		text = lua_tolstring(L, index, &len);
		return lua_pushfstring(
		    L, "\"%s\"", diag_quote(quoted, sizeof quoted, text, len));
	default:
		return lua_pushfstring(L, "a %s", luaL_typename(L, index));
	}
}

static int by_key(const void *a, const void *b)
{
	const struct value_entry *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* A key as text; NULL: not possible. */
static const char *key_text(struct reading *r)
{
	lua_State *L = r->L;
	const char *text;
	size_t len;

	switch (lua_type(L, -2)) {
	case LUA_TSTRING:
		text = lua_tolstring(L, -2, &len);
		if (memchr(text, '\0', len))
			break;
		return arena_strndup(r->arena, text, len);
	case LUA_TNUMBER:
		if (lua_isinteger(L, -2))
			return arena_printf(
			    r->arena, "%lld", (long long)lua_tointeger(L, -2));
		break;
	default:
		break;
	}
	err_set(
	    r->err, ERR_CONFIG, "%s cannot be a key", script_value_name(L, -2));
	return NULL;
}

static bool read_list(
    struct reading *r, int index, int depth, size_t count, struct value *out)
{
	out->type = VALUE_LIST;
	out->count = count;
	out->items = ARENA_ARRAY(r->arena, struct value, count);
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(r->L, index, (lua_Integer)i + 1);
		if (!read_any(r, lua_gettop(r->L), depth + 1, &out->items[i]))
			return err_prefix(r->err, "[%zu]", i + 1);
		lua_pop(r->L, 1);
	}
	return true;
}

static bool read_map(
    struct reading *r, int index, int depth, size_t count, struct value *out)
{
	lua_State *L = r->L;
	size_t n = 0;

	out->type = VALUE_MAP;
	out->entries = ARENA_ARRAY(r->arena, struct value_entry, count);
	lua_pushnil(L);
	while (lua_next(L, index)) {
		struct value_entry *entry = &out->entries[n];

		invariant(n < count);
		entry->key = key_text(r);
		if (!entry->key)
			return false;
		if (!read_any(r, lua_gettop(L), depth + 1, &entry->value))
			return err_prefix(r->err, "%s", entry->key);
		n++;
		lua_pop(L, 1);
	}
	out->count = n;
	qsort(out->entries, n, sizeof *out->entries, by_key);
	return true;
}

static bool read_table(
    struct reading *r, int index, int depth, struct value *out)
{
	lua_State *L = r->L;
	size_t count = 0, border = lua_rawlen(L, index);
	bool is_list = true;

	if (depth >= MOST_DEPTH)
		return err_set(r->err, ERR_CONFIG,
		    "a table is nested too deep, or holds itself");
	lua_pushnil(L);
	while (lua_next(L, index)) {
		if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1 ||
		    (size_t)lua_tointeger(L, -2) > border)
			is_list = false;
		count++;
		lua_pop(L, 1);
	}
	if (count > MOST_VALUES)
		return err_set(r->err, ERR_CONFIG, "a table is too large");
	if (is_list && count == border && count > 0)
		return read_list(r, index, depth, count, out);
	return read_map(r, index, depth, count, out);
}

static bool read_number(struct reading *r, int index, struct value *out)
{
	if (lua_isinteger(r->L, index)) {
		out->type = VALUE_INT;
		out->i = lua_tointeger(r->L, index);
		out->n = (double)out->i;
		return true;
	}
	out->type = VALUE_NUMBER;
	out->n = lua_tonumber(r->L, index);
	if (!isfinite(out->n))
		return err_set(r->err, ERR_CONFIG,
		    "a number must be finite, this is %g", out->n);
	return true;
}

/* The table on top is what a map holds. */
static bool read_held(
    struct reading *r, const char *kind, int depth, struct value *out)
{
	if (!read_any(r, lua_gettop(r->L), depth, out))
		return false;
	lua_pop(r->L, 1);
	if (r->keep_maps)
		out->kind = kind;
	return true;
}

static bool read_userdata(
    struct reading *r, int index, int depth, struct value *out)
{
	const struct value *held = script_object_value(r->L, index, r->arena);
	const struct address *address;

	if (held) {
		*out = value_copy(r->arena, held);
		return true;
	}
	address = script_address_test(r->L, index);
	if (address) {
		*out = value_string(
		    r->arena, address->email, strlen(address->email));
		return true;
	}
	if (script_domain_map_read(r->L, index))
		return read_held(r, SCRIPT_DOMAIN_MAP, depth, out);
	if (script_cidr_map_read(r->L, index))
		return read_held(r, SCRIPT_CIDR_MAP, depth, out);
	if (script_shaping_read(r->L, index))
		return read_held(r, SCRIPT_SHAPING, depth, out);
	return err_set(r->err, ERR_CONFIG,
	    "an object (userdata) cannot be used as a value here");
}

/* index is absolute. */
static bool read_any(struct reading *r, int index, int depth, struct value *out)
{
	lua_State *L = r->L;
	const char *text;
	size_t len;

	memset(out, 0, sizeof *out);
	if (++r->values > MOST_VALUES)
		return err_set(r->err, ERR_CONFIG,
		    "more than %d values in one table", MOST_VALUES);
	if (r->values % VALUES_A_LOOK == 0)
		script_check_time(L);
	luaL_checkstack(L, 8, "a table is nested too deep");
	switch (lua_type(L, index)) {
	case LUA_TNONE:
	case LUA_TNIL:
		return true;
	case LUA_TBOOLEAN:
		out->type = VALUE_BOOL;
		out->b = lua_toboolean(L, index);
		return true;
	case LUA_TNUMBER:
		return read_number(r, index, out);
	case LUA_TSTRING:
		text = lua_tolstring(L, index, &len);
		*out = value_string(r->arena, text, len);
		return true;
	case LUA_TTABLE:
		return read_table(r, index, depth, out);
	case LUA_TUSERDATA:
		return read_userdata(r, index, depth, out);
	default:
		return err_set(r->err, ERR_CONFIG,
		    "a %s cannot be used as a value", luaL_typename(L, index));
	}
}

static bool read_all(struct reading *r, int index, struct value *out)
{
	int top = lua_gettop(r->L);
	bool ok = read_any(r, lua_absindex(r->L, index), 0, out);

	lua_settop(r->L, top);
	return ok;
}

bool script_value_read(lua_State *L, int index, struct arena *arena,
    struct value *out, struct err *err)
{
	struct reading r = {L, arena, err, 0, false};

	return read_all(&r, index, out);
}

bool script_value_read_maps(lua_State *L, int index, struct arena *arena,
    struct value *out, struct err *err)
{
	struct reading r = {L, arena, err, 0, true};

	return read_all(&r, index, out);
}

/* plain: values that have a kind are their tables, too. */
static void push(lua_State *L, const struct value *v, bool plain)
{
	luaL_checkstack(L, 4, "a value is nested too deep");
	if (v->kind && !plain) {
		struct arena *arena = script_box_arena(L);
		struct value *copy = ARENA_NEW(arena, struct value);

		*copy = value_copy(arena, v);
		script_config_push(L, arena, copy);
		lua_remove(L, -2);
		return;
	}
	switch (v->type) {
	case VALUE_NIL:
		lua_pushnil(L);
		break;
	case VALUE_BOOL:
		lua_pushboolean(L, v->b);
		break;
	case VALUE_INT:
		lua_pushinteger(L, v->i);
		break;
	case VALUE_NUMBER:
		lua_pushnumber(L, v->n);
		break;
	case VALUE_STRING:
		lua_pushlstring(L, v->s, v->len);
		break;
	case VALUE_LIST:
		lua_createtable(L, (int)v->count, 0);
		for (size_t i = 0; i < v->count; i++) {
			push(L, &v->items[i], plain);
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		}
		break;
	case VALUE_MAP:
		lua_createtable(L, 0, (int)v->count);
		VALUE_EACH (entry, v) {
			lua_pushstring(L, entry->key);
			push(L, &entry->value, plain);
			lua_rawset(L, -3);
		}
		break;
	}
}

void script_value_push(lua_State *L, const struct value *v)
{
	push(L, v, false);
}

void script_value_push_plain(lua_State *L, const struct value *v)
{
	push(L, v, true);
}

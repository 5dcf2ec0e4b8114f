/*
 * script_object.c - config objects and shared values
 *
 * One struct for both; the metatable tells them apart.  A config object parses
 * its record when it is first read, because most are only handed back.  The
 * table of own changes of a shared value is its user value.
 */
#include "lua/script_object.h"

#include <lauxlib.h>

#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_state.h"
#include "lua/script_table.h"
#include "lua/script_value.h"
#include "policy/egress_pool.h"
#include "policy/egress_source.h"

#define CONFIG "penstock.config"
#define SHARED "penstock.shared"

struct object {
	struct arena *arena; /* holds value */
	const struct value *value;
	const struct param_set *set; /* config objects */
	const void *record;          /* in own; NULL: not parsed yet */
	struct arena *own;
	size_t charged; /* for what this object alone keeps alive */
};

const struct param_set *script_param_set(const char *kind)
{
	for (size_t i = 0; i < param_set_count; i++)
		if (str_eq(param_sets[i]->name, kind))
			return param_sets[i];
	return NULL;
}

static struct object *push_object(
    lua_State *L, struct arena *arena, const struct value *value, int values)
{
	struct object *object = lua_newuserdatauv(L, sizeof *object, values);

	memset(object, 0, sizeof *object);
	luaL_setmetatable(L, values ? SHARED : CONFIG);
	object->arena = arena_ref(arena);
	object->value = value;
	return object;
}

static int l_gc(lua_State *L)
{
	struct object *object = lua_touserdata(L, 1);

	script_uncharge(L, object->charged);
	arena_unref(object->own);
	arena_unref(object->arena);
	memset(object, 0, sizeof *object);
	return 0;
}

/* ---- config objects ---- */

void script_config_push(
    lua_State *L, struct arena *arena, const struct value *value)
{
	struct object *object;

	if (str_eq(value->kind, SCRIPT_DOMAIN_MAP)) {
		script_domain_map_push(L, arena, value);
		return;
	}
	if (str_eq(value->kind, SCRIPT_CIDR_MAP)) {
		script_cidr_map_push(L, arena, value);
		return;
	}
	if (str_eq(value->kind, SCRIPT_SHAPING)) {
		script_shaping_push(L, arena, value);
		return;
	}
	object = push_object(L, arena, value, 0);
	object->set = script_param_set(value->kind);
	object->charged = arena_used(arena);
	script_charge(L, object->charged);
}

/* The object at 1, with its record. */
static struct object *check_readable(lua_State *L)
{
	struct object *object = luaL_checkudata(L, 1, CONFIG);
	struct err err = {0};
	void *record;

	if (!object->set || object->set == &egress_pool_params ||
	    object->set == &egress_source_params)
		luaL_error(L,
		    "the object of kumo.%s cannot be read, only returned",
		    object->value->kind);
	if (object->record)
		return object;
	if (!object->own)
		object->own = arena_new(0);
	/* luaL_error() does not come back, which its header does not say. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	record = arena_alloc(object->own, object->set->record_size);
	if (!param_parse(object->set, object->value, object->own, record, &err))
		script_raise(L, &err);
	object->record = record;
	return object;
}

static int l_config_index(lua_State *L)
{
	struct object *object = check_readable(L);
	struct arena *scratch;
	struct value value;

	if (lua_type(L, 2) != LUA_TSTRING) {
		lua_pushnil(L);
		return 1;
	}
	scratch = script_box_arena(L);
	value = param_read(
	    object->set, object->record, lua_tostring(L, 2), scratch);
	script_value_push(L, &value);
	return 1;
}

static int l_config_newindex(lua_State *L)
{
	struct object *object = luaL_checkudata(L, 1, CONFIG);

	return luaL_error(L,
	    "the object of kumo.%s cannot be changed; make another",
	    object->value->kind);
}

/* Its effective fields as a plain table. */
static void push_fields(lua_State *L)
{
	struct object *object = check_readable(L);
	struct arena *scratch = script_box_arena(L);

	lua_newtable(L);
	for (size_t i = 0; i < object->set->count; i++) {
		const char *key = object->set->specs[i].key;
		struct value value =
		    param_read(object->set, object->record, key, scratch);

		if (value.type == VALUE_NIL)
			continue;
		script_value_push(L, &value);
		lua_setfield(L, -2, key);
	}
	lua_remove(L, -2);
}

static int l_config_pairs(lua_State *L)
{
	lua_getglobal(L, "next");
	push_fields(L);
	lua_pushnil(L);
	return 3;
}

static int l_config_len(lua_State *L)
{
	(void)check_readable(L);
	lua_pushinteger(L, 0); /* records have no array elements */
	return 1;
}

static int l_config_tostring(lua_State *L)
{
	struct object *object = luaL_checkudata(L, 1, CONFIG);

	lua_pushfstring(L, "%s: %p", object->value->kind, (void *)object);
	return 1;
}

/* ---- shared values ---- */

void script_shared_push(
    lua_State *L, struct arena *arena, const struct value *value)
{
	if (value->kind)
		script_config_push(L, arena, value);
	else if (value->type == VALUE_LIST || value->type == VALUE_MAP)
		push_object(L, arena, value, 1);
	else
		script_value_push(L, value);
}

/* The entry of the tree that the key at `index` names. */
static const struct value *look_up(
    lua_State *L, const struct value *value, int index)
{
	char digits[32];
	lua_Integer i;

	if (lua_type(L, index) == LUA_TSTRING)
		return value->type == VALUE_MAP
			   ? value_get(value, lua_tostring(L, index))
			   : NULL;
	if (!lua_isinteger(L, index))
		return NULL;
	i = lua_tointeger(L, index);
	if (value->type == VALUE_LIST)
		return i >= 1 && (size_t)i <= value->count
			   ? &value->items[i - 1]
			   : NULL;
	snprintf(digits, sizeof digits, "%lld", (long long)i);
	return value_get(value, digits);
}

static int l_shared_index(lua_State *L)
{
	struct object *object = luaL_checkudata(L, 1, SHARED);
	const struct value *value;

	/* A change of this copy, if there is one; `false` stands for nil. */
	if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) {
		lua_pushvalue(L, 2);
		if (lua_rawget(L, -2) != LUA_TNIL) {
			lua_rawgeti(L, -1, 1);
			return 1;
		}
		lua_pop(L, 1);
	}
	value = look_up(L, object->value, 2);
	if (value)
		script_shared_push(L, object->arena, value);
	else
		lua_pushnil(L);
	return 1;
}

/* Changes are kept as {value}, so that nil can be told from unchanged. */
static int l_shared_newindex(lua_State *L)
{
	luaL_checkudata(L, 1, SHARED);
	if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setiuservalue(L, 1, 1);
	}
	lua_pushvalue(L, 2);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 3);
	lua_rawseti(L, -2, 1);
	lua_settable(L, -3);
	return 0;
}

/* The value at 1 as a plain table of one level. */
static void push_level(lua_State *L)
{
	struct object *object = luaL_checkudata(L, 1, SHARED);
	const struct value *value = object->value;

	lua_newtable(L);
	for (size_t i = 0; i < value->count; i++) {
		if (value->type == VALUE_LIST) {
			script_shared_push(L, object->arena, &value->items[i]);
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		} else {
			lua_pushstring(L, value->entries[i].key);
			script_shared_push(
			    L, object->arena, &value->entries[i].value);
			lua_rawset(L, -3);
		}
	}
	if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) {
		lua_pushnil(L);
		while (lua_next(L, -2)) {
			lua_pushvalue(L, -2);
			lua_rawgeti(L, -2, 1);
			lua_rawset(L, -6);
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
}

static int l_shared_pairs(lua_State *L)
{
	lua_getglobal(L, "next");
	push_level(L);
	lua_pushnil(L);
	return 3;
}

static int l_shared_len(lua_State *L)
{
	lua_Integer n = 0;

	push_level(L);
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		n++;
		lua_pop(L, 1);
	}
	lua_pushinteger(L, n);
	return 1;
}

const struct value *script_object_value(
    lua_State *L, int index, struct arena *arena)
{
	struct object *object = luaL_testudata(L, index, CONFIG);
	struct value *merged;
	struct err err = {0};

	if (object)
		return object->value;
	object = luaL_testudata(L, index, SHARED);
	if (!object)
		return NULL;
	if (lua_getiuservalue(L, index, 1) != LUA_TTABLE) {
		lua_pop(L, 1);
		return object->value;
	}
	lua_pop(L, 1);
	merged = ARENA_NEW(arena, struct value);
	lua_pushcfunction(L, l_shared_pairs);
	lua_pushvalue(L, index);
	lua_call(L, 1, 2); /* next, level */
	if (!script_value_read(L, -1, arena, merged, &err))
		script_raise(L, &err);
	lua_pop(L, 2);
	return merged;
}

/* ---- metatables ---- */

static const luaL_Reg config_methods[] = {
    {"__gc", l_gc},
    {"__index", l_config_index},
    {"__newindex", l_config_newindex},
    {"__pairs", l_config_pairs},
    {"__len", l_config_len},
    {"__tostring", l_config_tostring},
    {NULL, NULL},
};

static const luaL_Reg shared_methods[] = {
    {"__gc", l_gc},
    {"__index", l_shared_index},
    {"__newindex", l_shared_newindex},
    {"__pairs", l_shared_pairs},
    {"__len", l_shared_len},
    {NULL, NULL},
};

void script_object_open(lua_State *L)
{
	script_table_type(L, CONFIG, config_methods);
	script_table_type(L, SHARED, shared_methods);
}

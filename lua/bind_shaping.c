/*
 * bind_shaping.c - kumo.shaping: how to treat each site, from files
 *
 * Reading, merging and matching is written in Lua:
 * lua/modules/penstock/shaping.lua.  Here is the object that holds what it
 * made, so that kumo.memoize can keep it and its methods have their names.
 */
#include "lua/bind.h"
#include "lua/script_dns.h"
#include "lua/script_object.h"

#define SHAPING "penstock.shaping"
#define DATA 1

/* The table on top becomes the data of an object, which takes its place. */
static void wrap(lua_State *L)
{
	(void)lua_newuserdatauv(L, 0, 1);
	lua_insert(L, -2);
	lua_setiuservalue(L, -2, DATA);
	luaL_setmetatable(L, SHAPING);
}

/* Calls the module's function with all that is on the stack. */
static void call_module(lua_State *L, const char *name)
{
	int args = lua_gettop(L);

	lua_getglobal(L, "require");
	lua_pushliteral(L, "penstock.shaping");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	lua_insert(L, 1);
	lua_call(L, args, 1);
}

static int l_load(lua_State *L)
{
	call_module(L, "load");
	wrap(L);
	return 1;
}

/* Upvalue: the name.  The object at 1 becomes its data. */
static int l_method(lua_State *L)
{
	luaL_checkudata(L, 1, SHAPING);
	lua_getiuservalue(L, 1, DATA);
	lua_replace(L, 1);
	call_module(L, lua_tostring(L, lua_upvalueindex(1)));
	return 1;
}

bool script_shaping_read(lua_State *L, int index)
{
	if (!luaL_testudata(L, index, SHAPING))
		return false;
	lua_getiuservalue(L, index, DATA);
	return true;
}

void script_shaping_push(
    lua_State *L, struct arena *arena, const struct value *value)
{
	lua_createtable(L, 0, (int)value->count);
	VALUE_EACH (entry, value) {
		script_shared_push(L, arena, &entry->value);
		lua_setfield(L, -2, entry->key);
	}
	wrap(L);
}

/* ---- penstock.site_names ---- */

/* The list of domains at 1, as questions. */
static struct site_question *check_domains(
    lua_State *L, struct arena *arena, size_t count)
{
	struct site_question *questions =
	    ARENA_ARRAY(arena, struct site_question, count);

	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, 1, (lua_Integer)i + 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "site_names: [%d] is not text, but a %s",
			    (int)i + 1, luaL_typename(L, -1));
		questions[i].domain = arena_strdup(arena, lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	return questions;
}

int script_l_site_names(lua_State *L)
{
	struct err err = {0};
	struct site_question *questions;
	struct resolver *resolver;
	struct arena *arena;
	size_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	count = lua_rawlen(L, 1);
	arena = script_box_arena(L);
	questions = check_domains(L, arena, count);
	resolver = script_resolver(NULL, &err);
	if (!resolver)
		script_raise(L, &err);
	script_site_names(
	    resolver, questions, count, script_state_of(L)->deadline, arena);
	script_check_time(L);
	lua_newtable(L); /* names */
	lua_newtable(L); /* reasons */
	for (size_t i = 0; i < count; i++) {
		lua_pushstring(L, questions[i].name);
		lua_setfield(L, -3, questions[i].domain);
		lua_pushstring(L, questions[i].why);
		lua_setfield(L, -2, questions[i].domain);
	}
	return 2;
}

/* ---- set-up ---- */

static const char *const methods[] = {
    /* (domain, source, site): the fields of a path, as a table of its own */
    "get_egress_path_config",
    /* (): what the options made an error, and a warning: arrays of texts */
    "get_errors", "get_warnings",
    /* (): source -> array of the sections that name it */
    "get_referenced_sources",
    /* (): text that is another when anything else is */
    "hash",
    /* (record): not supported, says so */
    "match_rules"};

void bind_shaping_open(lua_State *L)
{
	luaL_newmetatable(L, SHAPING);
	lua_createtable(L, 0, COUNT(methods));
	for (size_t i = 0; i < COUNT(methods); i++) {
		lua_pushstring(L, methods[i]);
		lua_pushcclosure(L, l_method, 1);
		lua_setfield(L, -2, methods[i]);
	}
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);

	luaL_getsubtable(L, -1, "shaping");
	/* (files [, options]): what the files say, as an object */
	lua_pushcfunction(L, l_load);
	lua_setfield(L, -2, "load");
	lua_pop(L, 1);
}

/*
 * script_lib.c - the standard library, without the ways out
 *
 * Removed: debug, os.exit, string.dump, package.loadlib, C modules, bytecode.
 * Replaced, because they can run for ever without executing one instruction, or
 * run Lua where the hook does not fire:
 *
 *	xpcall		its handler runs inside the failing hook
 *	setmetatable	__gc is called with hooks off
 *	coroutine.wrap	and close: __close of a coroutine killed by the hook
 *	string.find	and match, gmatch, gsub (script_string.c), rep
 *	table.insert	and concat, move, remove, sort: __len may claim 2^53
 *	io.open		and all that opens: a FIFO blocks
 *	os.execute	io.popen: children have no deadline
 *	os.time		os.date: their clock is clock.h
 */
#include <lualib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/str.h"
#include "lua/modules.h"
#include "lua/script_pool.h"
#include "lua/script_protect.h"
#include "lua/script_state.h"

#define STEPS_A_LOOK 4096

/* Calls the function in upvalue 1 with all arguments; yields pass through. */
static int finish_call(lua_State *L, int status, lua_KContext ctx)
{
	(void)status;
	(void)ctx;
	return lua_gettop(L);
}

static int call_stock(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, finish_call);
	return finish_call(L, LUA_OK, 0);
}

/* ---- base ---- */

/* Called by the error itself: once time is up, hooks are off in here. */
static int l_guarded_handler(lua_State *L)
{
	if (script_state_of(L)->expired)
		return 1;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	return 1;
}

static int l_xpcall(lua_State *L)
{
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_pushvalue(L, 2);
	lua_pushcclosure(L, l_guarded_handler, 1);
	lua_replace(L, 2);
	return call_stock(L);
}

static int l_setmetatable(lua_State *L)
{
	if (lua_istable(L, 2)) {
		lua_pushliteral(L, "__gc");
		if (lua_rawget(L, 2) != LUA_TNIL)
			return luaL_error(
			    L, "setmetatable: __gc does not exist here");
		lua_pop(L, 1);
	}
	return call_stock(L);
}

static void refuse_bytecode(lua_State *L, int mode)
{
	if (!lua_isnoneornil(L, mode) &&
	    !strchr(luaL_checkstring(L, mode), 't'))
		luaL_error(L, "only text can be loaded, no bytecode");
}

static int l_load(lua_State *L)
{
	refuse_bytecode(L, 3);
	if (lua_gettop(L) < 3)
		lua_settop(L, 3);
	lua_pushliteral(L, "t");
	lua_replace(L, 3);
	return call_stock(L);
}

static int l_loadfile(lua_State *L)
{
	script_check_file(L, luaL_checkstring(L, 1));
	refuse_bytecode(L, 2);
	if (lua_gettop(L) < 2)
		lua_settop(L, 2);
	lua_pushliteral(L, "t");
	lua_replace(L, 2);
	return call_stock(L);
}

static int finish_dofile(lua_State *L, int status, lua_KContext ctx)
{
	(void)status;
	(void)ctx;
	return lua_gettop(L) - 1;
}

static int l_dofile(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);

	script_check_file(L, path);
	lua_settop(L, 1);
	if (luaL_loadfilex(L, path, "t") != LUA_OK)
		return lua_error(L);
	lua_callk(L, 0, LUA_MULTRET, 0, finish_dofile);
	return finish_dofile(L, LUA_OK, 0);
}

/* ---- coroutine ---- */

/* The stock one resets a coroutine that failed, which runs its __close with
 * hooks off; when time is up we leave it to the collector, which does not. */
static int l_wrapped(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(1));
	int n = lua_gettop(L), results, status;

	if (!lua_checkstack(co, n))
		return luaL_error(L, "too many arguments to resume");
	if (lua_status(co) == LUA_OK && lua_gettop(co) == 0)
		return luaL_error(L, "cannot resume dead coroutine");
	if (co == L)
		return luaL_error(L, "cannot resume non-suspended coroutine");
	lua_xmove(L, co, n);
	status = lua_resume(co, L, n, &results);
	if (status == LUA_OK || status == LUA_YIELD) {
		if (!lua_checkstack(L, results + 1)) {
			lua_pop(co, results);
			return luaL_error(L, "too many results to resume");
		}
		lua_xmove(co, L, results);
		return results;
	}
	if (lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD &&
	    !script_state_of(L)->expired)
		lua_resetthread(co);
	lua_xmove(co, L, 1);
	if (lua_type(L, -1) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

static int l_wrap(lua_State *L)
{
	lua_State *co;

	luaL_checktype(L, 1, LUA_TFUNCTION);
	co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	lua_pushcclosure(L, l_wrapped, 1);
	return 1;
}

static int l_close(lua_State *L)
{
	script_check_time(L);
	return call_stock(L);
}

/* ---- string, table ---- */

static int l_rep(lua_State *L)
{
	size_t len, sep_len, total;
	const char *s = luaL_checklstring(L, 1, &len);
	lua_Integer n = luaL_checkinteger(L, 2);
	const char *sep = luaL_optlstring(L, 3, "", &sep_len);
	size_t limit = script_state_of(L)->limit;
	luaL_Buffer out;
	char *p;

	if (n <= 0 || len + sep_len == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	if (len + sep_len < len || len + sep_len > limit / (size_t)n)
		return luaL_error(L, "resulting string too large");
	total = (size_t)n * len + (size_t)(n - 1) * sep_len;
	if (total >= STEPS_A_LOOK)
		script_check_time(L);
	p = luaL_buffinitsize(L, &out, total);
	while (n-- > 0) {
		memcpy(p, s, len);
		p += len;
		if (n > 0 && sep_len > 0) {
			memcpy(p, sep, sep_len);
			p += sep_len;
		}
	}
	luaL_pushresultsize(&out, total);
	return 1;
}

static void look(lua_State *L, lua_Integer i)
{
	if (i % STEPS_A_LOOK == 0)
		script_check_time(L);
}

static int l_insert(lua_State *L)
{
	lua_Integer end, pos;

	luaL_checktype(L, 1, LUA_TTABLE);
	end = (lua_Integer)((lua_Unsigned)luaL_len(L, 1) + 1);
	switch (lua_gettop(L)) {
	case 2:
		pos = end;
		break;
	case 3:
		pos = luaL_checkinteger(L, 2);
		luaL_argcheck(L, (lua_Unsigned)pos - 1u < (lua_Unsigned)end, 2,
		    "position out of bounds");
		for (lua_Integer i = end; i > pos; i--) {
			look(L, i);
			lua_geti(L, 1, i - 1);
			lua_seti(L, 1, i);
		}
		break;
	default:
		return luaL_error(L, "wrong number of arguments to 'insert'");
	}
	lua_seti(L, 1, pos);
	return 0;
}

static int l_remove(lua_State *L)
{
	lua_Integer size, pos;

	luaL_checktype(L, 1, LUA_TTABLE);
	size = luaL_len(L, 1);
	pos = luaL_optinteger(L, 2, size);
	if (lua_gettop(L) > 1)
		luaL_argcheck(L, (lua_Unsigned)pos - 1u <= (lua_Unsigned)size,
		    2, "position out of bounds");
	lua_geti(L, 1, pos);
	for (; pos < size; pos++) {
		look(L, pos);
		lua_geti(L, 1, pos + 1);
		lua_seti(L, 1, pos);
	}
	lua_pushnil(L);
	lua_seti(L, 1, pos);
	return 1;
}

static int l_move(lua_State *L)
{
	lua_Integer from = luaL_checkinteger(L, 2);
	lua_Integer end = luaL_checkinteger(L, 3);
	lua_Integer to = luaL_checkinteger(L, 4);
	int target = lua_isnoneornil(L, 5) ? 1 : 5;
	lua_Integer n;

	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, target, LUA_TTABLE);
	if (end >= from) {
		luaL_argcheck(L, from > 0 || end < LUA_MAXINTEGER + from, 3,
		    "too many elements to move");
		n = end - from + 1;
		luaL_argcheck(L, to <= LUA_MAXINTEGER - n + 1, 4,
		    "destination wrap around");
		/* Upwards, unless that would overwrite what is yet to move. */
		if (to > end || to <= from ||
		    (target != 1 && !lua_compare(L, 1, 5, LUA_OPEQ))) {
			for (lua_Integer i = 0; i < n; i++) {
				look(L, i);
				lua_geti(L, 1, from + i);
				lua_seti(L, target, to + i);
			}
		} else {
			for (lua_Integer i = n - 1; i >= 0; i--) {
				look(L, i);
				lua_geti(L, 1, from + i);
				lua_seti(L, target, to + i);
			}
		}
	}
	lua_pushvalue(L, target);
	return 1;
}

static int l_concat(lua_State *L)
{
	size_t sep_len;
	const char *sep = luaL_optlstring(L, 2, "", &sep_len);
	lua_Integer i = luaL_optinteger(L, 3, 1), end;
	luaL_Buffer out;

	luaL_checktype(L, 1, LUA_TTABLE);
	end = luaL_opt(L, luaL_checkinteger, 4, luaL_len(L, 1));
	luaL_buffinit(L, &out);
	for (; i <= end; i++) {
		look(L, i);
		lua_geti(L, 1, i);
		if (!lua_isstring(L, -1))
			return luaL_error(L,
			    "invalid value (at index %I) in table for 'concat'",
			    (LUAI_UACINT)i);
		luaL_addvalue(&out);
		if (i == end)
			break; /* it may be the largest integer */
		luaL_addlstring(&out, sep, sep_len);
	}
	luaL_pushresult(&out);
	return 1;
}

static int l_sort(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	if ((lua_Unsigned)luaL_len(L, 1) > lua_rawlen(L, 1))
		return luaL_error(L, "table.sort: __len claims too much");
	script_check_time(L);
	return call_stock(L);
}

/* ---- io, os ---- */

/* null, zero, full, random, urandom: none of them blocks. */
static bool is_harmless_device(const struct stat *st)
{
	static const unsigned minors[] = {3, 5, 7, 8, 9};

	if (!S_ISCHR(st->st_mode) || major(st->st_rdev) != 1)
		return false;
	for (size_t i = 0; i < COUNT(minors); i++)
		if (minor(st->st_rdev) == minors[i])
			return true;
	return false;
}

void script_check_file(lua_State *L, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return; /* whoever opens it says so */
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
	    !is_harmless_device(&st))
		luaL_error(L, "%s: not a regular file", path);
	if (script_is_protected(&st))
		luaL_error(
		    L, "%s: belongs to the queue; use penstock sql", path);
}

static int l_open_checked(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING)
		script_check_file(L, lua_tostring(L, 1));
	return call_stock(L);
}

static int l_rename_checked(lua_State *L)
{
	script_check_file(L, luaL_checkstring(L, 1));
	script_check_file(L, luaL_checkstring(L, 2));
	return call_stock(L);
}

static int l_execute(lua_State *L)
{
	if (lua_isnoneornil(L, 1)) {
		lua_pushboolean(L, 0); /* there is no shell */
		return 1;
	}
	return luaL_error(L, "os.execute: a policy cannot start programs");
}

static int l_popen(lua_State *L)
{
	return luaL_error(L, "io.popen: a policy cannot start programs");
}

/* Time is clock.h's, so that it can be moved. */
static int l_time(lua_State *L)
{
	if (!lua_isnoneornil(L, 1))
		return call_stock(L);
	lua_pushinteger(L, clock_unix());
	return 1;
}

static int l_date(lua_State *L)
{
	if (lua_isnoneornil(L, 2)) {
		const char *format = luaL_optstring(L, 1, "%c");

		lua_pushstring(L, format);
		lua_replace(L, 1);
		lua_settop(L, 1);
		lua_pushinteger(L, clock_unix());
	}
	return call_stock(L);
}

/* The locale is the whole process's. */
static int l_setlocale(lua_State *L)
{
	const char *wanted = luaL_optstring(L, 1, NULL);

	if (!wanted || !*wanted || str_eq(wanted, "C"))
		lua_pushliteral(L, "C");
	else
		lua_pushnil(L);
	return 1;
}

/* ---- package ---- */

static int l_loadlib(lua_State *L)
{
	return luaL_error(
	    L, "package.loadlib: C modules cannot be loaded here");
}

/* One that comes with the program; otherwise what is on top is the answer. */
static int load_module(lua_State *L, const char *name)
{
	const struct script_module *m = script_modules;

	while (m->name && strcmp(m->name, name) != 0)
		m++;
	if (!m->name)
		return 1;
	lua_pushfstring(L, "@%s", m->file);
	if (luaL_loadbufferx(L, m->text, strlen(m->text), lua_tostring(L, -1),
		"t") != LUA_OK)
		return lua_error(L);
	lua_pushstring(L, m->file);
	return 2;
}

/* Modules are read once per generation, so that all its states agree. */
static int l_search(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const char *path, *text;
	struct err err = {0};
	size_t len;

	lua_getfield(L, lua_upvalueindex(1), "searchpath");
	lua_pushvalue(L, 1);
	if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING)
		return luaL_error(L, "'package.path' must be a string");
	lua_call(L, 2, 2);
	if (lua_isnil(L, -2))
		return load_module(L, name); /* or why not, on top */
	lua_pop(L, 1);
	path = lua_tostring(L, -1);
	script_check_file(L, path);
	if (!script_source(script_state_of(L)->policy, path, &text, &len, &err))
		script_raise(L, &err);
	lua_pushfstring(L, "@%s", path);
	if (luaL_loadbufferx(L, text, len, lua_tostring(L, -1), "t") != LUA_OK)
		return luaL_error(L,
		    "error loading module '%s' from file '%s':\n\t%s", name,
		    path, lua_tostring(L, -1));
	lua_pushstring(L, path);
	return 2;
}

static void set_up_package(lua_State *L)
{
	const struct script_policy *policy = script_state_of(L)->policy;

	lua_getglobal(L, "package");
	lua_getfield(L, -1, "path");
	lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s/?.lua;%s/?/init.lua;%s",
	    policy->share_dir, policy->share_dir, policy->dir, policy->dir,
	    lua_tostring(L, -1));
	lua_setfield(L, -3, "path");
	lua_pop(L, 1);
	lua_pushliteral(L, "");
	lua_setfield(L, -2, "cpath");
	lua_pushcfunction(L, l_loadlib);
	lua_setfield(L, -2, "loadlib");
	/* searchers: what is loaded by us, and files; no C. */
	lua_getfield(L, -1, "searchers");
	lua_pushvalue(L, -2);
	lua_pushcclosure(L, l_search, 1);
	lua_rawseti(L, -2, 2);
	lua_pushnil(L);
	lua_rawseti(L, -2, 3);
	lua_pushnil(L);
	lua_rawseti(L, -2, 4);
	lua_pop(L, 2);
}

/* ---- all together ---- */

static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},
    {LUA_LOADLIBNAME, luaopen_package},
    {LUA_COLIBNAME, luaopen_coroutine},
    {LUA_TABLIBNAME, luaopen_table},
    {LUA_IOLIBNAME, luaopen_io},
    {LUA_OSLIBNAME, luaopen_os},
    {LUA_STRLIBNAME, luaopen_string},
    {LUA_MATHLIBNAME, luaopen_math},
    {LUA_UTF8LIBNAME, luaopen_utf8},
};

/* function NULL: removed.  The stock function is upvalue 1 of ours. */
static const struct {
	const char *library, *name;
	lua_CFunction function;
} replacements[] = {
    {LUA_GNAME, "dofile", l_dofile},
    {LUA_GNAME, "load", l_load},
    {LUA_GNAME, "loadfile", l_loadfile},
    {LUA_GNAME, "setmetatable", l_setmetatable},
    {LUA_GNAME, "warn", NULL},
    {LUA_GNAME, "xpcall", l_xpcall},
    {LUA_COLIBNAME, "close", l_close},
    {LUA_COLIBNAME, "wrap", l_wrap},
    {LUA_IOLIBNAME, "input", l_open_checked},
    {LUA_IOLIBNAME, "lines", l_open_checked},
    {LUA_IOLIBNAME, "open", l_open_checked},
    {LUA_IOLIBNAME, "output", l_open_checked},
    {LUA_IOLIBNAME, "popen", l_popen},
    {LUA_OSLIBNAME, "date", l_date},
    {LUA_OSLIBNAME, "execute", l_execute},
    {LUA_OSLIBNAME, "exit", NULL},
    {LUA_OSLIBNAME, "remove", l_open_checked},
    {LUA_OSLIBNAME, "rename", l_rename_checked},
    {LUA_OSLIBNAME, "setlocale", l_setlocale},
    {LUA_OSLIBNAME, "time", l_time},
    {LUA_STRLIBNAME, "dump", NULL},
    {LUA_STRLIBNAME, "rep", l_rep},
    {LUA_TABLIBNAME, "concat", l_concat},
    {LUA_TABLIBNAME, "insert", l_insert},
    {LUA_TABLIBNAME, "move", l_move},
    {LUA_TABLIBNAME, "remove", l_remove},
    {LUA_TABLIBNAME, "sort", l_sort},
};

void script_lib_open(lua_State *L)
{
	lua_pushboolean(L, 1); /* the environment has no say in package.path */
	lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
	for (size_t i = 0; i < COUNT(libraries); i++) {
		luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
		lua_pop(L, 1);
	}
	for (size_t i = 0; i < COUNT(replacements); i++) {
		lua_getglobal(L, replacements[i].library);
		lua_getfield(L, -1, replacements[i].name);
		if (replacements[i].function) {
			lua_pushcclosure(L, replacements[i].function, 1);
		} else {
			lua_pop(L, 1);
			lua_pushnil(L);
		}
		lua_setfield(L, -2, replacements[i].name);
		lua_pop(L, 1);
	}
	lua_getglobal(L, LUA_STRLIBNAME);
	script_match_open(L);
	lua_pop(L, 1);
	/* Its __gc could be replaced, and is called with hooks off. */
	luaL_getmetatable(L, LUA_FILEHANDLE);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
	set_up_package(L);
}

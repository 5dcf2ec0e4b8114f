/*
 * rehearsal.c - a test script, loaded, and one of its tests run
 *
 * A hook looks at the real clock, so that a loop without end is reported with
 * its line; what the hook cannot stop (a pattern that backtracks, a policy that
 * sleeps) is ended with the process, by who started it (runner.h).
 */
#include <errno.h>
#include <lualib.h>
#include <math.h>
#include <time.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/modules.h"
#include "trial/prelude.h"
#include "trial/rehearsal_private.h"

#define HOOK_EVERY 100000
#define DEADLINE_MOST_S 1e9 /* a test may ask for 1e300 */
#define MOST_SCRIPT (16 << 20)

/* Not clock.h's, which the script moves. */
static int64_t real_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void look_at_clock(lua_State *L, lua_Debug *ar)
{
	struct rehearsal *r = *(struct rehearsal **)lua_getextraspace(L);

	if (!r->deadline || real_now_ms() <= r->deadline)
		return;
	/* From now on at once, so that pcall does not help; the handler of the
	 * test itself ends that (rehearsal_guard). */
	lua_sethook(L, look_at_clock, LUA_MASKCOUNT, 1);
	luaL_where(L, 0);
	lua_pushliteral(L, "the test ran over its deadline");
	lua_concat(L, 2);
	(void)lua_error(L);
}

/* The message handler that a test runs under: nothing but the end follows. */
static int l_guarded(lua_State *L)
{
	lua_sethook(L, NULL, 0, 0);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	return 1;
}

int rehearsal_guard(lua_State *L)
{
	lua_settop(L, 1);
	lua_pushcclosure(L, l_guarded, 1);
	return 1;
}

/* ---- loading ---- */

static int l_traceback(lua_State *L)
{
	if (lua_isstring(L, 1))
		return 1;
	(void)luaL_tolstring(L, 1, NULL);
	return 1;
}

/* require 'penstock.test' */
static int l_test_module(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

static void keep(struct rehearsal *r, int *ref)
{
	*ref = luaL_ref(r->L, LUA_REGISTRYINDEX);
}

/* core, script -> t, tests, run, describe */
static bool open_prelude(struct rehearsal *r, struct err *err)
{
	lua_State *L = r->L;
	const struct script_module *m = &trial_modules[0];

	if (luaL_loadbufferx(
		L, m->text, strlen(m->text), "=penstock.test", "t") != LUA_OK)
		return err_set(err, ERR_CONFIG, "%s", lua_tostring(L, -1));
	rehearsal_core_open(r);
	lua_pushstring(L, r->settings.file);
	if (lua_pcall(L, 2, 4, 0) != LUA_OK)
		return err_set(err, ERR_CONFIG, "%s", lua_tostring(L, -1));
	keep(r, &r->ref_describe);
	keep(r, &r->ref_run);
	keep(r, &r->ref_tests);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	lua_insert(L, -2);
	lua_pushcclosure(L, l_test_module, 1);
	lua_setfield(L, -2, "penstock.test");
	lua_pop(L, 1);
	return true;
}

/* Modules beside the script, and the policy's own way of finding them. */
static void set_path(struct rehearsal *r)
{
	lua_State *L = r->L;
	char dir[4096];
	struct err err = {0};

	if (!path_dir(dir, sizeof dir, r->settings.file, &err))
		return;
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "path");
	lua_pushfstring(
	    L, "%s/?.lua;%s/?/init.lua;%s", dir, dir, lua_tostring(L, -1));
	lua_setfield(L, -3, "path");
	lua_pop(L, 2);
}

/* "message, at", of what describe() makes of any error. */
static bool explain(struct rehearsal *r, struct err *err)
{
	lua_State *L = r->L;
	const char *message, *at;

	if (!lua_istable(L, -1))
		return err_set(err, ERR_CONFIG, "%s",
		    lua_isstring(L, -1) ? lua_tostring(L, -1)
					: "an error that is no text");
	lua_getfield(L, -1, "at");
	lua_getfield(L, -2, "message");
	at = lua_tostring(L, -2);
	message = lua_tostring(L, -1);
	if (at)
		return err_set(err, ERR_CONFIG, "%s: %s", at, message);
	return err_set(err, ERR_CONFIG, "%s: %s", r->settings.file, message);
}

static bool run_file(struct rehearsal *r, struct err *err)
{
	const char *file = r->settings.file;
	lua_State *L = r->L;
	size_t len;
	char *text = fd_read_file(file, MOST_SCRIPT, &len, err);
	int loaded;

	if (!text)
		return false;
	lua_rawgeti(L, LUA_REGISTRYINDEX, r->ref_describe);
	lua_pushcclosure(L, l_guarded, 1);
	lua_pushfstring(L, "@%s", file);
	loaded = luaL_loadbufferx(L, text, len, lua_tostring(L, -1), "t");
	free(text);
	if (loaded != LUA_OK)
		return err_set(err, ERR_CONFIG, "%s", lua_tostring(L, -1));
	lua_remove(L, -2);
	if (lua_pcall(L, 0, 0, -2) != LUA_OK)
		return explain(r, err);
	lua_pop(L, 1);
	return true;
}

bool rehearsal_load(struct rehearsal **out,
    const struct rehearsal_settings *settings, struct err *err)
{
	struct rehearsal *r = xcalloc(1, sizeof *r);

	r->settings = *settings;
	r->policy = settings->policy;
	r->arena = arena_new(0);
	r->L = luaL_newstate();
	invariant(r->L);
	*(struct rehearsal **)lua_getextraspace(r->L) = r;
	luaL_openlibs(r->L);
	lua_settop(r->L, 0);
	set_path(r);
	lua_sethook(r->L, look_at_clock, LUA_MASKCOUNT, HOOK_EVERY);
	r->deadline = real_now_ms() + settings->deadline_ms;
	if (!open_prelude(r, err) || !run_file(r, err)) {
		rehearsal_free(r);
		return false;
	}
	r->deadline = 0;
	*out = r;
	return true;
}

void rehearsal_free(struct rehearsal *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->client_count; i++)
		client_free(r->clients[i]);
	world_end(r->world);
	dns_zone_unref(r->zone);
	lua_close(r->L);
	arena_unref(r->arena);
	free(r);
}

/* ---- the tests ---- */

size_t rehearsal_count(const struct rehearsal *r)
{
	size_t n;

	lua_rawgeti(r->L, LUA_REGISTRYINDEX, r->ref_tests);
	n = lua_rawlen(r->L, -1);
	lua_pop(r->L, 1);
	return n;
}

const char *rehearsal_test_name(const struct rehearsal *r, size_t i)
{
	const char *name;

	lua_rawgeti(r->L, LUA_REGISTRYINDEX, r->ref_tests);
	lua_rawgeti(r->L, -1, (lua_Integer)i + 1);
	lua_getfield(r->L, -1, "name");
	name = arena_strdup(r->arena, lua_tostring(r->L, -1));
	lua_pop(r->L, 3);
	return name;
}

int64_t rehearsal_deadline_ms(const struct rehearsal *r, size_t i)
{
	int64_t ms = r->settings.deadline_ms;

	lua_rawgeti(r->L, LUA_REGISTRYINDEX, r->ref_tests);
	lua_rawgeti(r->L, -1, (lua_Integer)i + 1);
	lua_getfield(r->L, -1, "options");
	lua_getfield(r->L, -1, "deadline");
	if (lua_isnumber(r->L, -1) && lua_tonumber(r->L, -1) > 0)
		ms = (int64_t)(fmin(lua_tonumber(r->L, -1), DEADLINE_MOST_S) *
			       1000);
	lua_pop(r->L, 4);
	return ms;
}

static const char *field(struct rehearsal *r, const char *key)
{
	const char *text;

	lua_getfield(r->L, -1, key);
	text = lua_isstring(r->L, -1)
		   ? arena_strdup(r->arena, lua_tostring(r->L, -1))
		   : NULL;
	lua_pop(r->L, 1);
	return text;
}

void rehearsal_run(struct rehearsal *r, size_t i, struct verdict *out)
{
	lua_State *L = r->L;

	*out = (struct verdict){0};
	lua_settop(L, 0);
	r->deadline = real_now_ms() + rehearsal_deadline_ms(r, i);
	lua_pushcfunction(L, l_traceback);
	lua_rawgeti(L, LUA_REGISTRYINDEX, r->ref_run);
	lua_pushinteger(L, (lua_Integer)i + 1);
	if (lua_pcall(L, 1, 2, 1) != LUA_OK) {
		out->message = arena_strdup(r->arena, lua_tostring(L, -1));
	} else if (lua_toboolean(L, -2)) {
		out->passed = true;
	} else {
		out->message = field(r, "message");
		out->at = field(r, "at");
		out->got = field(r, "got");
		out->want = field(r, "want");
	}
	if (!out->passed && !out->message)
		out->message = "an error that is no text";
	out->policy_error = r->policy_error;
	r->deadline = 0;
	lua_settop(L, 0);
}

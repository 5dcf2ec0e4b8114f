/*
 * bind_kumo.c - the table kumo: registration, limits, small things
 */
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/duration.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_event.h"
#include "lua/script_pool.h"
#include "mail/trace_header.h"
#include "policy/listener.h"

#define SLICE_MS 100 /* of a sleep: how often the deadline is looked at */

/* ---- limits of the pool ---- */

/* The pool of this generation, when the caller may still change it. */
static struct script_policy *settable(lua_State *L, const char *name)
{
	struct script_state *state = script_state_of(L);

	if (state->phase == SCRIPT_EVENT)
		luaL_error(L, "kumo.%s belongs into the event init", name);
	return state->is_first ? state->policy : NULL;
}

static int64_t at_least(lua_State *L, lua_Integer least)
{
	lua_Integer n = luaL_checkinteger(L, 1);

	luaL_argcheck(L, n >= least && n <= 1000000000, 1, "out of range");
	return n;
}

static int l_set_max_lua_context_age(lua_State *L)
{
	struct script_policy *p = settable(L, "set_max_lua_context_age");
	int64_t seconds = at_least(L, 1);

	if (p)
		p->max_age_ms = seconds * 1000;
	return 0;
}

static int l_set_max_lua_context_use_count(lua_State *L)
{
	struct script_policy *p = settable(L, "set_max_lua_context_use_count");
	int64_t uses = at_least(L, 1);

	if (p)
		p->max_uses = uses;
	return 0;
}

/* Of those that are idle; there are never more than threads. */
static int l_set_max_spare_lua_contexts(lua_State *L)
{
	struct script_policy *p = settable(L, "set_max_spare_lua_contexts");
	int64_t most = at_least(L, 0);

	if (p)
		p->max_spare = most;
	return 0;
}

/* ---- small things ---- */

void script_sleep(lua_State *L, int64_t ms)
{
	int64_t until = clock_now_ms() + ms;

	for (;;) {
		int64_t left = until - clock_now_ms();
		int64_t slice = left < SLICE_MS ? left : SLICE_MS;
		struct timespec ts = {0, 0};

		script_check_time(L);
		if (left <= 0)
			return;
		if (script_state_of(L)->deadline - clock_now_ms() < slice)
			slice = script_state_of(L)->deadline - clock_now_ms();
		ts.tv_nsec = (slice > 0 ? slice : 1) * 1000000;
		(void)nanosleep(&ts, NULL);
	}
}

int64_t script_check_duration(lua_State *L, int index)
{
	struct duration d;
	struct err err = {0};
	bool ok = lua_type(L, index) == LUA_TNUMBER
		      ? duration_from_seconds(lua_tonumber(L, index), &d, &err)
		      : duration_parse(luaL_checkstring(L, index), &d, &err);

	if (!ok)
		script_raise(L, &err);
	return d.ms;
}

static int l_sleep(lua_State *L)
{
	lua_Number seconds = luaL_checknumber(L, 1);

	luaL_argcheck(
	    L, seconds >= 0 && seconds < 1e9, 1, "not a time to sleep");
	script_sleep(L, (int64_t)(seconds * 1000 + 0.5));
	return 0;
}

static int l_available_parallelism(lua_State *L)
{
	lua_pushinteger(L, sysconf(_SC_NPROCESSORS_ONLN));
	return 1;
}

static int l_validation_failed(lua_State *L)
{
	struct script_state *state = script_state_of(L);

	if (state->is_first)
		state->policy->validation_failed = true;
	return 0;
}

/* An array of frames, innermost first. */
static int l_traceback(lua_State *L)
{
	int level = (int)luaL_optinteger(L, 1, 1);
	lua_Debug ar;

	lua_newtable(L);
	for (lua_Integer n = 1; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sln", &ar);
		lua_createtable(L, 0, 5);
		lua_pushstring(L, ar.short_src);
		lua_setfield(L, -2, "short_src");
		lua_pushstring(L, ar.source);
		lua_setfield(L, -2, "source");
		lua_pushstring(L, ar.what);
		lua_setfield(L, -2, "what");
		lua_pushinteger(L, ar.currentline);
		lua_setfield(L, -2, "curr_line");
		lua_pushstring(L, ar.name);
		lua_setfield(L, -2, "name");
		lua_rawseti(L, -2, n++);
	}
	return 1;
}

/* A level by itself counts; parts with a target (lua=debug) are accepted. */
static int l_set_diagnostic_log_filter(lua_State *L)
{
	static const struct {
		const char *name;
		enum diag_level level;
	} levels[] = {{"error", DIAG_ERROR}, {"warn", DIAG_WARN},
	    {"info", DIAG_INFO}, {"debug", DIAG_DEBUG}, {"trace", DIAG_DEBUG}};
	char text[256], *part, *rest = text;

	if (!str_copy(text, sizeof text, luaL_checkstring(L, 1)))
		return luaL_argerror(L, 1, "too long");
	while ((part = strsep(&rest, ",")) != NULL) {
		const char *equals = strchr(part, '=');
		const char *name = equals ? equals + 1 : part;
		size_t i = 0;

		while (i < COUNT(levels) && !str_eq(levels[i].name, name))
			i++;
		luaL_argcheck(L, i < COUNT(levels), 1,
		    "levels are error, warn, info, debug and trace");
		if (!equals || str_ncase_eq(part, "lua=", 4))
			diag_set_level(levels[i].level);
	}
	return 0;
}

/* The table for trace_headers, where the listener's has it. */
static const struct param_set *trace_headers_set(void)
{
	for (size_t i = 0; i < listener_params.count; i++)
		if (str_eq(listener_params.specs[i].key, "trace_headers"))
			return listener_params.specs[i].set;
	diag_panic("listeners have no trace_headers");
}

static int l_apply_supplemental_trace_header(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	const struct trace_headers *headers =
	    &listener_defaults()->trace_headers;
	struct arena *arena;
	void *record;

	lua_settop(L, 2);
	if (!lua_isnil(L, 2)) {
		arena = script_box_arena(L);
		(void)script_params_check(
		    L, 2, trace_headers_set(), arena, &record);
		headers = record;
	}
	if (headers->supplemental_header)
		trace_prepend_supplemental(m, headers->header_name,
		    headers->include_meta_names.items,
		    headers->include_meta_names.count,
		    headers->include_recipients);
	return 0;
}

static const luaL_Reg functions[] = {
    {"on", script_event_l_on},
    {"get_event_registrars", script_event_l_registrars},
    {"set_max_lua_context_age", l_set_max_lua_context_age},
    {"set_max_lua_context_use_count", l_set_max_lua_context_use_count},
    {"set_max_spare_lua_contexts", l_set_max_spare_lua_contexts},
    {"sleep", l_sleep},
    {"available_parallelism", l_available_parallelism},
    {"validation_failed", l_validation_failed},
    {"traceback", l_traceback},
    {"set_diagnostic_log_filter", l_set_diagnostic_log_filter},
    {"apply_supplemental_trace_header", l_apply_supplemental_trace_header},
    {"make_message", script_message_l_make},
    {"inject_message", script_message_l_inject},
    {NULL, NULL},
};

void bind_kumo_open(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
	lua_pushliteral(L, PACKAGE_VERSION);
	lua_setfield(L, -2, "version");
	luaL_getsubtable(L, -1, "time");
	lua_pushcfunction(L, l_sleep);
	lua_setfield(L, -2, "sleep");
	lua_pop(L, 1);
}

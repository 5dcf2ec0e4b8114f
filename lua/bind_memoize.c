/*
 * bind_memoize.c - kumo.memoize (policy language, 16.1)
 *
 * The key is the JSON of the arguments.  The function runs protected, so that a
 * miss is always answered or given up, whatever it raises.
 */
#include "base/json.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_memo.h"
#include "lua/script_object.h"
#include "lua/script_pool.h"
#include "lua/script_value.h"
#include "policy/param_rows.h"

#define S memo_params
static const struct param_spec specs[] = {
    P_STRING(S, name, .flags = PARAM_REQUIRED,
	.help = "Name of the cache; all states share it."),
    P_DURATION(
	S, ttl, .flags = PARAM_REQUIRED, .help = "How long a value counts."),
    P_INT(S, capacity, 1, 100000000, .flags = PARAM_REQUIRED,
	.help = "How many values are kept; the least recently used go."),
    P_BOOL(S, invalidate_with_epoch,
	.help = "Forget everything when the policy is loaded again."),
    P_DURATION(S, populate_timeout, .fallback = "120s",
	.help = "How long others wait for the one that computes."),
    P_BOOL(S, retry_on_populate_timeout,
	.help = "Compute it themselves after that time."),
    P_BOOL(S, allow_stale_reads,
	.help = "Use the old value while a new one is computed."),
};
#undef S

static const struct param_set memoize_params = {
    .name = "memoize",
    .intro = "Remember what a function returned.",
    .record_size = sizeof(struct memo_params),
    .specs = specs,
    .count = COUNT(specs),
};

/* Names of caches that the original keeps for itself. */
static const char *const reserved_prefix = "kumo_";

/* Arguments 1..count as JSON, in a buf on top of the stack. */
static const char *make_key(lua_State *L, int count)
{
	struct arena *arena = script_box_arena(L);
	struct buf *key = script_box_buf(L);
	struct value list = {.type = VALUE_LIST};
	struct err err = {0};

	list.count = (size_t)count;
	list.items = ARENA_ARRAY(arena, struct value, count);
	for (int i = 0; i < count; i++)
		if (!script_value_read(L, i + 1, arena, &list.items[i], &err))
			luaL_error(L, "memoized function: argument %d: %s",
			    i + 1, err.text);
	json_write(key, &list);
	return buf_str(key);
}

/* 1: arena, 2: where the value goes, 3: function, 4...: its arguments. */
static int l_compute(lua_State *L)
{
	struct arena *arena = lua_touserdata(L, 1);
	struct value **out = lua_touserdata(L, 2);
	struct value *value = ARENA_NEW(arena, struct value);
	struct err err = {0};
	lua_Debug ar;
	int count;

	lua_pushvalue(L, 3);
	lua_getinfo(L, ">S", &ar);
	lua_call(L, lua_gettop(L) - 3, LUA_MULTRET);
	count = lua_gettop(L) - 2;
	if (count > 1) {
		lua_createtable(L, count, 0);
		for (int i = 1; i <= count; i++) {
			lua_pushvalue(L, 2 + i);
			lua_rawseti(L, -2, i);
		}
		lua_replace(L, 3);
	}
	if (count > 0 && !script_value_read_maps(L, 3, arena, value, &err))
		return luaL_error(L,
		    "%s:%d: what a memoized function returned: %s",
		    ar.short_src, ar.linedefined, err.text);
	*out = value;
	return 0;
}

/* Upvalues: the function, the cache. */
static int l_memoized(lua_State *L)
{
	struct script_state *state = script_state_of(L);
	struct memo *memo = lua_touserdata(L, lua_upvalueindex(2));
	int64_t epoch = state->policy->generation;
	int count = lua_gettop(L), status;
	const char *key = make_key(L, count);
	struct arena **held, *arena = NULL;
	const struct value *value = NULL;
	struct value *computed = NULL;

	luaL_checkstack(L, count + 8, "too many arguments");
	held = script_box_arena_ref(L);
	switch (memo_get(memo, key, epoch, state->deadline, &arena, &value)) {
	case MEMO_HIT:
		*held = arena;
		script_shared_push(L, arena, value);
		return 1;
	case MEMO_LATE:
		script_check_time(L);
		return luaL_error(L,
		    "memoize \"%s\": the value was not there in time",
		    memo_name(memo));
	case MEMO_SELF:
		return luaL_error(L,
		    "memoize \"%s\": the function asks for the value that it "
		    "is computing",
		    memo_name(memo));
	case MEMO_COMPUTE:
		break;
	}
	arena = *held = arena_new(0);
	lua_pushcfunction(L, l_compute);
	lua_pushlightuserdata(L, arena);
	lua_pushlightuserdata(L, &computed);
	lua_pushvalue(L, lua_upvalueindex(1));
	for (int i = 1; i <= count; i++)
		lua_pushvalue(L, i);
	status = lua_pcall(L, count + 3, 0, 0);
	if (status != LUA_OK) {
		memo_give_up(memo, key);
		return lua_error(L);
	}
	memo_put(memo, key, epoch, arena, computed);
	script_shared_push(L, arena, computed);
	return 1;
}

static int l_memoize(lua_State *L)
{
	struct arena *arena;
	void *record;
	const struct memo_params *params;

	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 2);
	arena = script_box_arena(L);
	(void)script_params_check(L, 2, &memoize_params, arena, &record);
	params = record;
	if (str_starts(params->name, reserved_prefix))
		return luaL_error(
		    L, "memoize: the name \"%s\" is taken", params->name);
	if (params->allow_stale_reads && params->retry_on_populate_timeout)
		return luaL_error(L,
		    "memoize: allow_stale_reads and retry_on_populate_timeout "
		    "exclude each other");
	lua_pushvalue(L, 1);
	lua_pushlightuserdata(L, memo_declare(params));
	lua_pushcclosure(L, l_memoized, 2);
	return 1;
}

static const luaL_Reg functions[] = {
    {"memoize", l_memoize},
    {NULL, NULL},
};

void bind_memoize_open(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}

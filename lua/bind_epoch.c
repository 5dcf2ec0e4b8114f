/*
 * bind_epoch.c - the files of the policy, and loading it again
 */
#include "base/diag.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_pool.h"
#include "lua/script_table.h"
#include "lua/script_watch.h"

static int l_set_config_monitor_globs(lua_State *L)
{
	struct script_state *state = script_state_of(L);
	struct script_policy *p = state->policy;
	lua_Integer count;
	struct watch_globs *globs;

	if (state->phase == SCRIPT_EVENT)
		return luaL_error(L, "kumo.set_config_monitor_globs belongs "
				     "into the event init");
	lua_settop(L, 1);
	script_table_of(L, 1); /* 2 */
	count = (lua_Integer)lua_rawlen(L, 2);
	for (lua_Integer i = 1; i <= count; i++)
		if (lua_rawgeti(L, 2, i) != LUA_TSTRING)
			return luaL_error(L, "set_config_monitor_globs: "
					     "expected a list of texts");
	if (!state->is_first)
		return 0;
	globs = ARENA_NEW(p->setup.arena, struct watch_globs);
	globs->items = ARENA_ARRAY(p->setup.arena, const char *, count + 1);
	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, 2, i);
		globs->items[globs->count++] =
		    arena_strdup(p->setup.arena, lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	p->monitor_globs = globs;
	return 0;
}

static int l_eval_config_monitor_globs(lua_State *L)
{
	struct arena *arena = script_box_arena(L);
	struct watch_paths patterns = {NULL, 0, 0}, paths = {NULL, 0, 0};
	const char **kept;

	watch_patterns(script_state_of(L)->policy, arena, &patterns);
	watch_expand(&patterns, arena, &paths);
	/* Into the arena: what follows may raise. */
	kept = ARENA_ARRAY(arena, const char *, paths.count + 1);
	for (size_t i = 0; i < paths.count; i++)
		kept[i] = paths.items[i];
	free(patterns.items);
	free(paths.items);
	lua_createtable(L, (int)paths.count, 0);
	for (size_t i = 0; i < paths.count; i++) {
		lua_pushstring(L, kept[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static int l_bump_config_epoch(lua_State *L)
{
	const struct script_state *state = script_state_of(L);

	if (state->phase != SCRIPT_EVENT)
		return luaL_error(L, "kumo.bump_config_epoch: the policy is "
				     "being loaded already");
	if (!watch_ask_reload())
		diag_warn("kumo.bump_config_epoch has no effect here");
	return 0;
}

static const luaL_Reg functions[] = {
    /* (list of patterns): the files that are watched; in init */
    {"set_config_monitor_globs", l_set_config_monitor_globs},
    /* (): array of the files that match them */
    {"eval_config_monitor_globs", l_eval_config_monitor_globs},
    /* (): load the policy again, in this process */
    {"bump_config_epoch", l_bump_config_epoch},
    {NULL, NULL},
};

void bind_epoch_open(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}

/*
 * bind_suppression.c - require 'penstock.suppression'
 *
 *	suppression:setup { rules = ..., scope =, action = }
 *	suppression:check(recipient [, tenant])
 *	suppression:refuse(recipient [, tenant])
 *
 * The list is in the queue; the milter and the router look and write there by
 * themselves once setup was called (policy/suppression.h).  Here are the words
 * for it, and the question for handlers that decide by themselves.  As methods
 * of the module or as plain functions: both work.
 */
#include "base/diag.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_pool.h"
#include "lua/script_services.h"
#include "policy/suppression.h"

/* The module itself, as a method gets it, is not an argument. */
static void drop_self(lua_State *L)
{
	if (lua_rawequal(L, 1, lua_upvalueindex(1)))
		lua_remove(L, 1);
}

static int l_setup(lua_State *L)
{
	const struct script_state *state = script_state_of(L);
	struct policy_setup *setup = &state->policy->setup;
	struct suppression_config *config;
	struct arena *arena;
	void *record;

	drop_self(L);
	lua_settop(L, 1);
	if (lua_isnil(L, 1)) {
		lua_newtable(L);
		lua_replace(L, 1);
	}
	if (state->phase == SCRIPT_EVENT)
		return luaL_error(L,
		    "suppression:setup is called while the policy loads or in "
		    "init, not in a handler");
	if (state->is_first && setup->suppression)
		return luaL_error(L, "suppression:setup: it was called before");
	arena = state->is_first ? setup->arena : script_box_arena(L);
	(void)script_params_check(L, 1, &suppression_params, arena, &record);
	config = record;
	suppression_complete(config, arena);
	if (state->is_first)
		setup->suppression = config;
	return 0;
}

/* Whoever cannot be told about is neither accepted nor refused for good. */
NORETURN static void cannot_tell(lua_State *L, const struct err *err)
{
	if (script_state_of(L)->policy->role == SCRIPT_MILTER) {
		diag_error("suppression: %s", err->text);
		script_reject_raise(
		    L, 451, "4.3.0 recipients cannot be checked, try later");
	}
	luaL_error(L, "suppression: %s", err->text);
	abort(); /* not reached */
}

/* Recipient at 1, tenant at 2; what is found is in the arena of a box. */
static const struct suppression_entry *ask(
    lua_State *L, struct arena **arena, struct address *recipient)
{
	const struct suppression_entry *entry;
	struct err err = {0};
	const char *tenant;

	drop_self(L);
	lua_settop(L, 2);
	*arena = script_box_arena(L);
	tenant = luaL_optstring(L, 2, "");
	*recipient = script_address_check(L, 1, *arena);
	if (!script_suppressed(recipient, tenant, script_state_of(L)->deadline,
		*arena, &entry, &err))
		cannot_tell(L, &err);
	return entry;
}

static void set_text(lua_State *L, const char *name, const char *text)
{
	if (!text)
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

static void set_int(lua_State *L, const char *name, int64_t n)
{
	lua_pushinteger(L, n);
	lua_setfield(L, -2, name);
}

static int l_check(lua_State *L)
{
	struct address recipient;
	struct arena *arena;
	const struct suppression_entry *entry = ask(L, &arena, &recipient);

	if (!entry)
		return 0;
	lua_createtable(L, 0, 10);
	set_text(L, "address", entry->address);
	if (!entry->scope.all)
		set_text(L, "tenant", entry->scope.tenant);
	set_text(L, "class", entry->class);
	set_text(L, "reason", entry->reason);
	set_text(L, "record", entry->record);
	set_text(L, "message", entry->message);
	set_int(L, "hits", entry->hits);
	set_int(L, "since", entry->created_at);
	if (entry->until)
		set_int(L, "expires", entry->until);
	set_text(
	    L, "text", suppression_reply(arena, recipient.email, entry).text);
	return 1;
}

static int l_refuse(lua_State *L)
{
	struct address recipient;
	struct arena *arena;
	const struct suppression_entry *entry = ask(L, &arena, &recipient);

	if (!entry)
		return 0;
	script_reject_raise(L, 550,
	    arena_printf(arena, "5.1.1 %s",
		suppression_reply(arena, recipient.email, entry).text));
}

static const luaL_Reg functions[] = {
    {"setup", l_setup},
    /* (recipient, tenant): nil, or what is known */
    {"check", l_check},
    /* (recipient, tenant): as kumo.reject(550, ...) when it is on the list */
    {"refuse", l_refuse},
    {NULL, NULL},
};

void bind_suppression_open(lua_State *L)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	luaL_setfuncs(L, functions, 1);
	lua_setfield(L, -2, "penstock.suppression");
	lua_pop(L, 1);
}

/*
 * bind_invoke.c - kumo.invoke_get_*: what the policy's own events answer
 *
 * For policies and tests that look at a configuration.  The handlers run in
 * this state, within the time of the event that asks.
 */
#include "lua/bind.h"
#include "lua/script_event.h"
#include "lua/script_value.h"

static const struct {
	const char *function, *event;
	int args;
	bool is_opaque; /* the object cannot be read: a table instead */
} events[] = {
    {"invoke_get_egress_path_config", "get_egress_path_config", 3},
    {"invoke_get_egress_pool", "get_egress_pool", 1, true},
    {"invoke_get_egress_source", "get_egress_source", 1, true},
    {"invoke_get_queue_config", "get_queue_config", 4},
};

/* The config object, or nil when nobody answers. */
static int l_invoke(lua_State *L)
{
	int row = (int)lua_tointeger(L, lua_upvalueindex(1));
	int args = events[row].args;
	struct script_call *call;
	struct arena *arena;

	for (int i = 1; i <= args; i++)
		(void)luaL_optstring(L, i, "");
	lua_settop(L, args);
	arena = script_box_arena(L);
	/* Without a reference to the policy: its states do not keep it. */
	call = ARENA_NEW(arena, struct script_call);
	call->arena = arena;
	call->policy = script_state_of(L)->policy;
	call->event = events[row].event;
	for (int i = 1; i <= args; i++)
		script_arg_string(call, lua_tostring(L, i));
	script_event_dispatch(L, call);
	if (events[row].is_opaque)
		call->answer.result.kind = NULL;
	if (call->answer.outcome == SCRIPT_VALUE)
		script_value_push(L, &call->answer.result);
	else
		lua_pushnil(L);
	return 1;
}

void bind_invoke_open(lua_State *L)
{
	for (size_t i = 0; i < COUNT(events); i++) {
		lua_pushinteger(L, (lua_Integer)i);
		lua_pushcclosure(L, l_invoke, 1);
		lua_setfield(L, -2, events[i].function);
	}
}

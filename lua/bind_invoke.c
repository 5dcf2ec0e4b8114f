/*
 * bind_invoke.c - kumo.invoke_get_*: what the policy's own events answer
 *
 * For policies and tests that look at a configuration: the answer is what the
 * router would go by, defaults and what is built in included.  The handlers run
 * in this state, within the time of the event that asks.
 */
#include "base/arena.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_event.h"
#include "lua/script_value.h"
#include "mail/queue_name.h"
#include "policy/egress_path.h"
#include "policy/egress_pool.h"
#include "policy/egress_source.h"
#include "policy/queue_config.h"

#define UNSPECIFIED "unspecified"

enum question { ASK_PATH, ASK_POOL, ASK_QUEUE, ASK_SOURCE, ASK_COUNT };

static const struct {
	const char *function, *event;
	int args;
	const struct param_set *set;
} questions[ASK_COUNT] = {
    [ASK_PATH] = {"invoke_get_egress_path_config", "get_egress_path_config", 3,
	&egress_path_params},
    [ASK_POOL] = {"invoke_get_egress_pool", "get_egress_pool", 1,
	&egress_pool_params},
    [ASK_QUEUE] = {"invoke_get_queue_config", "get_queue_config", 4,
	&queue_config_params},
    [ASK_SOURCE] = {"invoke_get_egress_source", "get_egress_source", 1,
	&egress_source_params},
};

/* What no event is asked about. */
static const void *built_in(enum question q, const char *name)
{
	switch (q) {
	case ASK_POOL:
		return str_eq(name, UNSPECIFIED) ? egress_pool_unspecified()
						 : NULL;
	case ASK_SOURCE:
		return str_eq(name, UNSPECIFIED) ? egress_source_unspecified()
						 : NULL;
	case ASK_QUEUE:
		return str_eq(name, QUEUE_NAME_DEFERRED)
			   ? queue_config_deferred()
		       : str_eq(name, "null") ? queue_config_defaults()
					      : NULL;
	default:
		return NULL;
	}
}

/* A plain table of all values that are in effect; with the secrets, which
 * cannot be read back, as the policy gave them. */
static void push_table(lua_State *L, const struct param_set *set,
    const void *record, const struct value *given, struct arena *arena)
{
	static const struct value none = {.type = VALUE_MAP};
	const struct value *more =
	    given && given->type == VALUE_MAP ? given : &none;
	struct value all = param_read_all(set, record, arena), table;

	table = (struct value){.type = VALUE_MAP, .count = all.count};
	table.entries =
	    ARENA_ARRAY(arena, struct value_entry, all.count + more->count + 1);
	for (size_t i = 0; i < all.count; i++)
		table.entries[i] = all.entries[i];
	VALUE_EACH (e, more)
		if (!value_get(&all, e->key))
			table.entries[table.count++] = *e;
	script_value_push(L, &table);
}

static void push_answer(lua_State *L, enum question q,
    const struct script_call *call, struct arena *arena)
{
	const struct param_set *set = questions[q].set;
	const struct value *answer = &call->answer.result;
	struct err err = {0};
	void *record;

	if (call->answer.outcome == SCRIPT_VALUE) {
		record = arena_alloc(arena, set->record_size);
		if (!param_parse(set, answer, arena, record, &err))
			script_raise(L, &err);
		push_table(L, set, record, answer, arena);
		return;
	}
	if (q == ASK_PATH)
		push_table(L, set, egress_path_defaults(), NULL, arena);
	else if (q == ASK_QUEUE)
		push_table(L, set, queue_config_defaults(), NULL, arena);
	else
		luaL_error(L, "%s: nobody handles %s, and \"%s\" is unknown",
		    questions[q].function, questions[q].event,
		    lua_tostring(L, 1));
}

/* One text is the name of a queue; several are what the event is given. */
static void add_arguments(
    lua_State *L, enum question q, struct script_call *call)
{
	struct queue_name parts;

	if (q == ASK_QUEUE && lua_isnil(L, 2) && lua_isnil(L, 3) &&
	    lua_isnil(L, 4)) {
		parts = queue_name_parse(lua_tostring(L, 1), call->arena);
		script_arg_string(call, parts.domain);
		script_arg_string(call, parts.tenant);
		script_arg_string(call, parts.campaign);
		script_arg_string(call, parts.routing_domain);
		return;
	}
	for (int i = 1; i <= questions[q].args; i++)
		script_arg_string(call, lua_tostring(L, i));
}

/* An error when the router would have one, which defers mail there. */
static int l_invoke(lua_State *L)
{
	enum question q = (enum question)lua_tointeger(L, lua_upvalueindex(1));
	struct script_call *call;
	struct arena *arena;
	const void *record;

	lua_settop(L, questions[q].args);
	if (q == ASK_POOL && lua_isnil(L, 1)) {
		lua_pushliteral(L, UNSPECIFIED);
		lua_replace(L, 1);
	}
	(void)luaL_checkstring(L, 1);
	for (int i = 2; i <= questions[q].args; i++)
		(void)luaL_optstring(L, i, "");
	arena = script_box_arena(L);
	record = built_in(q, lua_tostring(L, 1));
	if (record) {
		push_table(L, questions[q].set, record, NULL, arena);
		return 1;
	}
	/* Without a reference to the policy: its states do not keep it. */
	call = ARENA_NEW(arena, struct script_call);
	call->arena = arena;
	call->policy = script_state_of(L)->policy;
	call->event = questions[q].event;
	add_arguments(L, q, call);
	script_event_dispatch(L, call);
	push_answer(L, q, call, arena);
	return 1;
}

void bind_invoke_open(lua_State *L)
{
	for (size_t i = 0; i < COUNT(questions); i++) {
		lua_pushinteger(L, (lua_Integer)i);
		lua_pushcclosure(L, l_invoke, 1);
		lua_setfield(L, -2, questions[i].function);
	}
}

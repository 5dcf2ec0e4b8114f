/*
 * script_event.c - registration, dispatch, and what the result must be
 *
 * Handlers are kept per state, in a table of the registry: name -> list of
 * {function, "file:line"}.  What is known of an event beforehand is a row of
 * `kinds`: whether several handlers may stand in line, and what they return.
 * The number of results matters: none passes to the next handler, nil is a
 * value (policy language, 2.4, D5).
 */
#include "lua/script_event.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_event_name.h"
#include "lua/script_object.h"
#include "lua/script_pool.h"
#include "lua/script_raised.h"
#include "lua/script_session_private.h"
#include "lua/script_value.h"
#include "policy/egress_path.h"
#include "policy/egress_pool.h"
#include "policy/egress_source.h"
#include "policy/listener_domain.h"
#include "policy/queue_config.h"

#define HANDLERS "penstock.handlers"

enum result {
	RESULT_ANY,        /* whatever can be a value */
	RESULT_NONE,       /* not looked at */
	RESULT_ANY_AT_ALL, /* true when there is one that is not nil */
	RESULT_BOOL,       /* nil is false */
	RESULT_TABLE,      /* nil is allowed */
	RESULT_LIST,       /* all results, as a list */
	RESULT_CONFIG,     /* what kind->set makes, or a table for it */
};

enum nil_rule { NIL_FINE, NIL_REFUSED, NIL_IS_NONE };

static const struct kind {
	const char *event;
	bool multi;
	enum result result;
	const struct param_set *set;
	enum nil_rule nil;
} kinds[] = {
    /* clang-format off */
    {"get_acl_definition", .multi = true},
    {"get_egress_path_config", .result = RESULT_CONFIG, .set = &egress_path_params},
    {"get_egress_pool", .result = RESULT_CONFIG, .set = &egress_pool_params, .nil = NIL_REFUSED},
    {"get_egress_source", .result = RESULT_CONFIG, .set = &egress_source_params, .nil = NIL_REFUSED},
    {"get_listener_domain", .result = RESULT_CONFIG, .set = &listener_domain_params},
    {"get_queue_config", .multi = true, .result = RESULT_CONFIG, .set = &queue_config_params, .nil = NIL_IS_NONE},
    {"init", .result = RESULT_NONE},
    {"pre_init", .multi = true, .result = RESULT_NONE},
    {"rebind_message", .result = RESULT_NONE},
    {"requeue_message", .multi = true, .result = RESULT_NONE},
    {"should_enqueue_log_record", .multi = true, .result = RESULT_BOOL},
    {"shutdown_logging", .result = RESULT_NONE},
    {"smtp_server_connection_accepted", .result = RESULT_NONE},
    {"smtp_server_data", .result = RESULT_NONE},
    {"smtp_server_ehlo", .result = RESULT_ANY_AT_ALL},
    {"smtp_server_get_dynamic_parameters", .result = RESULT_TABLE},
    {"smtp_server_mail_from", .result = RESULT_NONE},
    {"smtp_server_message_deferred_inject", .result = RESULT_NONE},
    {"smtp_server_message_received", .result = RESULT_NONE},
    {"smtp_server_rcpt_to", .result = RESULT_NONE},
    {"smtp_server_rewrite_response", .result = RESULT_LIST},
    {"smtp_server_split_transaction", .result = RESULT_TABLE},
    {"spool_message_enumerated", .result = RESULT_NONE},
    {"throttle_insert_ready_queue", .multi = true, .result = RESULT_NONE},
    {"validate_config", .multi = true, .result = RESULT_NONE},
    /* clang-format on */
};

static const struct kind *kind_of(const char *event)
{
	static const struct kind other = {.result = RESULT_ANY};

	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strcmp(kinds[i].event, event) == 0)
			return &kinds[i];
	return &other;
}

/* ---- registration ---- */

void script_event_free(void *p)
{
	struct script_event *event = p;

	free(event->where);
	free(event);
}

/* Pushes the list of handlers of `event`, or nil. */
static int push_handlers(lua_State *L, const char *event)
{
	if (lua_getfield(L, LUA_REGISTRYINDEX, HANDLERS) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_pushnil(L);
		return LUA_TNIL;
	}
	lua_pushstring(L, event);
	lua_rawget(L, -2);
	lua_remove(L, -2);
	return lua_type(L, -1);
}

static const char *event_name(size_t i)
{
	return i < COUNT(kinds) ? kinds[i].event : NULL;
}

/* The first state tells the generation which events are handled. */
static void note_event(
    struct script_state *state, const char *name, const char *where)
{
	struct script_event *event;

	if (!state->is_first)
		return;
	event = map_get(state->policy->events, name);
	if (!event) {
		event = xcalloc(1, sizeof *event);
		event->where = xstrdup(where);
		map_put(state->policy->events, name, event);
		script_event_name_warn(name, where, event_name);
	}
	event->count++;
}

int script_event_l_on(lua_State *L)
{
	struct script_state *state = script_state_of(L);
	const char *name = luaL_checkstring(L, 1), *where;

	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	if (state->phase != SCRIPT_LOADING)
		return luaL_error(L,
		    "kumo.on('%s'): handlers are registered while the policy "
		    "loads, not inside a handler; move it to load time",
		    name);
	where = script_where(L, 1);                       /* 3 */
	luaL_getsubtable(L, LUA_REGISTRYINDEX, HANDLERS); /* 4 */
	lua_pushvalue(L, 1);
	if (lua_rawget(L, 4) == LUA_TNIL) { /* 5 */
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, 1);
		lua_pushvalue(L, 5);
		lua_rawset(L, 4);
	} else if (!kind_of(name)->multi) {
		lua_rawgeti(L, 5, 1);
		lua_rawgeti(L, -1, 2);
		return luaL_error(L,
		    "kumo.on('%s'): there is a handler already, registered "
		    "at %s",
		    name, lua_tostring(L, -1));
	}
	lua_createtable(L, 2, 0); /* 6 */
	lua_pushvalue(L, 2);
	lua_rawseti(L, 6, 1);
	lua_pushvalue(L, 3);
	lua_rawseti(L, 6, 2);
	lua_rawseti(L, 5, (lua_Integer)lua_rawlen(L, 5) + 1);
	note_event(state, name, where);
	return 0;
}

void script_event_add(lua_State *L, const char *event)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, HANDLERS);
	lua_createtable(L, 1, 0);
	lua_createtable(L, 2, 0);
	lua_pushvalue(L, -4);
	lua_rawseti(L, -2, 1);
	lua_pushliteral(L, "");
	lua_rawseti(L, -2, 2);
	lua_rawseti(L, -2, 1);
	lua_setfield(L, -2, event);
	lua_pop(L, 2);
}

bool script_event_push_handler(lua_State *L, const char *event)
{
	if (push_handlers(L, event) != LUA_TTABLE) {
		lua_pop(L, 1);
		return false;
	}
	lua_rawgeti(L, -1, 1);
	lua_rawgeti(L, -1, 1);
	lua_replace(L, -3);
	lua_pop(L, 1);
	return true;
}

/* An array of call stacks, each an array of "file:line"; nil for none. */
int script_event_l_registrars(lua_State *L)
{
	if (push_handlers(L, luaL_checkstring(L, 1)) != LUA_TTABLE)
		return 1;
	lua_newtable(L);
	for (lua_Integer i = 1; lua_rawgeti(L, -2, i) == LUA_TTABLE; i++) {
		lua_createtable(L, 1, 0);
		lua_rawgeti(L, -2, 2);
		lua_rawseti(L, -2, 1);
		lua_rawseti(L, -3, i);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return 1;
}

bool script_policy_handles(const struct script_policy *p, const char *event)
{
	return map_get(p->events, event) ||
	       strcmp(event, SCRIPT_KEY_SOURCE) == 0 ||
	       (map_count(p->egress_sources) > 0 &&
		   strcmp(event, "get_egress_source") == 0);
}

/* ---- results ---- */

static void bad_result(lua_State *L, const struct kind *kind, int index)
{
	luaL_error(L, "the handler must return %s%s, not %s",
	    kind->set ? "kumo." : "a table", kind->set ? kind->set->name : "",
	    script_value_name(L, index));
}

/* A config object or a table that could make one. */
static void read_config(lua_State *L, const struct kind *kind, int index,
    struct arena *arena, struct value *value)
{
	struct err err = {0};

	if (value->kind && !str_eq(value->kind, kind->set->name))
		luaL_error(L, "the handler must return kumo.%s, not kumo.%s",
		    kind->set->name, value->kind);
	if (value->kind)
		return;
	if (value->type != VALUE_MAP && value->type != VALUE_LIST)
		bad_result(L, kind, index);
	if (!param_parse(kind->set, value, arena,
		arena_alloc(arena, kind->set->record_size), &err))
		luaL_error(L, "what the handler returned: %s", err.text);
	value->kind = kind->set->name;
}

/* kumo.define_egress_source is asked when the event says nothing (D28). */
static bool take_defined_source(struct script_call *call)
{
	const struct script_arg *name = &call->args[0];
	const struct value *source;

	if (strcmp(call->event, "get_egress_source") != 0 ||
	    call->arg_count == 0 || name->value.type != VALUE_STRING)
		return false;
	source = map_get(call->policy->egress_sources, name->value.s);
	if (!source)
		return false;
	call->answer.outcome = SCRIPT_VALUE;
	call->answer.result = value_copy(call->arena, source);
	return true;
}

/* Results stand at first..top.  False: the next handler's turn. */
static bool take_result(
    lua_State *L, struct script_call *call, const struct kind *kind, int first)
{
	struct value *value = &call->answer.result;
	int count = lua_gettop(L) - first + 1;
	struct err err = {0};
	bool is_nil = count == 0 || lua_isnil(L, first);

	if (kind->multi && count == 0)
		return false;
	if (is_nil && kind->nil == NIL_IS_NONE)
		return false;
	if (is_nil && take_defined_source(call))
		return true;
	if (is_nil && kind->nil == NIL_REFUSED)
		bad_result(L, kind, first);
	call->answer.outcome = SCRIPT_VALUE;
	memset(value, 0, sizeof *value);
	if (kind->result == RESULT_NONE)
		return true;
	if (kind->result == RESULT_ANY_AT_ALL) {
		value->type = VALUE_BOOL;
		value->b = !is_nil;
		return true;
	}
	if (kind->result == RESULT_LIST) {
		value->type = VALUE_LIST;
		value->count = (size_t)(count > 2 ? count : 2);
		value->items =
		    ARENA_ARRAY(call->arena, struct value, value->count);
		for (int i = 0; i < count; i++)
			if (!script_value_read(L, first + i, call->arena,
				&value->items[i], &err))
				script_raise(L, &err);
		return true;
	}
	if (is_nil) {
		if (kind->result == RESULT_BOOL)
			value->type = VALUE_BOOL;
		return true;
	}
	if (!script_value_read(L, first, call->arena, value, &err))
		luaL_error(L, "what the handler returned: %s", err.text);
	switch (kind->result) {
	case RESULT_CONFIG:
		read_config(L, kind, first, call->arena, value);
		break;
	case RESULT_TABLE:
		if (value->type != VALUE_MAP && value->type != VALUE_LIST)
			bad_result(L, kind, first);
		break;
	case RESULT_BOOL:
		if (value->type != VALUE_BOOL)
			luaL_error(L,
			    "the handler must return true or false, not %s",
			    script_value_name(L, first));
		break;
	default:
		break;
	}
	return true;
}

void script_event_without_handler(struct script_call *call)
{
	(void)take_defined_source(call);
}

/* ---- dispatch ---- */

static void push_arg(
    lua_State *L, struct script_call *call, const struct script_arg *arg)
{
	switch (arg->type) {
	case ARG_VALUE:
		script_value_push(L, &arg->value);
		break;
	case ARG_ADDRESS:
		script_address_push(L, &arg->address);
		break;
	case ARG_META:
		script_conn_meta_push(L, call->meta);
		break;
	case ARG_MESSAGE:
		script_message_push(L, call->message);
		break;
	case ARG_TIME_DELTA:
		script_time_delta_push(L, arg->value.i);
		break;
	}
}

/* 1: the call.  2...: its arguments.  Then the list of handlers. */
static int l_dispatch(lua_State *L)
{
	struct script_call *call = lua_touserdata(L, 1);
	const struct kind *kind = kind_of(call->event);
	int args = (int)call->arg_count, list = args + 2;

	if (push_handlers(L, call->event) != LUA_TTABLE)
		return 0;
	for (lua_Integer i = 1; lua_rawgeti(L, list, i) == LUA_TTABLE; i++) {
		lua_rawgeti(L, -1, 2);
		call->answer.where =
		    arena_strdup(call->arena, lua_tostring(L, -1));
		lua_pop(L, 1);
		lua_rawgeti(L, -1, 1);
		luaL_checkstack(L, args, "too many arguments");
		for (int a = 0; a < args; a++)
			lua_pushvalue(L, 2 + a);
		lua_call(L, args, LUA_MULTRET);
		if (take_result(L, call, kind, list + 2))
			return 0;
		lua_settop(L, list);
	}
	call->answer.where = "";
	return 0;
}

void script_event_dispatch(lua_State *L, struct script_call *call)
{
	call->answer.outcome = SCRIPT_NO_HANDLER;
	call->answer.where = "";
	lua_pushcfunction(L, l_dispatch);
	lua_pushlightuserdata(L, call);
	luaL_checkstack(L, (int)call->arg_count, "too many arguments");
	for (size_t i = 0; i < call->arg_count; i++)
		push_arg(L, call, &call->args[i]);
	lua_call(L, (int)call->arg_count + 1, 0);
	if (call->answer.outcome == SCRIPT_NO_HANDLER)
		script_event_without_handler(call);
}

/* Pushes the arguments, so that they can be taken back whatever happens. */
static int l_arguments(lua_State *L)
{
	struct script_call *call = lua_touserdata(L, 1);

	int count = (int)(call->arg_count + call->batch_count);

	luaL_checkstack(L, count + 4, "too many arguments");
	for (size_t i = 0; i < call->arg_count; i++)
		push_arg(L, call, &call->args[i]);
	for (size_t i = 0; i < call->batch_count; i++)
		script_message_push(L, call->batch[i]);
	return count;
}

/* The error value at 1 as text. */
static int l_describe(lua_State *L)
{
	struct script_call *call = lua_touserdata(L, 2);

	lua_settop(L, 1);
	script_raised_describe(L);
	call->answer.error = arena_strdup(call->arena, lua_tostring(L, 1));
	return 0;
}

/* The error on top becomes the outcome. */
static void take_error(
    lua_State *L, struct script_state *state, struct script_call *call)
{
	const struct script_reject *reject = script_reject_test(L, -1);
	struct script_answer *answer = &call->answer;
	const char *text = NULL;

	if (reject && !script_over(state)) {
		answer->outcome = SCRIPT_REJECTED;
		answer->reject = *reject;
		answer->reject.message =
		    arena_strdup(call->arena, reject->message);
		return;
	}
	answer->outcome = state->expired ? SCRIPT_EXPIRED : SCRIPT_ERROR;
	state->failed = true;
	/* __tostring is the policy's: it runs protected, and not too late. */
	lua_pushcfunction(L, l_describe);
	lua_insert(L, -2);
	lua_pushlightuserdata(L, call);
	if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
		if (lua_type(L, -1) == LUA_TSTRING)
			text = lua_tostring(L, -1);
		answer->error = arena_strdup(
		    call->arena, text ? text : "raised what has no text");
		lua_pop(L, 1);
	}
	/* error('x', 0) tells no place: then the handler's. */
	if (*answer->where && !script_raised_has_place(answer->error))
		answer->error = arena_printf(call->arena, "%s: %s: %s",
		    call->event, answer->where, answer->error);
	else
		answer->error = arena_printf(
		    call->arena, "%s: %s", call->event, answer->error);
}

void script_event_run(struct script_state *state, struct script_call *call)
{
	lua_State *L = state->L;
	int args = 0;

	call->answer.outcome = SCRIPT_NO_HANDLER;
	lua_settop(L, 0);
	/* The arguments stay on the stack below what runs. */
	lua_pushcfunction(L, l_arguments);
	lua_pushlightuserdata(L, call);
	if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) {
		take_error(L, state, call);
	} else {
		args = lua_gettop(L);
		invariant(lua_checkstack(L, args + 8));
		lua_pushcfunction(
		    L, call->session ? script_session_l_run : l_dispatch);
		lua_pushlightuserdata(L, call);
		for (int i = 1; i <= args; i++)
			lua_pushvalue(L, i);
		if (lua_pcall(L, args + 1, 0, 0) != LUA_OK)
			take_error(L, state, call);
		else if (call->answer.outcome == SCRIPT_NO_HANDLER)
			script_event_without_handler(call);
	}
	/* What the policy kept of them is dead from here on. */
	for (int i = 1; i <= args; i++)
		script_handle_end(L, i);
	lua_settop(L, 0);
	lua_gc(L, LUA_GCRESTART);
}

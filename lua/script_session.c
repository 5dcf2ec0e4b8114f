/*
 * script_session.c - an object of the policy that lives for many calls
 *
 * The object stands in the registry of the state that it was made in.  Between
 * calls the state hangs on the session; while a call runs it is the thread's,
 * which gives it back, unless the call expired meanwhile: then nobody knows
 * when that thread ends, and the state ends with it.
 */
#include "lua/script_session.h"

#include "base/diag.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_event.h"
#include "lua/script_pool.h"
#include "lua/script_session_private.h"
#include "lua/script_value.h"

#define OBJECT "penstock.session"

struct script_session {
	int refs; /* atomic */
	struct script_policy *policy;
	/* Under the pool's lock. */
	struct script_state *state; /* NULL: none yet, running, or gone */
	bool broken;
};

struct script_session *script_session_new(struct script_policy *p)
{
	struct script_session *s = xcalloc(1, sizeof *s);

	s->refs = 1;
	s->policy = script_policy_ref(p);
	pthread_mutex_lock(&p->lock);
	p->sessions++;
	pthread_mutex_unlock(&p->lock);
	return s;
}

void script_session_unref(struct script_session *s)
{
	struct script_policy *p;

	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	p = s->policy;
	pthread_mutex_lock(&p->lock);
	p->sessions--;
	if (s->state) {
		/* It must not be closed here: the next event's thread does. */
		s->state->failed = true;
		list_add_head(&p->states, &s->state->link);
		p->spare++;
	}
	pthread_mutex_unlock(&p->lock);
	script_policy_unref(p);
	free(s);
}

void script_session_free(struct script_session *s)
{
	script_session_unref(s);
}

bool script_session_broken(const struct script_session *s)
{
	bool broken;

	pthread_mutex_lock(&s->policy->lock);
	broken = s->broken;
	pthread_mutex_unlock(&s->policy->lock);
	return broken;
}

/* ---- calls ---- */

static struct script_call *make_call(
    struct script_session *s, const char *name, enum script_step step)
{
	struct script_call *call = script_call_make(s->policy, name);

	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	call->session = s;
	call->step = step;
	return call;
}

struct script_call *script_session_make(
    struct script_session *s, const char *event)
{
	return make_call(s, event, STEP_MAKE);
}

struct script_call *script_session_method(
    struct script_session *s, const char *method)
{
	return make_call(s, method, STEP_METHOD);
}

struct script_call *script_session_end(struct script_session *s)
{
	return make_call(s, "close", STEP_END);
}

void script_arg_batch(
    struct script_call *call, struct message *const *messages, size_t count)
{
	invariant(!call->batch && count <= SCRIPT_BATCH_MOST);
	call->batch = ARENA_ARRAY(call->arena, struct message *, count + 1);
	for (size_t i = 0; i < count; i++)
		call->batch[call->batch_count++] = message_ref(messages[i]);
}

/* ---- for the pool ---- */

struct script_state *script_session_take(struct script_call *call)
{
	struct script_session *s = call->session;
	struct script_state *state;

	if (!s || call->step == STEP_MAKE)
		return NULL;
	state = s->state;
	s->state = NULL;
	return state;
}

bool script_session_keep(
    struct script_call *call, struct script_state *state, bool abandoned)
{
	struct script_session *s = call->session;

	if (!s)
		return false;
	if (state && !abandoned && !state->expired && !state->refused &&
	    call->step != STEP_END &&
	    (call->step != STEP_MAKE || call->answer.outcome == SCRIPT_VALUE)) {
		s->state = state;
		return true;
	}
	s->broken = true;
	return false;
}

/* ---- inside a state ---- */

static int make(lua_State *L, struct script_call *call)
{
	const struct script_event *event =
	    map_get(call->policy->events, call->event);
	int args = lua_gettop(L) - 1;

	if (!event || !script_event_push_handler(L, call->event))
		return 0; /* SCRIPT_NO_HANDLER */
	call->answer.where = event->where;
	lua_insert(L, 2);
	lua_call(L, args, 1);
	if (!lua_istable(L, -1))
		return luaL_error(L,
		    "%s: must return a table with methods, not %s",
		    call->answer.where, script_value_name(L, -1));
	lua_setfield(L, LUA_REGISTRYINDEX, OBJECT);
	call->answer.outcome = SCRIPT_VALUE;
	return 0;
}

/* Pushes the method and the object. */
static bool push_method(lua_State *L, const char *name)
{
	if (lua_getfield(L, LUA_REGISTRYINDEX, OBJECT) != LUA_TTABLE) {
		lua_pop(L, 1);
		return false;
	}
	if (lua_getfield(L, -1, name) != LUA_TFUNCTION) {
		lua_pop(L, 2);
		return false;
	}
	lua_insert(L, -2);
	return true;
}

/* Where the function on top was written, for errors that tell no place. */
static const char *where_defined(lua_State *L, struct arena *arena)
{
	lua_Debug ar;

	lua_pushvalue(L, -1);
	if (!lua_getinfo(L, ">S", &ar) || ar.linedefined < 0)
		return "";
	return arena_printf(arena, "%s:%d",
	    ar.source[0] == '@' ? ar.source + 1 : ar.short_src, ar.linedefined);
}

static int method(lua_State *L, struct script_call *call)
{
	struct script_answer *answer = &call->answer;
	int args = lua_gettop(L) - 1;
	const char *text;
	size_t len;

	if (call->batch) {
		lua_createtable(L, args, 0);
		lua_insert(L, 2);
		for (int i = args; i > 0; i--)
			lua_rawseti(L, 2, i);
		args = 1;
	}
	if (!push_method(L, call->event))
		return luaL_error(
		    L, "the connection has no method \"%s\"", call->event);
	lua_pushvalue(L, -2);
	answer->where = where_defined(L, call->arena);
	lua_pop(L, 1);
	lua_rotate(L, 2, 2);
	lua_call(L, args + 1, 1);
	if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
		return luaL_error(L,
		    "%s: must return a text that says what became of the "
		    "message, not %s",
		    answer->where, script_value_name(L, -1));
	text = lua_tolstring(L, -1, &len);
	answer->result = value_string(call->arena, text, len);
	answer->outcome = SCRIPT_VALUE;
	return 0;
}

static int end(lua_State *L, struct script_call *call)
{
	bool has_close = push_method(L, "close");

	/* Also when close() raises: the state may serve others. */
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, OBJECT);
	if (has_close)
		lua_call(L, 1, 0);
	call->answer.outcome = SCRIPT_VALUE;
	return 0;
}

int script_session_l_run(lua_State *L)
{
	struct script_call *call = lua_touserdata(L, 1);

	switch (call->step) {
	case STEP_MAKE:
		return make(L, call);
	case STEP_METHOD:
		return method(L, call);
	case STEP_END:
		return end(L, call);
	case STEP_EVENT:
		break;
	}
	return 0;
}

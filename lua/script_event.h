/*
 * script_event.h - kumo.on, and calling what it registered
 */
#ifndef LUA_SCRIPT_EVENT_H
#define LUA_SCRIPT_EVENT_H

#include <lua.h>

#include "lua/script_call.h"
#include "lua/script_state.h"

/* What is known of an event's registration, per generation. */
struct script_event {
	unsigned count;
	char *where; /* file:line of the first kumo.on */
};
void script_event_free(void *event);

/* kumo.on(name, fn) and kumo.get_event_registrars(name) */
int script_event_l_on(lua_State *L);
int script_event_l_registrars(lua_State *L);

/* Pushes the first handler of the event: for bindings that ask one themselves.
 * False: there is none, nothing is pushed. */
bool script_event_push_handler(lua_State *L, const char *event);

/* The C function on top, which is popped, answers `event` unless the policy may
 * do so: for calls that are no events of the language. */
void script_event_add(lua_State *L, const char *event);

/* Calls the handlers with the texts that are the call's arguments and fills
 * call->answer, from within an event: errors are raised. */
void script_event_dispatch(lua_State *L, struct script_call *call);
/* Calls the handlers of call->event and fills call->answer. */
void script_event_run(struct script_state *state, struct script_call *call);
/* The same for an event that nobody handles; needs no state. */
void script_event_without_handler(struct script_call *call);
/* pre_init, init, and what else loading a policy runs (script_load.c). */
void script_load_run(struct script_state *state, struct script_call *call);

#endif

/*
 * script_session_private.h - sessions, as the pool and the dispatcher see them
 */
#ifndef LUA_SCRIPT_SESSION_PRIVATE_H
#define LUA_SCRIPT_SESSION_PRIVATE_H

#include <lua.h>

#include "lua/script_call.h"
#include "lua/script_state.h"

void script_session_unref(struct script_session *s); /* NULL is fine */
/* The state that the call has to run in; NULL: any.  Pool's lock held. */
struct script_state *script_session_take(struct script_call *call);
/* True: the session keeps the state.  Pool's lock held. */
bool script_session_keep(
    struct script_call *call, struct script_state *state, bool abandoned);
/* 1: the call.  2...: its arguments. */
int script_session_l_run(lua_State *L);

#endif

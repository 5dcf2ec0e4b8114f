/*
 * script_session.h - an object of the policy that lives for many calls
 *
 * A connection of custom_lua: a constructor event returns a table, whose
 * methods are called later, in the same Lua state (policy language, 14).  The
 * state belongs to the session from the constructor on; sessions share none.
 *
 *	call = script_session_make(session, "make.webhook");  arguments; submit
 *	call = script_session_method(session, "send");	      messages; submit
 *... call = script_session_end(session);		      submit
 *	script_session_free(session);
 *
 * One call at a time.  Calls are submitted, answered and freed as any other
 * (script.h), and they never keep events from running: a session brings a
 * thread of its own to the pool.
 *
 * After an error the object may still be closed (script_session_end), but a
 * session whose call expired, or whose constructor failed, is broken: nothing
 * more runs in it.
 *
 * Threads: one at a time.
 */
#ifndef LUA_SCRIPT_SESSION_H
#define LUA_SCRIPT_SESSION_H

#include "lua/script.h"

struct script_session;

struct script_session *script_session_new(struct script_policy *p) MUST_USE;
/* Not while a call of it runs, unless that call has expired. */
void script_session_free(struct script_session *s);
/* Nothing more can be called. */
bool script_session_broken(const struct script_session *s);

/* Calls the event; SCRIPT_VALUE when it returned a table, which is kept. */
struct script_call *script_session_make(
    struct script_session *s, const char *event) MUST_USE;
/* Calls object:method(message), or object:method { messages } when it is given
 * a batch.  SCRIPT_VALUE: a text; numbers are turned into text, everything else
 * is an error. */
struct script_call *script_session_method(
    struct script_session *s, const char *method) MUST_USE;
/* Calls object:close() when there is such a method; gives the state back. */
struct script_call *script_session_end(struct script_session *s) MUST_USE;

/* For script_session_method: takes references. */
#define SCRIPT_BATCH_MOST 1000
void script_arg_batch(
    struct script_call *call, struct message *const *messages, size_t count);

#endif

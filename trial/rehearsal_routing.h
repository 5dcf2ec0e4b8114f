/*
 * rehearsal_routing.h - what a test script asks about queues and their routes
 *
 * Functions of the table that rehearsal_core.c opens; their arguments come
 * checked from prelude.lua.  The parts of a queue's name are a table with
 * campaign, tenant, domain and routing_domain; what is missing is nil.
 */
#ifndef TRIAL_REHEARSAL_ROUTING_H
#define TRIAL_REHEARSAL_ROUTING_H

#include <lua.h>

/* queue_parse(name): the parts. */
int rehearsal_queue_parse(lua_State *L);
/* queue_compose(parts): the name. */
int rehearsal_queue_compose(lua_State *L);
/* route(what, parts, argument): the answer of routing.h; nil and a text when
 * the policy fails.  'retries' has a second answer, when the message expires.
 */
int rehearsal_route(lua_State *L);

#endif

/*
 * rehearsal_private.h - what the parts of a rehearsal share
 */
#ifndef TRIAL_REHEARSAL_PRIVATE_H
#define TRIAL_REHEARSAL_PRIVATE_H

#include <lauxlib.h>
#include <lua.h>

#include "trial/client.h"
#include "trial/rehearsal.h"
#include "trial/routing.h"

struct rehearsal {
	lua_State *L;
	struct arena *arena; /* what Lua was told; its errors jump over us */
	struct rehearsal_settings settings;
	const char *policy; /* NULL: none named */
	struct dns_zone *zone;
	struct world *world; /* NULL: not needed yet */
	struct client *clients[1024];
	size_t client_count;
	const char *policy_error;
	int64_t deadline; /* real milliseconds; 0: none */
	int ref_tests, ref_run, ref_describe;
};

/* A function as a message handler that the deadline does not interrupt. */
int rehearsal_guard(lua_State *L);
/* Pushes the table of core functions. */
void rehearsal_core_open(struct rehearsal *r);
/* The world, which begins now if it has not; raises when it cannot. */
struct world *rehearsal_world(lua_State *L);

#endif

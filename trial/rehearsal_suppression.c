/*
 * rehearsal_suppression.c - what a test script says is suppressed
 */
#include "trial/rehearsal_suppression.h"

#include <lauxlib.h>

#include "queue/queue_suppression.h"
#include "trial/rehearsal_private.h"
#include "trial/rehearsal_value.h"

static bool suppress(
    struct world *world, const struct suppression_entry *e, struct err *err)
{
	const struct suppression_order order = {.who = "test"};
	struct suppression_counts counts;
	struct queue_conn *conn;
	bool done;

	if (!queue_connect(world->service.queue, true, &conn, err))
		return false;
	done = queue_suppress(conn, e, 1, &order, &counts, err);
	queue_disconnect(conn);
	return done;
}

int rehearsal_suppress(lua_State *L)
{
	const char *tenant = luaL_optstring(L, 2, NULL);
	struct suppression_entry e = {
	    .scope = {.all = !tenant, .tenant = tenant ? tenant : ""},
	    .class = luaL_optstring(L, 3, "manual"),
	    .record = "Operator",
	    .who = "test",
	};
	struct err err = {0};

	if (!suppression_key_parse(luaL_checkstring(L, 1),
		rehearsal_self(L)->arena, &e.address, &err) ||
	    !suppress(rehearsal_world(L), &e, &err))
		rehearsal_raise(L, &err);
	return 0;
}

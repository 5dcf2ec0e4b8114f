/*
 * lua_connection.h - a connection of custom_lua: an object of the policy
 *
 * What connection.h is for SMTP: the same struct connection in the same ready
 * queue, with a session of lua/script_session.h instead of a socket.
 *
 *	MAKING -> READY -> LOADING -> SENDING -> READY ... -> ENDING
 *
 * The constructor is a call of its own; then messages, or batches of them, one
 * call after the other; close() at the end (policy language, 14).  A slow
 * handler keeps its own connection busy and nothing else.  Crash: the record
 * comes before the row, so what send() did may be done again, never lost.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_LUA_CONNECTION_H
#define ROUTER_LUA_CONNECTION_H

#include "base/attr.h"

struct connection;
struct lua_connection;
struct ready_queue;

/* Of all ready queues: each has a Lua state. */
#define LUA_CONNECTIONS_MOST 128

/* How many connections so much waiting mail is worth. */
size_t lua_connections_wanted(const struct ready_queue *rq);
/* May rq have one more now?  Those of one ready queue do not use up all. */
bool lua_connection_may_open(const struct ready_queue *rq);
/* For a connection whose records are set. */
void lua_connection_start(struct connection *c);
/* There may be work, or the connection shall end (c->ending). */
void lua_connection_wake(struct lua_connection *lc);
/* What runs is given up: its messages are tried again. */
void lua_connection_abort(struct lua_connection *lc);

#endif

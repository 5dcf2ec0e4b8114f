/*
 * bind_http_response.h - what kumo.http's request:send() returns
 *
 * (policy language, 16)  Status and header can be asked any number of times;
 * text() or bytes() takes the body, once.
 *
 * Ownership: Lua's; the collector releases arena and body, and takes `charged`
 *            off the memory of the state.
 * Threads:   that of the state.
 */
#ifndef LUA_BIND_HTTP_RESPONSE_H
#define LUA_BIND_HTTP_RESPONSE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "net/http.h"

struct bind_http_response {
	struct arena *arena;
	struct http_response http;
	size_t charged;
	bool is_taken;
};

/* Registers the class in a new state. */
void bind_http_response_open(lua_State *L);
/* Pushes one with an empty arena.  The caller fills `http`, from that arena,
 * and sets `charged` to what it charged to the state. */
struct bind_http_response *bind_http_response_push(lua_State *L);

#endif

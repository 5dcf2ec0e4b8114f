/*
 * script_state.h - one Lua state: its limits, its libraries, its moment
 *
 * A state is made from the text that its policy was loaded from, serves one
 * event at a time and remembers nothing about sessions.  The clock of a state
 * is `deadline`: the count hook and every binding that may take long ask
 * script_over(), which is sticky.
 *
 * Ownership: belongs to whoever took it from the pool; freed on a Lua thread.
 * Threads:   one at a time.  Of the policy behind it only the locked functions
 *            of script_pool.h may be used.
 * Errors:    lua_error() jumps.  C that runs inside a state holds no lock and
 *            owns no memory outside an arena or a userdata (script_box_*).
 */
#ifndef LUA_SCRIPT_STATE_H
#define LUA_SCRIPT_STATE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

struct box;
struct script_policy;
struct script_call;

enum script_phase {
	SCRIPT_LOADING, /* the policy's text runs: kumo.on works */
	SCRIPT_INIT,    /* pre_init and init: listeners and logs work */
	SCRIPT_EVENT,   /* everything else */
};

struct script_state {
	lua_State *L;
	struct script_policy *policy;
	struct list link; /* among the idle ones */
	enum script_phase phase;
	struct script_call *call;     /* that runs; NULL: none */
	bool is_first;                /* the one whose declarations count */
	int64_t created_at, deadline; /* clock_now_ms */
	const int *over; /* atomic: this event ends; NULL: only at its time */
	int64_t uses;
	size_t used, limit;   /* bytes of Lua memory */
	struct box *last_box; /* to be charged; NULL: none */
	bool failed;          /* a handler raised: do not reuse */
	bool refused;         /* an allocation was refused: do not reuse */
	bool expired;         /* sticky: past its deadline: do not reuse */
};

/* Opens the libraries and runs the policy's text.  err names file and line;
 * ERR_TEMP when the deadline passed, else ERR_CONFIG. */
struct script_state *script_state_new(struct script_policy *policy,
    bool is_first, int64_t deadline, struct err *err) MUST_USE;
void script_state_free(struct script_state *state); /* NULL is fine */
/* Young enough and whole: may serve another event. */
bool script_state_reusable(const struct script_state *state);

struct script_state *script_state_of(lua_State *L);
/* Past the deadline?  Once true it stays true. */
bool script_over(struct script_state *state);
/* Raises when the deadline is past. */
void script_check_time(lua_State *L);

/* The libraries of the language, with what could escape the deadline or the
 * memory limit replaced, bounded or removed.  Leaves nothing on the stack. */
void script_lib_open(lua_State *L);
/* string.find, match, gmatch, gsub: fields of the table on top. */
void script_match_open(lua_State *L);
/* Raises unless the file may be opened: regular, or one of the harmless
 * devices, and not one that script_protect_file() named. */
void script_check_file(lua_State *L, const char *path);

/* Memory outside of Lua that an object holds counts as the state's: it paces
 * the collector, and beyond the limit this raises.  Give back what was charged.
 */
void script_charge(lua_State *L, size_t bytes);
void script_uncharge(lua_State *L, size_t bytes);

/* Pushes a userdata that owns an empty arena or buf until it is collected, for
 * C that may be left by lua_error().  What it grew to is charged. */
struct arena *script_box_arena(lua_State *L);
struct arena **script_box_arena_ref(lua_State *L); /* empty, to be set */
struct buf *script_box_buf(lua_State *L);
/* Raises err.text with the caller's file:line in front. */
NORETURN void script_raise(lua_State *L, const struct err *err);
/* Pushes "file:line" of the Lua function that called, level as luaL_where,
 * and returns it; "" when there is none. */
const char *script_where(lua_State *L, int level);

#endif

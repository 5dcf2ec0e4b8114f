/*
 * script_state.c - making a state, and the two limits on it
 *
 * The clock: a count hook looks at the time every 1000 instructions.  Once the
 * deadline is past it raises, and from then on fires at every instruction, so
 * that neither pcall nor a coroutine that swallows the error goes on.  A new
 * coroutine inherits the hook (lua_newthread).  What runs without instructions
 * is bounded in script_lib.c; what escapes even that is abandoned by the pool.
 *
 * The memory: the allocator counts and refuses beyond the limit; Lua then
 * collects and tries again, and only then raises "not enough memory".
 */
#include "lua/script_state.h"

#include <lualib.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_pool.h"
#include "lua/script_raised.h"

#define HOOK_EVERY 1000

static void *allocate(void *ctx, void *old, size_t old_size, size_t size)
{
	struct script_state *state = ctx;
	void *p;

	if (!old)
		old_size = 0; /* then it is a type tag */
	if (size == 0) {
		free(old);
		state->used -= old_size;
		return NULL;
	}
	if (size > old_size && state->used + (size - old_size) > state->limit) {
		state->refused = true;
		return NULL;
	}
	p = realloc(old, size);
	if (!p)
		return size <= old_size ? old : NULL;
	state->used += size - old_size;
	return p;
}

static int l_panic(lua_State *L)
{
	const char *text = lua_tostring(L, -1);

	diag_panic("lua: error outside a protected call: %s",
	    text ? text : "not a string");
}

struct script_state *script_state_of(lua_State *L)
{
	return *(struct script_state **)lua_getextraspace(L);
}

bool script_over(struct script_state *state)
{
	if (!state->expired && (clock_now_ms() >= state->deadline ||
				   (state->over && __atomic_load_n(state->over,
						       __ATOMIC_ACQUIRE))))
		state->expired = true;
	return state->expired;
}

static void hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	if (!script_over(script_state_of(L)))
		return;
	lua_sethook(L, hook, LUA_MASKCOUNT, 1);
	luaL_where(L, 0);
	lua_pushliteral(L, "over its time limit");
	lua_concat(L, 2);
	lua_error(L);
}

void script_check_time(lua_State *L)
{
	if (script_over(script_state_of(L)))
		luaL_error(L, "over its time limit");
}

/* ---- making one ---- */

/* The first line of a script may be `#!...`; the line numbers must stay. */
static void run_policy(lua_State *L, struct script_policy *policy)
{
	const char *text = policy->text;
	size_t len = policy->text_len;

	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		text += 3; /* as editors leave it, and lua(1) takes it */
		len -= 3;
	}
	if (len > 0 && text[0] == '#') {
		const char *end = memchr(text, '\n', len);
		size_t skip = end ? (size_t)(end - text) : len;

		text += skip;
		len -= skip;
	}
	if (luaL_loadbufferx(L, text, len, policy->chunk_name, "t") != LUA_OK)
		lua_error(L);
	lua_call(L, 0, 0);
}

static int l_build(lua_State *L)
{
	struct script_state *state = script_state_of(L);

	script_lib_open(L);
	script_bind_open(L);
	lua_settop(L, 0);
	run_policy(L, state->policy);
	return 0;
}

static int l_described(lua_State *L)
{
	script_raised_describe(L);
	return 1;
}

/* What loading raised is on top, unless it is LUA_OK and only came too late. */
static void why_not_loaded(
    struct script_state *state, int status, struct err *err)
{
	const char *text = "loading took longer than its time limit";
	const char *name = state->policy->chunk_name;

	if (status != LUA_OK) {
		lua_pushcfunction(state->L, l_described);
		lua_insert(state->L, -2);
		(void)lua_pcall(state->L, 1, 1, 0);
		text = lua_tostring(state->L, -1);
	}
	if (!text)
		text = "loading raised what has no text";
	err_set(err, state->expired ? ERR_TEMP : ERR_CONFIG, "%s", text);
	if (!script_raised_has_place(text))
		err_prefix(err, "%s", name + (*name == '@'));
}

struct script_state *script_state_new(struct script_policy *policy,
    bool is_first, int64_t deadline, struct err *err)
{
	struct script_state *state = xcalloc(1, sizeof *state);
	int status;

	state->policy = policy;
	state->is_first = is_first;
	state->deadline = deadline;
	state->created_at = clock_now_ms();
	state->limit = (size_t)policy->memory_limit;
	list_init(&state->link);
	state->L = lua_newstate(allocate, state);
	if (!state->L) {
		free(state);
		err_set(err, ERR_CONFIG, "no memory for a Lua state");
		return NULL;
	}
	*(struct script_state **)lua_getextraspace(state->L) = state;
	lua_atpanic(state->L, l_panic);
	lua_sethook(state->L, hook, LUA_MASKCOUNT, HOOK_EVERY);

	lua_pushcfunction(state->L, script_raised_l_handler);
	lua_pushcfunction(state->L, l_build);
	status = lua_pcall(state->L, 0, 0, 1);
	lua_remove(state->L, 1);
	if (status == LUA_OK && !script_over(state)) {
		state->phase = SCRIPT_EVENT;
		return state;
	}
	why_not_loaded(state, status, err);
	script_state_free(state);
	return NULL;
}

void script_state_free(struct script_state *state)
{
	if (!state)
		return;
	lua_close(state->L);
	free(state);
}

bool script_state_reusable(const struct script_state *state)
{
	return !state->failed && !state->expired && !state->refused &&
	       state->uses < state->policy->max_uses &&
	       clock_now_ms() - state->created_at < state->policy->max_age_ms;
}

/* ---- things that lua_error() may jump over ---- */

#define BOX_SIZE 1024 /* what a small arena takes */

void script_charge(lua_State *L, size_t bytes)
{
	struct script_state *state = script_state_of(L);

	(void)lua_gc(L, LUA_GCSTEP, (int)(bytes / 1024 + 1));
	/* Not counted yet: a collector that may not allocate drops the objects
	 * that it cannot call __gc for, and what they hold is lost. */
	if (state->used + bytes > state->limit)
		(void)lua_gc(L, LUA_GCCOLLECT);
	state->used += bytes;
	if (state->used <= state->limit)
		return;
	state->refused = true;
	luaL_error(L, "not enough memory");
}

void script_uncharge(lua_State *L, size_t bytes)
{
	script_state_of(L)->used -= bytes;
}

/* What a box holds is charged when the next one is made: by then it has grown,
 * and whoever let go of it may have left it to the collector. */
struct box {
	union {
		struct arena *arena;
		struct buf buf;
	} of; /* first: callers know only this */
	bool is_buf, is_shared;
	size_t charged;
};

static size_t box_size(const struct box *box)
{
	if (box->is_buf)
		return box->of.buf.size;
	return box->of.arena && !box->is_shared ? arena_used(box->of.arena) : 0;
}

static void charge_last_box(lua_State *L)
{
	struct script_state *state = script_state_of(L);
	struct box *box = state->last_box;
	size_t more;

	if (box && box_size(box) > box->charged) {
		more = box_size(box) - box->charged;
		script_charge(L, more);
		/* That may have collected it. */
		if (state->last_box == box)
			box->charged += more;
		else
			script_uncharge(L, more);
	}
	state->last_box = NULL;
}

static int l_box_gc(lua_State *L)
{
	struct script_state *state = script_state_of(L);
	struct box *box = lua_touserdata(L, 1);

	if (state->last_box == box)
		state->last_box = NULL;
	if (box->is_buf)
		buf_release(&box->of.buf);
	else
		arena_unref(box->of.arena);
	state->used -= box->charged;
	memset(box, 0, sizeof *box);
	return 0;
}

static struct box *push_box(lua_State *L, bool is_buf)
{
	struct box *box;

	charge_last_box(L);
	box = lua_newuserdatauv(L, sizeof *box, 0);
	memset(box, 0, sizeof *box);
	box->is_buf = is_buf;
	if (luaL_newmetatable(L, "penstock.box")) {
		lua_pushcfunction(L, l_box_gc);
		lua_setfield(L, -2, "__gc");
		lua_pushboolean(L, 0);
		lua_setfield(L, -2, "__metatable");
	}
	lua_setmetatable(L, -2);
	if (is_buf) {
		buf_init(&box->of.buf);
	} else {
		box->charged = BOX_SIZE;
		script_charge(L, BOX_SIZE);
	}
	script_state_of(L)->last_box = box;
	return box;
}

struct arena **script_box_arena_ref(lua_State *L)
{
	struct box *box = push_box(L, false);

	box->is_shared = true;
	return &box->of.arena;
}

struct arena *script_box_arena(lua_State *L)
{
	struct box *box = push_box(L, false);

	box->of.arena = arena_new(0);
	return box->of.arena;
}

struct buf *script_box_buf(lua_State *L)
{
	return &push_box(L, true)->of.buf;
}

void script_raise(lua_State *L, const struct err *err)
{
	luaL_error(L, "%s", err->text);
	abort(); /* not reached: luaL_error does not return */
}

const char *script_where(lua_State *L, int level)
{
	lua_Debug ar;

	if (lua_getstack(L, level, &ar) && lua_getinfo(L, "Sl", &ar) &&
	    ar.currentline > 0)
		return lua_pushfstring(L, "%s:%d",
		    ar.source[0] == '@' ? ar.source + 1 : ar.short_src,
		    ar.currentline);
	return lua_pushliteral(L, "");
}

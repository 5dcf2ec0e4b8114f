/*
 * bind_schedule.c - message:set_due, set_scheduling, import_scheduling_header
 *
 * What was scheduled stays with the message as JSON; the due time is moved here
 * and wherever it is set later.
 */
#include "base/clock.h"
#include "base/datetime.h"
#include "base/json.h"
#include "lua/bind.h"
#include "lua/script_value.h"
#include "policy/schedule.h"

/* Moves the due time, and pushes it: text, or nil for now. */
static void set_due(
    lua_State *L, struct message *m, const struct schedule *s, int64_t at)
{
	char text[40];
	int64_t now = clock_unix();

	if (at < now)
		at = now;
	if (s)
		at = schedule_next(s, at);
	m->due_at = at > now ? at : 0;
	if (m->due_at)
		lua_pushstring(L, clock_rfc3339(text, at * 1000));
	else
		lua_pushnil(L);
}

/* The schedule that the message has; NULL: none. */
static const struct schedule *schedule_of(lua_State *L, const struct message *m)
{
	struct arena *arena;
	struct schedule *s;
	struct value value;
	struct err err = {0};

	if (!m->scheduling)
		return NULL;
	arena = script_box_arena(L);
	s = ARENA_NEW(arena, struct schedule);
	if (!json_parse(
		m->scheduling, strlen(m->scheduling), arena, &value, &err) ||
	    !schedule_parse(&value, arena, s, &err))
		script_raise(L, &err);
	return s;
}

/* (time or nil) */
static int l_set_due(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	struct datetime d = {0, 0};
	struct err err = {0};

	lua_settop(L, 2);
	if (!lua_isnil(L, 2) &&
	    !datetime_parse_rfc3339(luaL_tolstring(L, 2, NULL), &d, &err))
		script_raise(L, &err);
	set_due(L, m, schedule_of(L, m), d.unix_seconds);
	return 1;
}

/* Checks the value and gives it to the message. */
static void schedule(lua_State *L, struct message *m, const struct value *value)
{
	struct arena *arena = script_box_arena(L);
	struct buf *json = script_box_buf(L);
	struct schedule s;
	struct err err = {0};

	if (!schedule_parse(value, arena, &s, &err))
		luaL_error(L, "deserialize error: %s", err.text);
	json_write(json, value);
	m->scheduling = arena_strdup(m->arena, buf_str(json));
	set_due(L, m, &s, m->due_at);
	lua_pop(L, 1);
}

/* (table or nil): the table */
static int l_set_scheduling(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	struct arena *arena;
	struct value value;
	struct err err = {0};

	lua_settop(L, 2);
	if (lua_isnil(L, 2)) {
		m->scheduling = NULL;
		return 1;
	}
	arena = script_box_arena(L);
	if (!script_value_read(L, 2, arena, &value, &err))
		script_raise(L, &err);
	schedule(L, m, &value);
	script_value_push(L, &value);
	return 1;
}

/* (name, remove): the table, or nil when there is no such header */
static int l_import_scheduling_header(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	const char *name = luaL_checkstring(L, 2), *text;
	struct arena *arena;
	struct value value;
	struct err err = {0};
	size_t len;

	lua_settop(L, 3);
	lua_getfield(L, 1, "get_first_named_header_value"); /* 4 */
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_call(L, 2, 1);
	if (lua_isnil(L, 4))
		return 1;
	text = lua_tolstring(L, 4, &len);
	arena = script_box_arena(L);
	if (!json_parse(text, len, arena, &value, &err))
		return luaL_error(L, "%s: %s", name, err.text);
	schedule(L, m, &value);
	if (lua_toboolean(L, 3)) {
		lua_getfield(L, 1, "remove_all_named_headers");
		lua_pushvalue(L, 1);
		lua_pushvalue(L, 2);
		lua_call(L, 2, 0);
	}
	script_value_push(L, &value);
	return 1;
}

static const luaL_Reg methods[] = {
    /* (RFC 3339 text or Time, nil: now): when it will be due; nil: now */
    {"set_due", l_set_due},
    /* ({first_attempt, expires, dow, tz, start, end} or nil): the table */
    {"set_scheduling", l_set_scheduling},
    /* (name, remove): the table in that header, or nil */
    {"import_scheduling_header", l_import_scheduling_header},
    {NULL, NULL},
};

void bind_schedule_open(lua_State *L)
{
	luaL_setfuncs(L, methods, 0);
}

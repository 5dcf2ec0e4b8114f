/*
 * rehearsal_routing.c - what a test script asks about queues and their routes
 */
#include "trial/rehearsal_routing.h"

#include "base/str.h"
#include "lua/script_value.h"
#include "trial/rehearsal_private.h"
#include "trial/rehearsal_value.h"

static struct queue_name parts_at(lua_State *L, int index)
{
	return (struct queue_name){
	    .campaign = rehearsal_text_field(L, index, "campaign"),
	    .tenant = rehearsal_text_field(L, index, "tenant"),
	    .domain = rehearsal_text_field(L, index, "domain"),
	    .routing_domain = rehearsal_text_field(L, index, "routing_domain"),
	};
}

int rehearsal_queue_parse(lua_State *L)
{
	struct queue_name q =
	    queue_name_parse(luaL_checkstring(L, 1), rehearsal_self(L)->arena);

	lua_newtable(L);
	rehearsal_set_text(L, "campaign", q.campaign);
	rehearsal_set_text(L, "tenant", q.tenant);
	rehearsal_set_text(L, "domain", q.domain);
	rehearsal_set_text(L, "routing_domain", q.routing_domain);
	return 1;
}

int rehearsal_queue_compose(lua_State *L)
{
	struct queue_name q = parts_at(L, 1);
	struct buf name = BUF_INIT;
	const char *copy;

	queue_name_compose(&name, &q);
	copy = arena_strdup(rehearsal_self(L)->arena, buf_str(&name));
	buf_release(&name);
	lua_pushstring(L, copy);
	return 1;
}

/* What route('NAME', parts, argument) asks. */
typedef bool question_fn(struct routing *r, const struct queue_name *q,
    lua_State *L, struct arena *arena, struct value *out, struct err *err);

static bool ask_config(struct routing *r, const struct queue_name *q,
    lua_State *L, struct arena *arena, struct value *out, struct err *err)
{
	return routing_config(r, q, arena, out, err);
}

static bool ask_pool(struct routing *r, const struct queue_name *q,
    lua_State *L, struct arena *arena, struct value *out, struct err *err)
{
	return routing_pool(r, q, arena, out, err);
}

static bool ask_source(struct routing *r, const struct queue_name *q,
    lua_State *L, struct arena *arena, struct value *out, struct err *err)
{
	return routing_source(r, q, rehearsal_keep_text(L, 3), arena, out, err);
}

static bool ask_pick(struct routing *r, const struct queue_name *q,
    lua_State *L, struct arena *arena, struct value *out, struct err *err)
{
	const char *name;

	if (!routing_pick(r, q, arena, &name, err))
		return false;
	*out = value_string(arena, name, strlen(name));
	return true;
}

static bool ask_hosts(struct routing *r, const struct queue_name *q,
    lua_State *L, struct arena *arena, struct value *out, struct err *err)
{
	return routing_hosts(r, q, arena, out, err);
}

static bool ask_path(struct routing *r, const struct queue_name *q,
    lua_State *L, struct arena *arena, struct value *out, struct err *err)
{
	return routing_path(r, q, rehearsal_keep_text(L, 3), arena, out, err);
}

static bool ask_plan(struct routing *r, const struct queue_name *q,
    lua_State *L, struct arena *arena, struct value *out, struct err *err)
{
	return routing_plan(r, q, rehearsal_keep_text(L, 3), arena, out, err);
}

static const struct {
	const char *name;
	question_fn *ask;
} questions[] = {
    {"config", ask_config},
    {"pool", ask_pool},
    {"source", ask_source},
    {"pick", ask_pick},
    {"hosts", ask_hosts},
    {"path", ask_path},
    {"plan", ask_plan},
};

static struct routing *routing_at(lua_State *L)
{
	struct err err = {0};
	struct routing *r = routing_of(rehearsal_world(L), &err);

	if (!r) {
		rehearsal_self(L)->policy_error =
		    arena_strdup(rehearsal_self(L)->arena, err.text);
		rehearsal_raise(L, &err);
	}
	return r;
}

static int push_error(lua_State *L, const struct err *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->text);
	return 2;
}

static int route_retries(
    lua_State *L, struct routing *r, const struct queue_name *q)
{
	lua_Integer most = luaL_checkinteger(L, 3);
	struct err err = {0};
	struct value list;
	int64_t expires;

	luaL_argcheck(L, most >= 0 && most <= 100000, 3, "0 to 100000");
	if (!routing_retries(r, q, (size_t)most, rehearsal_self(L)->arena,
		&list, &expires, &err))
		return push_error(L, &err);
	script_value_push_plain(L, &list);
	lua_pushinteger(L, expires);
	return 2;
}

int rehearsal_route(lua_State *L)
{
	const char *what = luaL_checkstring(L, 1);
	struct routing *r = routing_at(L);
	struct queue_name q = parts_at(L, 2);
	struct err err = {0};
	struct value out;

	if (str_eq(what, "retries"))
		return route_retries(L, r, &q);
	for (size_t i = 0; i < COUNT(questions); i++) {
		if (!str_eq(questions[i].name, what))
			continue;
		if (!questions[i].ask(
			r, &q, L, rehearsal_self(L)->arena, &out, &err))
			return push_error(L, &err);
		script_value_push_plain(L, &out);
		return 1;
	}
	rehearsal_raise_text(L, "route: no such question");
}

/*
 * rehearsal_core.c - the functions behind `require 'penstock.test'`
 *
 * Thin: arguments come checked from prelude.lua, answers go back as tables.
 * What they point to lives in the rehearsal's arena, because lua_error() jumps.
 */
#include <math.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/datetime.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/str.h"
#include "lua/script_value.h"
#include "milter/milter_session.h"
#include "trial/rehearsal_private.h"
#include "trial/rehearsal_routing.h"
#include "trial/rehearsal_suppression.h"
#include "trial/rehearsal_value.h"

#define MOST_LOG (8 << 20)

/* ---- the world ---- */

struct world *rehearsal_world(lua_State *L)
{
	struct rehearsal *r = rehearsal_self(L);
	struct world_options options = {
	    .policy = r->policy,
	    .dir = r->settings.dir,
	    .zone = r->zone,
	};
	struct err err = {0};

	if (r->world)
		return r->world;
	if (!r->policy)
		rehearsal_raise_text(
		    L, "no policy: name one with t.policy or --policy");
	if (!world_start(&r->world, &options, &err)) {
		r->policy_error = arena_strdup(r->arena, err.text);
		rehearsal_raise(L, &err);
	}
	return r->world;
}

static void check_not_started(lua_State *L, const char *what)
{
	if (rehearsal_self(L)->world)
		rehearsal_raise_text(L,
		    lua_pushfstring(L,
			"%s comes too late: the policy of this test is loaded "
			"already",
			what));
}

static int l_set_policy(lua_State *L)
{
	check_not_started(L, "t.policy");
	rehearsal_self(L)->policy = rehearsal_keep_text(L, 1);
	return 0;
}

static const char *write_policy(lua_State *L, const char *name)
{
	struct rehearsal *r = rehearsal_self(L);
	const char *path =
	    arena_printf(r->arena, "%s/%s", r->settings.dir, name);
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	FILE *file = fopen(path, "w");
	bool ok = file && fwrite(text, 1, len, file) == len;

	if (file && fclose(file) != 0)
		ok = false;
	if (!ok)
		rehearsal_raise_text(
		    L, lua_pushfstring(L, "cannot write %s", path));
	return path;
}

static int l_set_policy_text(lua_State *L)
{
	check_not_started(L, "t.policy_text");
	rehearsal_self(L)->policy = write_policy(L, "policy.lua");
	return 0;
}

static int l_set_zone(lua_State *L)
{
	struct rehearsal *r = rehearsal_self(L);
	struct dns_zone *zone = dns_zone_new();
	struct err err = {0};

	if (!dns_zone_add_text(zone, luaL_checkstring(L, 1), &err)) {
		dns_zone_unref(zone);
		(void)err_prefix(&err, "t.zone");
		rehearsal_raise(L, &err);
	}
	dns_zone_unref(r->zone);
	r->zone = zone;
	if (r->world)
		world_set_zone(r->world, zone);
	return 0;
}

/* nil: it loads. */
static int check_policy(lua_State *L, const char *path)
{
	const struct script_options options = {
	    .path = path, .role = SCRIPT_CHECK, .threads = 1};
	struct script_policy *policy = NULL;
	struct err err = {0};

	if (script_policy_load(&policy, &options, &err)) {
		script_policy_unref(policy);
		lua_pushnil(L);
	} else {
		lua_pushstring(L, err.text);
	}
	return 1;
}

static int l_check(lua_State *L)
{
	return check_policy(L, rehearsal_keep_text(L, 1));
}

static int l_check_text(lua_State *L)
{
	return check_policy(L, write_policy(L, "check.lua"));
}

/* ---- clients ---- */

static struct client *client_at(lua_State *L, int index)
{
	struct rehearsal *r = rehearsal_self(L);
	lua_Integer n = luaL_checkinteger(L, index);

	if (n < 1 || (size_t)n > r->client_count || !r->clients[n - 1])
		rehearsal_raise_text(L, "the connection is closed");
	return r->clients[n - 1];
}

static struct client_tls tls_at(lua_State *L, int index)
{
	return (struct client_tls){
	    .version = rehearsal_text_field(L, index, "version"),
	    .cipher = rehearsal_text_field(L, index, "cipher"),
	    .subject = rehearsal_text_field(L, index, "subject"),
	    .verify = rehearsal_text_field(L, index, "verify"),
	};
}

static bool flag(lua_State *L, int index, const char *key)
{
	bool b;

	lua_getfield(L, index, key);
	b = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return b;
}

/* A list of texts, ended with NULL. */
static const char *const *texts_at(lua_State *L, int index)
{
	struct arena *arena = rehearsal_self(L)->arena;
	size_t n = lua_rawlen(L, index);
	const char **out = ARENA_ARRAY(arena, const char *, n + 1);

	for (size_t i = 0; i < n; i++) {
		lua_rawgeti(L, index, (lua_Integer)i + 1);
		out[i] = arena_strdup(arena, luaL_tolstring(L, -1, NULL));
		lua_pop(L, 2);
	}
	return out;
}

static uint16_t port_field(lua_State *L, int index)
{
	lua_Integer port;
	int ok;

	lua_getfield(L, index, "port");
	port = lua_tointegerx(L, -1, &ok);
	if (!ok || port < 0 || port > 65535)
		rehearsal_raise_text(
		    L, "port: expected a number from 0 to 65535");
	lua_pop(L, 1);
	return (uint16_t)port;
}

static int l_connect(lua_State *L)
{
	struct rehearsal *r = rehearsal_self(L);
	struct client_facts facts = {
	    .ip = rehearsal_text_field(L, 1, "ip"),
	    .port = port_field(L, 1),
	    .name = rehearsal_text_field(L, 1, "name"),
	    .server = rehearsal_text_field(L, 1, "server"),
	    .auth = rehearsal_text_field(L, 1, "auth"),
	    .authz = rehearsal_text_field(L, 1, "authz"),
	    .is_sendmail = flag(L, 1, "sendmail"),
	    .is_local_submission = flag(L, 1, "local_submission"),
	};
	struct world *world = rehearsal_world(L);
	struct err err = {0};

	lua_getfield(L, 1, "macros");
	facts.macros = texts_at(L, lua_gettop(L));
	lua_getfield(L, 1, "tls");
	if (lua_istable(L, -1))
		facts.tls = tls_at(L, lua_gettop(L));
	if (r->client_count == sizeof r->clients / sizeof r->clients[0])
		rehearsal_raise_text(
		    L, "a test can open 1024 connections, no more");
	if (!client_connect(&r->clients[r->client_count], world, &facts, &err))
		rehearsal_raise(L, &err);
	lua_pushinteger(L, (lua_Integer)++r->client_count);
	return 1;
}

static int l_close(lua_State *L)
{
	struct client *c = client_at(L, 1);

	rehearsal_self(L)->clients[lua_tointeger(L, 1) - 1] = NULL;
	client_free(c);
	return 0;
}

static int push_reply(lua_State *L, const struct client_reply *reply)
{
	static const char *const owners[] = {
	    [OWNER_NONE] = NULL,
	    [OWNER_PENSTOCK] = "penstock",
	    [OWNER_MTA] = "mta",
	};

	lua_newtable(L);
	lua_pushinteger(L, reply->code);
	lua_setfield(L, -2, "code");
	if (*reply->enhanced)
		rehearsal_set_text(L, "enhanced", reply->enhanced);
	rehearsal_set_text(L, "text", reply->text);
	rehearsal_set_text(L, "owner", owners[reply->owner]);
	rehearsal_set_text(L, "rule", reply->rule);
	lua_pushboolean(L, reply->by_mta);
	lua_setfield(L, -2, "by_mta");
	lua_pushboolean(L, reply->is_discarded);
	lua_setfield(L, -2, "discarded");
	return 1;
}

static int l_greeting(lua_State *L)
{
	return push_reply(L, client_greeting(client_at(L, 1)));
}

static int l_ehlo(lua_State *L)
{
	return push_reply(
	    L, client_ehlo(client_at(L, 1), luaL_checkstring(L, 2)));
}

static int l_mail(lua_State *L)
{
	return push_reply(L, client_mail(client_at(L, 1),
				 luaL_checkstring(L, 2), texts_at(L, 3)));
}

static int l_rcpt(lua_State *L)
{
	return push_reply(L, client_rcpt(client_at(L, 1),
				 luaL_checkstring(L, 2), texts_at(L, 3)));
}

static int l_message(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 2, &len);

	return push_reply(L, client_message(client_at(L, 1), text, len));
}

static int l_rset(lua_State *L)
{
	return push_reply(L, client_rset(client_at(L, 1)));
}

static int l_set_auth(lua_State *L)
{
	client_set_auth(client_at(L, 1), luaL_optstring(L, 2, NULL),
	    luaL_optstring(L, 3, NULL));
	return 0;
}

static int l_set_tls(lua_State *L)
{
	struct client_tls tls = tls_at(L, 2);

	client_set_tls(client_at(L, 1), &tls);
	return 0;
}

static int l_meta(lua_State *L)
{
	const struct session *s = client_session(client_at(L, 1));
	const struct value *v;
	const char *name;
	size_t pos = 0;

	lua_newtable(L);
	while (meta_each(s->meta, &pos, &name, &v)) {
		script_value_push_plain(L, v);
		lua_setfield(L, -2, name);
	}
	return 1;
}

static int l_params(lua_State *L)
{
	struct value all =
	    client_parameters(client_at(L, 1), rehearsal_self(L)->arena);

	script_value_push_plain(L, &all);
	return 1;
}

static int l_domain(lua_State *L)
{
	const struct client_reply *reply = NULL;
	struct value v;

	if (client_listener_domain(
		client_at(L, 1), luaL_checkstring(L, 2), &v, &reply)) {
		script_value_push_plain(L, &v);
		return 1;
	}
	lua_pushnil(L);
	lua_pushfstring(
	    L, "%d %s %s", reply->code, reply->enhanced, reply->text);
	return 2;
}

/* ---- what is left behind ---- */

static void push_stored(lua_State *L, const struct stored *m)
{
	int64_t due_in = m->due_at - clock_unix();

	lua_newtable(L);
	rehearsal_set_text(L, "id", m->id);
	rehearsal_set_text(L, "sender", m->sender);
	rehearsal_set_text(L, "queue", m->queue);
	rehearsal_set_text(L, "rule", m->admitted_by);
	lua_pushlstring(L, m->data, m->len);
	lua_setfield(L, -2, "data");
	lua_pushinteger(L, due_in > 0 ? due_in : 0);
	lua_setfield(L, -2, "due_in");
	script_value_push_plain(L, &m->meta);
	lua_setfield(L, -2, "meta");
	lua_createtable(L, (int)m->recipient_count, 0);
	for (size_t i = 0; i < m->recipient_count; i++) {
		lua_pushstring(L, m->recipients[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "recipients");
}

static int l_stored(lua_State *L)
{
	struct world *world = rehearsal_world(L);
	struct stored *all;
	struct err err = {0};
	size_t count;

	if (!world_stored(world, rehearsal_self(L)->arena, &all, &count, &err))
		rehearsal_raise(L, &err);
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		push_stored(L, &all[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static int l_stored_count(lua_State *L)
{
	struct err err = {0};
	size_t count;

	if (!world_stored_count(rehearsal_world(L), &count, &err))
		rehearsal_raise(L, &err);
	lua_pushinteger(L, (lua_Integer)count);
	return 1;
}

static int l_records(lua_State *L)
{
	struct err err = {0};
	struct value all;

	if (!world_records(
		rehearsal_world(L), rehearsal_self(L)->arena, &all, &err))
		rehearsal_raise(L, &err);
	script_value_push_plain(L, &all);
	return 1;
}

/* Lines of the file that standard error goes to. */
static int l_log(lua_State *L)
{
	static const char prefix[] = "penstock: ";
	struct rehearsal *r = rehearsal_self(L);
	struct err err = {0};
	size_t len = 0, n = 0;
	char *text = r->settings.log
			 ? fd_read_file(r->settings.log, MOST_LOG, &len, &err)
			 : NULL;

	lua_newtable(L);
	for (char *p = text; p && *p;) {
		size_t line = strcspn(p, "\n");
		size_t skip = str_starts(p, prefix) ? sizeof prefix - 1 : 0;

		lua_pushlstring(L, p + skip, line - skip);
		lua_rawseti(L, -2, (lua_Integer)++n);
		p += line + (p[line] != '\0');
	}
	free(text);
	return 1;
}

/* Goes to the report as a line of the test's own output. */
static int l_note(lua_State *L)
{
	(void)printf("%s\n", luaL_checkstring(L, 1));
	(void)fflush(stdout);
	return 0;
}

/* ---- time ---- */

static int l_now(lua_State *L)
{
	lua_pushinteger(L, clock_unix());
	return 1;
}

static int l_advance(lua_State *L)
{
	struct duration d;
	struct err err = {0};
	bool ok = lua_type(L, 1) == LUA_TNUMBER
		      ? duration_from_seconds(lua_tonumber(L, 1), &d, &err)
		      : duration_parse(luaL_checkstring(L, 1), &d, &err);

	if (!ok) {
		(void)err_prefix(&err, "t.advance");
		rehearsal_raise(L, &err);
	}
	clock_shift(d.ms);
	return 0;
}

static int l_set_time(lua_State *L)
{
	struct datetime time = {0};
	struct err err = {0};

	if (lua_isinteger(L, 1)) {
		time.unix_seconds = lua_tointeger(L, 1);
	} else if (!datetime_parse_rfc3339(
		       luaL_checkstring(L, 1), &time, &err)) {
		(void)err_prefix(&err, "t.set_time: expected unix seconds or "
				       "'2026-11-23T09:00:00Z'");
		rehearsal_raise(L, &err);
	}
	clock_shift_wall(time.unix_seconds * 1000 - clock_unix_ms());
	return 0;
}

/* ---- the table ---- */

static const luaL_Reg functions[] = {
    {"guard", rehearsal_guard},
    {"set_policy", l_set_policy},
    {"set_policy_text", l_set_policy_text},
    {"set_zone", l_set_zone},
    {"check", l_check},
    {"check_text", l_check_text},
    {"connect", l_connect},
    {"close", l_close},
    {"greeting", l_greeting},
    {"ehlo", l_ehlo},
    {"mail", l_mail},
    {"rcpt", l_rcpt},
    {"message", l_message},
    {"rset", l_rset},
    {"set_auth", l_set_auth},
    {"set_tls", l_set_tls},
    {"meta", l_meta},
    {"params", l_params},
    {"domain", l_domain},
    {"stored", l_stored},
    {"stored_count", l_stored_count},
    {"records", l_records},
    {"log", l_log},
    {"note", l_note},
    {"queue_parse", rehearsal_queue_parse},
    {"queue_compose", rehearsal_queue_compose},
    {"route", rehearsal_route},
    {"suppress", rehearsal_suppress},
    {"now", l_now},
    {"advance", l_advance},
    {"set_time", l_set_time},
    {NULL, NULL},
};

void rehearsal_core_open(struct rehearsal *r)
{
	luaL_newlib(r->L, functions);
}

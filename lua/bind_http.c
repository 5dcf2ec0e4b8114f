/*
 * bind_http.c - kumo.http: a client for webhooks and the like
 *
 * (policy language, 16)  A client belongs to its state and keeps connections
 * there.  A request is an object that its methods fill and return; send() waits
 * no longer than the request's timeout and the event's time.  What comes back
 * is counted as memory of the state and is bounded before it arrives.
 */
#include "base/base64.h"
#include "base/clock.h"
#include "lua/bind.h"
#include "lua/bind_http_response.h"
#include "lua/script_table.h"
#include "lua/script_value.h"
#include "net/http.h"
#include "policy/param_rows.h"

#define CLIENT "penstock.http_client"
#define REQUEST "penstock.http_request"
#define MOST_BODY (16 << 20)
#define MOST_FIELDS 1000
#define CLIENT_SIZE (64 << 10) /* about what libcurl keeps */

/* ---- the client ---- */

struct client {
	struct http_client *http; /* NULL: closed */
	int64_t timeout_ms;
};

struct client_config {
	uint64_t given[2];
	const char *user_agent;
	struct duration timeout, pool_idle_timeout;
	bool accept_invalid_certs, connection_verbose;
};

#define S client_config
static const struct param_spec client_specs[] = {
    P_STRING(S, user_agent, .help = "Instead of penstock/VERSION."),
    P_DURATION(S, timeout, .fallback = "60s", .help = "For a whole request."),
    P_DURATION(S, pool_idle_timeout, .fallback = "90s",
	.help = "An unused connection is closed after it."),
    P_BOOL(S, accept_invalid_certs, .fallback = "false",
	.help = "Verify nothing."),
    P_BOOL(S, connection_verbose, .fallback = "false",
	.help = "Log how connections are made, as debug lines."),
};
#undef S

static const struct param_set client_params = {
    .name = "http.build_client",
    .intro = "A client for HTTP.",
    .record_size = sizeof(struct client_config),
    .specs = client_specs,
    .count = COUNT(client_specs),
};

/* ({...}): a client */
static int l_build_client(lua_State *L)
{
	const struct client_config *config;
	struct client *client;
	struct arena *arena;
	struct err err = {0};
	void *record;

	lua_settop(L, 1);
	if (lua_isnil(L, 1)) {
		lua_newtable(L);
		lua_replace(L, 1);
	}
	arena = script_box_arena(L);
	(void)script_params_check(L, 1, &client_params, arena, &record);
	config = record;
	if (config->user_agent && !http_is_field_value(config->user_agent))
		return luaL_error(L, "user_agent: invalid value: it has "
				     "control characters");
	client = lua_newuserdatauv(L, sizeof *client, 0);
	memset(client, 0, sizeof *client);
	luaL_setmetatable(L, CLIENT);
	script_charge(L, CLIENT_SIZE);
	client->timeout_ms = config->timeout.ms;
	client->http = http_client_new(
	    &(struct http_options){
		.user_agent = config->user_agent,
		.idle_ms = config->pool_idle_timeout.ms,
		.accept_invalid_certs = config->accept_invalid_certs,
		.verbose = config->connection_verbose,
	    },
	    &err);
	if (client->http)
		return 1;
	script_uncharge(L, CLIENT_SIZE);
	script_raise(L, &err);
}

static int l_client_close(lua_State *L)
{
	struct client *client = luaL_checkudata(L, 1, CLIENT);

	if (client->http)
		script_uncharge(L, CLIENT_SIZE);
	http_client_free(client->http);
	client->http = NULL;
	return 0;
}

/* ---- the request ---- */

/* Its parts are Lua's: user values of the object. */
enum part {
	PART_CLIENT = 1,
	PART_URL,
	PART_BODY,
	PART_FIELDS, /* array of name, value, name, value, ... */
};

struct request {
	const char *method;
	int64_t timeout_ms;
	bool is_sent;
};

static int request_new(lua_State *L, const char *method)
{
	struct client *client = luaL_checkudata(L, 1, CLIENT);
	struct request *request;
	const char *url;
	size_t len;

	if (!client->http)
		return luaL_error(L, "this client was closed");
	url = luaL_checklstring(L, 2, &len);
	luaL_argcheck(L, strlen(url) == len, 2, "a URL without NUL");
	request = lua_newuserdatauv(L, sizeof *request, PART_FIELDS);
	*request = (struct request){method, client->timeout_ms, false};
	luaL_setmetatable(L, REQUEST);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, PART_CLIENT);
	lua_pushvalue(L, 2);
	lua_setiuservalue(L, -2, PART_URL);
	lua_newtable(L);
	lua_setiuservalue(L, -2, PART_FIELDS);
	return 1;
}

static int l_get(lua_State *L)
{
	return request_new(L, "GET");
}

static int l_post(lua_State *L)
{
	return request_new(L, "POST");
}

static int l_put(lua_State *L)
{
	return request_new(L, "PUT");
}

static struct request *check_request(lua_State *L)
{
	struct request *request = luaL_checkudata(L, 1, REQUEST);

	if (request->is_sent)
		luaL_error(L, "this request was sent already");
	return request;
}

/* Text that C can hold; NULL: it has a NUL. */
static const char *plain_text(lua_State *L, int index)
{
	size_t len;
	const char *s = luaL_checklstring(L, index, &len);

	return strlen(s) == len ? s : NULL;
}

/* A field with the name and value at these indices. */
static void add_field(lua_State *L, int name, int value)
{
	const char *n = plain_text(L, name), *v = plain_text(L, value);
	lua_Integer count;

	name = lua_absindex(L, name);
	value = lua_absindex(L, value);
	if (!n || !http_is_token(n))
		luaL_error(L, "invalid value: not a name of a header field");
	if (!v || !http_is_field_value(v))
		luaL_error(L, "invalid value: %s has control characters", n);
	(void)lua_getiuservalue(L, 1, PART_FIELDS);
	count = (lua_Integer)lua_rawlen(L, -1);
	if (count >= 2 * MOST_FIELDS)
		luaL_error(L, "more than %d header fields", MOST_FIELDS);
	lua_pushvalue(L, name);
	lua_rawseti(L, -2, count + 1);
	lua_pushvalue(L, value);
	lua_rawseti(L, -2, count + 2);
	lua_pop(L, 1);
}

static int self(lua_State *L)
{
	lua_settop(L, 1);
	return 1;
}

static int l_header(lua_State *L)
{
	(void)check_request(L);
	luaL_checkstring(L, 2);
	luaL_checkstring(L, 3);
	add_field(L, 2, 3);
	return self(L);
}

static int l_headers(lua_State *L)
{
	(void)check_request(L);
	lua_settop(L, 2);
	script_table_of(L, 2);
	lua_pushnil(L);
	while (lua_next(L, 3)) {
		if (lua_type(L, -2) != LUA_TSTRING ||
		    lua_type(L, -1) != LUA_TSTRING)
			return luaL_argerror(L, 2, "names and values are text");
		add_field(L, -2, -1);
		lua_pop(L, 1);
	}
	return self(L);
}

/* Authorization: `scheme` and the text on top. */
static int add_authorization(lua_State *L, const char *scheme)
{
	lua_pushfstring(L, "%s %s", scheme, lua_tostring(L, -1));
	lua_pushliteral(L, "Authorization");
	add_field(L, -1, -2);
	return self(L);
}

static int l_basic_auth(lua_State *L)
{
	const char *user = luaL_checkstring(L, 2);
	const char *password = luaL_optstring(L, 3, "");
	struct buf *encoded;

	(void)check_request(L);
	luaL_argcheck(L, !strchr(user, ':'), 2, "a colon ends the name");
	lua_settop(L, 3);
	lua_pushfstring(L, "%s:%s", user, password);
	encoded = script_box_buf(L);
	base64_encode(encoded, lua_tostring(L, 4), lua_rawlen(L, 4));
	lua_pushstring(L, buf_str(encoded));
	return add_authorization(L, "Basic");
}

static int l_bearer_auth(lua_State *L)
{
	(void)check_request(L);
	luaL_argcheck(L, plain_text(L, 2) != NULL, 2, "a token without NUL");
	lua_settop(L, 2);
	return add_authorization(L, "Bearer");
}

static int l_body(lua_State *L)
{
	(void)check_request(L);
	luaL_checkstring(L, 2);
	lua_settop(L, 2);
	lua_setiuservalue(L, 1, PART_BODY);
	return self(L);
}

/* The pairs of the table at `index`, sorted by name: what is sent does not
 * depend on a hash. */
static struct http_header *read_pairs(
    lua_State *L, int index, struct arena *arena, size_t *count)
{
	struct http_header *pairs;
	struct value table;
	struct err err = {0};

	if (!script_value_read(L, index, arena, &table, &err))
		script_raise(L, &err);
	*count = table.type == VALUE_MAP ? table.count : 0;
	if (table.type != VALUE_MAP && table.count > 0)
		luaL_argerror(L, index, "a table of names and values");
	pairs = ARENA_ARRAY(arena, struct http_header, *count + 1);
	for (size_t i = 0; i < *count; i++) {
		const struct value *v = &table.entries[i].value;

		pairs[i].name = table.entries[i].key;
		if (v->type == VALUE_STRING && strlen(v->s) == v->len)
			pairs[i].value = v->s;
		else if (v->type == VALUE_INT)
			pairs[i].value =
			    arena_printf(arena, "%lld", (long long)v->i);
		else if (v->type == VALUE_BOOL)
			pairs[i].value = v->b ? "true" : "false";
		else if (v->type == VALUE_NUMBER)
			pairs[i].value = arena_printf(arena, "%.14g", v->n);
		else
			luaL_error(L,
			    "%s: invalid value: text, a number or a boolean "
			    "is wanted",
			    pairs[i].name);
	}
	return pairs;
}

static int l_form_url_encoded(lua_State *L)
{
	struct http_header *pairs;
	struct buf *out;
	size_t count;

	(void)check_request(L);
	lua_settop(L, 2);
	luaL_argexpected(
	    L, lua_istable(L, 2) || lua_isuserdata(L, 2), 2, "table");
	pairs = read_pairs(L, 2, script_box_arena(L), &count);
	out = script_box_buf(L);
	http_form_encode(pairs, count, out);
	lua_pushlstring(L, buf_str(out), out->len);
	lua_setiuservalue(L, 1, PART_BODY);
	lua_pushliteral(L, "Content-Type");
	lua_pushliteral(L, "application/x-www-form-urlencoded");
	add_field(L, -2, -1);
	return self(L);
}

static int l_timeout(lua_State *L)
{
	struct request *request = check_request(L);

	request->timeout_ms = script_check_duration(L, 2);
	return self(L);
}

/* ---- sending ---- */

/* What is sent; all of it lives in Lua's strings. */
static struct http_request read_request(
    lua_State *L, const struct request *request, struct arena *arena)
{
	struct script_state *state = script_state_of(L);
	size_t room =
	    state->limit > state->used ? state->limit - state->used : 0;
	struct http_request out = {.method = request->method};
	struct http_header *headers;
	int64_t now = clock_now_ms(), left = state->deadline - now;

	(void)lua_getiuservalue(L, 1, PART_URL);
	out.url = lua_tostring(L, -1);
	(void)lua_getiuservalue(L, 1, PART_BODY);
	out.body = lua_tolstring(L, -1, &out.body_len);
	(void)lua_getiuservalue(L, 1, PART_FIELDS);
	out.header_count = lua_rawlen(L, -1) / 2;
	headers = ARENA_ARRAY(arena, struct http_header, out.header_count + 1);
	for (size_t i = 0; i < out.header_count; i++) {
		lua_rawgeti(L, -1, (lua_Integer)i * 2 + 1);
		lua_rawgeti(L, -2, (lua_Integer)i * 2 + 2);
		/* The array holds them. */
		headers[i].name = lua_tostring(L, -2);
		headers[i].value = lua_tostring(L, -1);
		lua_pop(L, 2);
	}
	out.headers = headers;
	out.deadline =
	    now + (request->timeout_ms < left ? request->timeout_ms : left);
	/* Once more for the Lua string. */
	out.most_body = room / 2 < MOST_BODY ? room / 2 : MOST_BODY;
	return out;
}

/* Waits for the answer.  Raises when there is none. */
static int l_send(lua_State *L)
{
	struct request *request = check_request(L);
	struct http_request sent;
	struct client *client;
	struct bind_http_response *r;
	struct err err = {0};
	bool ok;

	lua_settop(L, 1);
	request->is_sent = true;
	(void)lua_getiuservalue(L, 1, PART_CLIENT);
	client = luaL_checkudata(L, -1, CLIENT);
	if (!client->http)
		return luaL_error(L, "this client was closed");
	r = bind_http_response_push(L);
	sent = read_request(L, request, r->arena);
	ok = http_send(client->http, &sent, r->arena, &r->http, &err);
	script_check_time(L);
	if (!ok) {
		(void)err_prefix(&err, "http");
		script_raise(L, &err);
	}
	r->charged = r->http.body.len + arena_used(r->arena);
	script_charge(L, r->charged);
	lua_settop(L, 3); /* request, client, response */
	return 1;
}

/* ---- URLs ---- */

/* (base, {name = value}): with the parameters in its query */
static int l_build_url(lua_State *L)
{
	const char *base = plain_text(L, 1);
	struct http_header *pairs = NULL;
	size_t count = 0;
	struct buf *out;
	struct err err = {0};

	luaL_argcheck(L, base != NULL, 1, "a URL without NUL");
	lua_settop(L, 2);
	if (!lua_isnil(L, 2))
		pairs = read_pairs(L, 2, script_box_arena(L), &count);
	out = script_box_buf(L);
	if (!http_build_url(base, pairs, count, out, &err))
		script_raise(L, &err);
	lua_pushlstring(L, buf_str(out), out->len);
	return 1;
}

static const char *const missing[] = {"form_multipart_data", "aws_sign_v4"};

static int l_missing(lua_State *L)
{
	return luaL_error(L, "request:%s is not supported yet",
	    lua_tostring(L, lua_upvalueindex(1)));
}

static const luaL_Reg client_methods[] = {
    /* (url): a request */
    {"get", l_get},
    {"post", l_post},
    {"put", l_put},
    /* (): its connections too */
    {"close", l_client_close},
    {NULL, NULL},
};

/* All but send return the request. */
static const luaL_Reg request_methods[] = {
    /* (name, value) */
    {"header", l_header},
    /* ({name = value}) */
    {"headers", l_headers},
    /* (user [, password]) */
    {"basic_auth", l_basic_auth},
    /* (token) */
    {"bearer_auth", l_bearer_auth},
    /* (bytes) */
    {"body", l_body},
    /* ({name = value}): the body, and its Content-Type */
    {"form_url_encoded", l_form_url_encoded},
    /* (duration) */
    {"timeout", l_timeout},
    /* (): a response */
    {"send", l_send},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"build_client", l_build_client},
    {"build_url", l_build_url},
    {NULL, NULL},
};

/* Methods of a request that only say that they are missing. */
static void add_missing(lua_State *L)
{
	luaL_getmetatable(L, REQUEST);
	lua_getfield(L, -1, "__index");
	for (size_t i = 0; i < COUNT(missing); i++) {
		lua_pushstring(L, missing[i]);
		lua_pushcclosure(L, l_missing, 1);
		lua_setfield(L, -2, missing[i]);
	}
	lua_pop(L, 2);
}

void bind_http_open(lua_State *L)
{
	script_table_class(L, CLIENT, client_methods, l_client_close);
	script_table_class(L, REQUEST, request_methods, NULL);
	bind_http_response_open(L);
	add_missing(L);
	luaL_getsubtable(L, -1, "http");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}

/*
 * bind_http_response.c - the methods of a response
 */
#include "lua/bind_http_response.h"

#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_table.h"

#define RESPONSE "penstock.http_response"
#define HEADERS "penstock.http_headers"

static int l_response_gc(lua_State *L)
{
	struct bind_http_response *r = luaL_checkudata(L, 1, RESPONSE);

	if (r->charged)
		script_uncharge(L, r->charged);
	buf_release(&r->http.body);
	arena_unref(r->arena);
	memset(r, 0, sizeof *r);
	return 0;
}

struct bind_http_response *bind_http_response_push(lua_State *L)
{
	struct bind_http_response *r = lua_newuserdatauv(L, sizeof *r, 0);

	memset(r, 0, sizeof *r);
	luaL_setmetatable(L, RESPONSE);
	r->arena = arena_new(0);
	return r;
}

static const struct bind_http_response *check_response(lua_State *L)
{
	return luaL_checkudata(L, 1, RESPONSE);
}

static int l_status_code(lua_State *L)
{
	lua_pushinteger(L, check_response(L)->http.status);
	return 1;
}

static int l_status_reason(lua_State *L)
{
	lua_pushstring(L, check_response(L)->http.reason);
	return 1;
}

/* status_is_*: the first digit is the upvalue. */
static int l_status_is(lua_State *L)
{
	lua_pushboolean(L, check_response(L)->http.status / 100 ==
			       lua_tointeger(L, lua_upvalueindex(1)));
	return 1;
}

static const struct {
	const char *name;
	int digit;
} classes[] = {
    {"status_is_informational", 1},
    {"status_is_success", 2},
    {"status_is_redirection", 3},
    {"status_is_client_error", 4},
    {"status_is_server_error", 5},
};

/* headers()[name] in any case: the table itself has them in lower case. */
static int l_headers_index(lua_State *L)
{
	size_t len;
	const char *name;
	struct buf *lower;

	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	name = lua_tolstring(L, 2, &len);
	lower = script_box_buf(L);
	buf_add(lower, name, len);
	buf_addch(lower, '\0');
	lua_pushstring(L, str_lower(lower->data));
	lua_rawget(L, 1);
	return 1;
}

/* Fields of one name are one, joined with commas (RFC 9110, 5.3). */
static int l_response_headers(lua_State *L)
{
	const struct http_response *http = &check_response(L)->http;

	lua_newtable(L);
	for (size_t i = 0; i < http->header_count; i++) {
		const struct http_header *h = &http->headers[i];

		lua_pushstring(L, h->name);
		lua_pushvalue(L, -1);
		if (lua_rawget(L, -3) == LUA_TNIL)
			lua_pushstring(L, h->value);
		else
			lua_pushfstring(
			    L, "%s, %s", lua_tostring(L, -1), h->value);
		lua_remove(L, -2);
		lua_rawset(L, -3);
	}
	luaL_setmetatable(L, HEADERS);
	return 1;
}

/* As the header says; nil without. */
static int l_content_length(lua_State *L)
{
	const struct http_response *http = &check_response(L)->http;
	int64_t length;

	for (size_t i = 0; i < http->header_count; i++)
		if (str_eq(http->headers[i].name, "content-length") &&
		    str_to_int(http->headers[i].value, &length)) {
			lua_pushinteger(L, length);
			return 1;
		}
	return 0;
}

static struct buf *take_body(lua_State *L)
{
	struct bind_http_response *r = luaL_checkudata(L, 1, RESPONSE);

	if (r->is_taken)
		luaL_error(L, "the body of this response was taken already");
	r->is_taken = true;
	return &r->http.body;
}

static int l_bytes(lua_State *L)
{
	struct buf *body = take_body(L);

	lua_pushlstring(L, buf_str(body), body->len);
	buf_release(body);
	return 1;
}

/* As UTF-8: what is none becomes U+FFFD. */
static int l_text(lua_State *L)
{
	struct buf *body = take_body(L);
	const char *p = buf_str(body), *end = p + body->len;
	struct buf *out;

	if (str_is_utf8(p, body->len)) {
		lua_pushlstring(L, p, body->len);
		buf_release(body);
		return 1;
	}
	out = script_box_buf(L);
	while (p < end) {
		size_t step = str_utf8_step(p, (size_t)(end - p));

		if (step)
			buf_add(out, p, step);
		else
			buf_addstr(out, "\xEF\xBF\xBD");
		p += step ? step : 1;
	}
	lua_pushlstring(L, buf_str(out), out->len);
	buf_release(body);
	buf_release(out);
	return 1;
}

static const luaL_Reg response_methods[] = {
    {"status_code", l_status_code},
    {"status_reason", l_status_reason},
    {"headers", l_response_headers},
    {"content_length", l_content_length},
    {"text", l_text},
    {"bytes", l_bytes},
    {NULL, NULL},
};

void bind_http_response_open(lua_State *L)
{
	script_table_class(L, RESPONSE, response_methods, l_response_gc);
	luaL_getmetatable(L, RESPONSE);
	lua_getfield(L, -1, "__index");
	for (size_t i = 0; i < COUNT(classes); i++) {
		lua_pushinteger(L, classes[i].digit);
		lua_pushcclosure(L, l_status_is, 1);
		lua_setfield(L, -2, classes[i].name);
	}
	lua_pop(L, 2);
	luaL_newmetatable(L, HEADERS);
	lua_pushcfunction(L, l_headers_index);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

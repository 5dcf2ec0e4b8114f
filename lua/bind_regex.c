/*
 * bind_regex.c - kumo.regex and kumo.regex_set_map
 */
#include "base/array.h"
#include "base/regex.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_match.h"
#include "lua/script_table.h"

#define REGEX "penstock.regex"
#define SET "penstock.regex_set_map"
#define MATCHES_A_LOOK 256

/* ---- one expression ---- */

struct held {
	struct regex *regex;
	struct regex_match *match;
	size_t charged;
};

/* Pushes the compiled expression. */
static struct held *push_compiled(lua_State *L, const char *pattern, size_t len)
{
	struct held *held = lua_newuserdatauv(L, sizeof *held, 0);
	struct err err = {0};

	memset(held, 0, sizeof *held);
	luaL_setmetatable(L, REGEX);
	held->regex = regex_compile(pattern, len, &err);
	if (!held->regex)
		script_raise(L, &err);
	held->match = regex_match_new(held->regex);
	held->charged = regex_size(held->regex);
	script_charge(L, held->charged);
	return held;
}

static int l_gc(lua_State *L)
{
	struct held *held = lua_touserdata(L, 1);

	if (held->charged)
		script_uncharge(L, held->charged);
	regex_match_free(held->match);
	regex_free(held->regex);
	memset(held, 0, sizeof *held);
	return 0;
}

/* What the methods work on: the object at 1, the text at 2. */
struct search {
	lua_State *L;
	const struct held *held;
	const char *text;
	size_t len, at;    /* where to look next */
	size_t start, end; /* of the match */
	unsigned count;
};

static struct search search_begin(lua_State *L)
{
	struct search s = {.L = L};

	s.held = luaL_checkudata(L, 1, REGEX);
	s.text = luaL_checklstring(L, 2, &s.len);
	match_look(L, s.len);
	return s;
}

/* The next match that does not overlap; an empty one moves on by a character.
 */
static bool search_next(struct search *s)
{
	struct err err = {0};
	size_t step;

	if (s->at > s->len)
		return false;
	if (++s->count % MATCHES_A_LOOK == 0)
		script_check_time(s->L);
	switch (regex_find(
	    s->held->regex, s->held->match, s->text, s->len, s->at, &err)) {
	case REGEX_NONE:
		return false;
	case REGEX_FAILED:
		script_check_time(s->L);
		script_raise(s->L, &err);
	case REGEX_MATCH:
		break;
	}
	(void)regex_group(s->held->match, 0, &s->start, &s->end);
	s->at = s->end;
	if (s->start == s->end) {
		step = str_utf8_step(s->text + s->end, s->len - s->end);
		s->at += step ? step : 1;
	}
	return true;
}

static void push_range(const struct search *s, size_t start, size_t end)
{
	lua_pushlstring(s->L, s->text + start, end - start);
}

static int l_is_match(lua_State *L)
{
	struct search s = search_begin(L);

	lua_pushboolean(L, search_next(&s));
	return 1;
}

static int l_find(lua_State *L)
{
	struct search s = search_begin(L);

	if (search_next(&s))
		push_range(&s, s.start, s.end);
	else
		lua_pushnil(L);
	return 1;
}

static int l_find_all(lua_State *L)
{
	struct search s = search_begin(L);

	lua_newtable(L);
	for (lua_Integer n = 1; search_next(&s); n++) {
		push_range(&s, s.start, s.end);
		lua_rawseti(L, -2, n);
	}
	return 1;
}

static int l_captures(lua_State *L)
{
	struct search s = search_begin(L);
	size_t start, end, group;

	if (!search_next(&s)) {
		lua_pushnil(L);
		return 1;
	}
	lua_newtable(L);
	for (size_t i = 0; i <= regex_groups(s.held->regex); i++)
		if (regex_group(s.held->match, i, &start, &end)) {
			push_range(&s, start, end);
			lua_rawseti(L, -2, (lua_Integer)i);
		}
	for (size_t i = 0; i < regex_names(s.held->regex); i++) {
		const char *name = regex_name(s.held->regex, i, &group);

		if (regex_group(s.held->match, group, &start, &end)) {
			push_range(&s, start, end);
			lua_setfield(L, -2, name);
		}
	}
	return 1;
}

/* ---- replacing ---- */

static void add_group(
    const struct search *s, luaL_Buffer *out, const char *name, size_t len)
{
	char copy[64];
	size_t start, end, group = 0;
	int64_t number;

	if (len >= sizeof copy)
		return;
	memcpy(copy, name, len);
	copy[len] = '\0';
	if (str_to_int(copy, &number) && number >= 0) {
		group = (size_t)number;
		if (regex_group(s->held->match, group, &start, &end))
			luaL_addlstring(out, s->text + start, end - start);
		return;
	}
	for (size_t i = 0; i < regex_names(s->held->regex); i++)
		if (str_eq(regex_name(s->held->regex, i, &group), copy) &&
		    regex_group(s->held->match, group, &start, &end))
			luaL_addlstring(out, s->text + start, end - start);
}

/* $1, $name, ${name}; $$ is a dollar; groups that do not exist are empty. */
static void expand(const struct search *s, luaL_Buffer *out, const char *with)
{
	static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789_";

	while (*with) {
		const char *dollar = strchr(with, '$');
		size_t len;

		if (!dollar) {
			luaL_addstring(out, with);
			return;
		}
		luaL_addlstring(out, with, (size_t)(dollar - with));
		with = dollar + 1;
		if (*with == '$') {
			luaL_addchar(out, *with++);
		} else if (*with == '{' && strchr(with, '}')) {
			len = strcspn(++with, "}");
			add_group(s, out, with, len);
			with += len + 1;
		} else if ((len = strspn(with, word)) > 0) {
			add_group(s, out, with, len);
			with += len;
		} else {
			luaL_addchar(out, '$');
		}
	}
}

static int replace(lua_State *L, bool all)
{
	struct search s = search_begin(L);
	const char *with = luaL_checkstring(L, 3);
	size_t copied = 0;
	luaL_Buffer out;

	luaL_buffinit(L, &out);
	while (search_next(&s)) {
		luaL_addlstring(&out, s.text + copied, s.start - copied);
		expand(&s, &out, with);
		copied = s.end;
		if (!all)
			break;
	}
	luaL_addlstring(&out, s.text + copied, s.len - copied);
	luaL_pushresult(&out);
	return 1;
}

static int l_replace(lua_State *L)
{
	return replace(L, false);
}

static int l_replace_all(lua_State *L)
{
	return replace(L, true);
}

static int l_split(lua_State *L)
{
	struct search s = search_begin(L);
	size_t from = 0;
	lua_Integer n = 0;

	lua_newtable(L);
	while (search_next(&s)) {
		push_range(&s, from, s.start);
		lua_rawseti(L, -2, ++n);
		from = s.end;
	}
	push_range(&s, from, s.len);
	lua_rawseti(L, -2, ++n);
	return 1;
}

/* ---- the module ---- */

static int l_compile(lua_State *L)
{
	size_t len;
	const char *pattern = luaL_checklstring(L, 1, &len);

	(void)push_compiled(L, pattern, len);
	return 1;
}

static int l_escape(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	struct buf *out = script_box_buf(L);

	regex_escape(out, text, len);
	lua_pushlstring(L, buf_str(out), out->len);
	buf_release(out);
	return 1;
}

/* ---- regex_set_map ---- */

/* User value 1: {expression, value, expression, value, ...} */
static int l_set_new(lua_State *L)
{
	lua_Integer n = 0;

	lua_settop(L, 1);
	script_table_of(L, 1); /* 2 */
	(void)lua_newuserdatauv(L, 0, 1);
	lua_newtable(L); /* 4 */
	lua_pushnil(L);
	while (lua_next(L, 2)) {
		const char *pattern;
		size_t len;

		if (lua_type(L, -2) != LUA_TSTRING)
			return luaL_error(L, "regex_set_map: a key must be a "
					     "regular expression");
		lua_rawseti(L, 4, n + 2);
		pattern = lua_tolstring(L, -1, &len);
		(void)push_compiled(L, pattern, len);
		lua_rawseti(L, 4, n + 1);
		n += 2;
	}
	lua_setiuservalue(L, 3, 1);
	luaL_setmetatable(L, SET);
	return 1;
}

static int l_set_index(lua_State *L)
{
	lua_Integer count;

	luaL_checkudata(L, 1, SET);
	lua_settop(L, 2);
	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	lua_getiuservalue(L, 1, 1);
	count = (lua_Integer)lua_rawlen(L, 3);
	for (lua_Integer i = 1; i < count; i += 2) {
		lua_pushcfunction(L, l_is_match);
		lua_rawgeti(L, 3, i);
		lua_pushvalue(L, 2);
		lua_call(L, 2, 1);
		if (lua_toboolean(L, -1)) {
			lua_rawgeti(L, 3, i + 1);
			return 1;
		}
		lua_pop(L, 1);
	}
	return 0;
}

static int l_set_newindex(lua_State *L)
{
	return luaL_error(L, "regex_set_map: it cannot be changed");
}

static const luaL_Reg functions[] = {
    /* (pattern): a regular expression; raises when it is none */
    {"compile", l_compile},
    /* (text): a pattern that matches just this text */
    {"escape", l_escape},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    /* (text): boolean */
    {"is_match", l_is_match},
    /* (text): what matched, or nil */
    {"find", l_find},
    /* (text): array of what matched */
    {"find_all", l_find_all},
    /* (text): groups by number and name, [0] is the whole; or nil */
    {"captures", l_captures},
    /* (text, with): the first match replaced; $1, ${name} */
    {"replace", l_replace},
    /* (text, with): all of them */
    {"replace_all", l_replace_all},
    /* (text): array of what is between the matches */
    {"split", l_split},
    {NULL, NULL},
};

static const luaL_Reg set_functions[] = {
    /* (table): set[text] is the value of the pattern that matches, or nil */
    {"new", l_set_new},
    {NULL, NULL},
};

static const luaL_Reg set_methods[] = {
    {"__index", l_set_index},
    {"__newindex", l_set_newindex},
    {NULL, NULL},
};

void bind_regex_open(lua_State *L)
{
	script_table_class(L, REGEX, methods, l_gc);
	script_table_type(L, SET, set_methods);

	luaL_getsubtable(L, -1, "regex");
	luaL_setfuncs(L, functions, 0);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "regex"); /* require 'regex' */
	lua_pop(L, 2);
	luaL_getsubtable(L, -1, "regex_set_map");
	luaL_setfuncs(L, set_functions, 0);
	lua_pop(L, 1);
}

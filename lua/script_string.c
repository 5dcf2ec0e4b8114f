/*
 * script_string.c - string.find, match, gmatch and gsub, inside the time limit
 *
 * Plain searches are memmem(3), which is linear.
 */
#include <ctype.h>
#include <lauxlib.h>

#include "lua/script_match.h"
#include "lua/script_state.h"

#define SPECIALS "^$*+?.([%-"

/* ---- captures as Lua values ---- */

static void push_capture(struct match *m, int i, const char *s, const char *end)
{
	if (i >= m->level) {
		if (i != 0)
			luaL_error(m->L, "invalid capture index %%%d", i + 1);
		lua_pushlstring(m->L, s, (size_t)(end - s));
	} else if (m->captures[i].len == MATCH_POSITION) {
		lua_pushinteger(m->L, m->captures[i].start - m->src + 1);
	} else if (m->captures[i].len == MATCH_OPEN) {
		luaL_error(m->L, "unfinished capture");
	} else {
		lua_pushlstring(
		    m->L, m->captures[i].start, (size_t)m->captures[i].len);
	}
}

/* All captures; the whole match when there are none and s is given. */
static int push_captures(struct match *m, const char *s, const char *end)
{
	int n = m->level == 0 && s ? 1 : m->level;

	luaL_checkstack(m->L, n, "too many captures");
	for (int i = 0; i < n; i++)
		push_capture(m, i, s, end);
	return n;
}

/* ---- find and match ---- */

/* The 0-based start that `init` means; may lie beyond len. */
static size_t start_of(lua_Integer init, size_t len)
{
	if (init > 0)
		return (size_t)init - 1;
	if (init == 0 || init < -(lua_Integer)len)
		return 0;
	return len + (size_t)init;
}

static bool has_specials(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] && strchr(SPECIALS, p[i]))
			return true;
	return false;
}

static int search(lua_State *L, bool find)
{
	size_t len, pat_len, init;
	const char *src = luaL_checklstring(L, 1, &len);
	const char *pat = luaL_checklstring(L, 2, &pat_len);
	struct match m;
	bool anchored;

	match_look(L, len);
	init = start_of(luaL_optinteger(L, 3, 1), len);
	if (init > len) {
		luaL_pushfail(L);
		return 1;
	}
	if (find && (lua_toboolean(L, 4) || !has_specials(pat, pat_len))) {
		const char *at =
		    pat_len == 0 ? src + init
				 : memmem(src + init, len - init, pat, pat_len);

		if (!at) {
			luaL_pushfail(L);
			return 1;
		}
		lua_pushinteger(L, at - src + 1);
		lua_pushinteger(L, at - src + (lua_Integer)pat_len);
		return 2;
	}

	match_start(&m, L, src, len, pat, pat_len);
	anchored = pat_len > 0 && *pat == '^';
	if (anchored)
		pat++;
	for (const char *s = src + init; s <= m.src_end; s++) {
		const char *end = match_at(&m, s, pat);

		if (end && find) {
			lua_pushinteger(L, s - src + 1);
			lua_pushinteger(L, end - src);
			return push_captures(&m, NULL, NULL) + 2;
		}
		if (end)
			return push_captures(&m, s, end);
		if (anchored)
			break;
	}
	luaL_pushfail(L);
	return 1;
}

static int l_find(lua_State *L)
{
	return search(L, true);
}

static int l_match(lua_State *L)
{
	return search(L, false);
}

/* ---- gmatch ---- */

/* Upvalues: subject, pattern, next start, end of the last match (or -1). */
static int l_gmatch_next(lua_State *L)
{
	size_t len, pat_len;
	const char *src = lua_tolstring(L, lua_upvalueindex(1), &len);
	const char *pat = lua_tolstring(L, lua_upvalueindex(2), &pat_len);
	lua_Integer from = lua_tointeger(L, lua_upvalueindex(3));
	lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
	struct match m;

	match_start(&m, L, src, len, pat, pat_len);
	for (; from <= (lua_Integer)len; from++) {
		const char *s = src + from;
		const char *end = match_at(&m, s, pat);

		/* An empty match right after a match is the same place. */
		if (!end || end - src == last)
			continue;
		lua_pushinteger(L, end - src);
		lua_copy(L, -1, lua_upvalueindex(3));
		lua_replace(L, lua_upvalueindex(4));
		return push_captures(&m, s, end);
	}
	return 0;
}

static int l_gmatch(lua_State *L)
{
	size_t len, init;

	luaL_checklstring(L, 1, &len);
	luaL_checkstring(L, 2);
	init = start_of(luaL_optinteger(L, 3, 1), len);
	if (init > len)
		init = len + 1;
	lua_settop(L, 2);
	lua_pushinteger(L, (lua_Integer)init);
	lua_pushinteger(L, -1);
	lua_pushcclosure(L, l_gmatch_next, 4);
	return 1;
}

/* ---- gsub ---- */

static void add_template(struct match *m, luaL_Buffer *out, const char *s,
    const char *end, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '%') {
			luaL_addchar(out, text[i]);
			continue;
		}
		i++;
		if (i < len && text[i] == '%') {
			luaL_addchar(out, '%');
		} else if (i < len && text[i] == '0') {
			luaL_addlstring(out, s, (size_t)(end - s));
		} else if (i < len && isdigit((unsigned char)text[i])) {
			push_capture(m, text[i] - '1', s, end);
			luaL_tolstring(m->L, -1, NULL);
			lua_remove(m->L, -2);
			luaL_addvalue(out);
		} else {
			luaL_error(
			    m->L, "invalid use of '%%' in replacement string");
		}
	}
}

/* Appends what replaces s..end; false when it stays as it was. */
static bool add_replacement(
    struct match *m, luaL_Buffer *out, const char *s, const char *end, int type)
{
	lua_State *L = m->L;
	size_t len;
	const char *text;

	switch (type) {
	case LUA_TFUNCTION:
		lua_pushvalue(L, 3);
		lua_call(L, push_captures(m, s, end), 1);
		break;
	case LUA_TTABLE:
		push_capture(m, 0, s, end);
		lua_gettable(L, 3);
		break;
	default:
		text = lua_tolstring(L, 3, &len);
		add_template(m, out, s, end, text, len);
		return true;
	}
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		luaL_addlstring(out, s, (size_t)(end - s));
		return false;
	}
	if (!lua_isstring(L, -1))
		luaL_error(L, "invalid replacement value (a %s)",
		    luaL_typename(L, -1));
	luaL_addvalue(out);
	return true;
}

static int l_gsub(lua_State *L)
{
	size_t len, pat_len;
	const char *src = luaL_checklstring(L, 1, &len);
	const char *pat = luaL_checklstring(L, 2, &pat_len);
	const char *s = src, *last = NULL;
	int type = lua_type(L, 3);
	lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)len + 1);
	lua_Integer n = 0;
	bool anchored = pat_len > 0 && *pat == '^', changed = false;
	struct match m;
	luaL_Buffer out;

	luaL_argexpected(L,
	    type == LUA_TNUMBER || type == LUA_TSTRING ||
		type == LUA_TFUNCTION || type == LUA_TTABLE,
	    3, "string/function/table");
	match_start(&m, L, src, len, pat, pat_len);
	if (anchored)
		pat++;
	luaL_buffinit(L, &out);
	while (n < most) {
		const char *end = match_at(&m, s, pat);

		if (end && end != last) {
			n++;
			changed =
			    add_replacement(&m, &out, s, end, type) || changed;
			s = last = end;
		} else if (s < m.src_end) {
			luaL_addchar(&out, *s++);
		} else {
			break;
		}
		if (anchored)
			break;
	}
	if (!changed) {
		lua_pushvalue(L, 1);
	} else {
		luaL_addlstring(&out, s, (size_t)(m.src_end - s));
		luaL_pushresult(&out);
	}
	lua_pushinteger(L, n);
	return 2;
}

static const luaL_Reg functions[] = {
    {"find", l_find},
    {"match", l_match},
    {"gmatch", l_gmatch},
    {"gsub", l_gsub},
    {NULL, NULL},
};

void script_match_open(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}

/*
 * bind_string.c - kumo.string: plain text, no patterns
 */
#include <string.h>

#include "lua/bind.h"
#include "lua/script_match.h"
#include "lua/script_value.h"
#include "policy/template.h"

#define WRAP_AT 75
#define WRAP_HARD 900
#define STEPS_A_LOOK 4096

struct text {
	const char *s;
	size_t len;
};

static struct text check_text(lua_State *L, int index)
{
	struct text t;

	t.s = luaL_checklstring(L, index, &t.len);
	return t;
}

/* Where `what` is in `in` from `at` on; NULL: nowhere. */
static const char *find(struct text in, size_t at, struct text what)
{
	if (at > in.len)
		return NULL;
	return what.len == 0 ? in.s + at
			     : memmem(in.s + at, in.len - at, what.s, what.len);
}

static const char *find_last(lua_State *L, struct text in, struct text what)
{
	if (what.len > in.len)
		return NULL;
	for (size_t at = in.len - what.len + 1; at-- > 0;) {
		if (at % STEPS_A_LOOK == 0)
			script_check_time(L);
		if (memcmp(in.s + at, what.s, what.len) == 0)
			return in.s + at;
	}
	return NULL;
}

/* ---- replace ---- */

static int replace(lua_State *L, lua_Integer most)
{
	struct text in = check_text(L, 1), from = check_text(L, 2);
	struct text to = check_text(L, 3);
	const char *found;
	luaL_Buffer out;
	size_t at = 0;

	match_look(L, in.len);
	luaL_buffinit(L, &out);
	while (most-- > 0 && (found = find(in, at, from)) != NULL) {
		size_t start = (size_t)(found - in.s);

		luaL_addlstring(&out, in.s + at, start - at);
		luaL_addlstring(&out, to.s, to.len);
		at = start + from.len;
		if (from.len == 0) { /* between all characters */
			if (at == in.len)
				goto done;
			luaL_addchar(&out, in.s[at++]);
		}
	}
	luaL_addlstring(&out, in.s + at, in.len - at);
done:
	luaL_pushresult(&out);
	return 1;
}

static int l_replace(lua_State *L)
{
	return replace(L, LUA_MAXINTEGER);
}

static int l_replacen(lua_State *L)
{
	return replace(L, luaL_checkinteger(L, 4));
}

/* ---- split ---- */

static struct text check_separator(lua_State *L, int index)
{
	struct text separator = check_text(L, index);

	luaL_argcheck(L, separator.len > 0, index, "empty separator");
	return separator;
}

static int split(
    lua_State *L, struct text in, struct text separator, lua_Integer most)
{
	const char *found;
	lua_Integer n = 0;
	size_t at = 0;

	match_look(L, in.len);
	lua_newtable(L);
	if (most < 1)
		return 1;
	while (n + 1 < most && (found = find(in, at, separator)) != NULL) {
		size_t start = (size_t)(found - in.s);

		lua_pushlstring(L, in.s + at, start - at);
		lua_rawseti(L, -2, ++n);
		at = start + separator.len;
	}
	lua_pushlstring(L, in.s + at, in.len - at);
	lua_rawseti(L, -2, ++n);
	return 1;
}

/* From the right, the rightmost first. */
static int rsplit(
    lua_State *L, struct text in, struct text separator, lua_Integer most)
{
	const char *found;
	lua_Integer n = 0;

	match_look(L, in.len);
	lua_newtable(L);
	if (most < 1)
		return 1;
	while (n + 1 < most && (found = find_last(L, in, separator)) != NULL) {
		const char *rest = found + separator.len;

		lua_pushlstring(L, rest, (size_t)(in.s + in.len - rest));
		lua_rawseti(L, -2, ++n);
		in.len = (size_t)(found - in.s);
	}
	lua_pushlstring(L, in.s, in.len);
	lua_rawseti(L, -2, ++n);
	return 1;
}

static int l_split(lua_State *L)
{
	return split(
	    L, check_text(L, 1), check_separator(L, 2), LUA_MAXINTEGER);
}

static int l_splitn(lua_State *L)
{
	return split(L, check_text(L, 1), check_separator(L, 3),
	    luaL_checkinteger(L, 2));
}

static int l_rsplit(lua_State *L)
{
	return rsplit(
	    L, check_text(L, 1), check_separator(L, 2), LUA_MAXINTEGER);
}

static int l_rsplitn(lua_State *L)
{
	return rsplit(L, check_text(L, 1), check_separator(L, 3),
	    luaL_checkinteger(L, 2));
}

/* The length of the white space that s begins with; 0: none.  With `wide` the
 * spaces of Unicode too. */
static size_t space_at(const char *s, size_t len, bool wide)
{
	static const char *const spaces[] = {"\xc2\x85", "\xc2\xa0",
	    "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
	    "\xe2\x81\x9f", "\xe3\x80\x80"};

	if (len == 0)
		return 0;
	if (*s == ' ' || (*s >= '\t' && *s <= '\r' && (wide || *s != '\v')))
		return 1;
	if (!wide)
		return 0;
	if (len >= 3 && memcmp(s, "\xe2\x80", 2) == 0 &&
	    (unsigned char)s[2] >= 0x80 && (unsigned char)s[2] <= 0x8a)
		return 3;
	for (size_t i = 0; i < COUNT(spaces); i++) {
		size_t n = strlen(spaces[i]);

		if (n <= len && memcmp(s, spaces[i], n) == 0)
			return n;
	}
	return 0;
}

static int split_space(lua_State *L, bool wide)
{
	struct text in = check_text(L, 1);
	lua_Integer n = 0;
	size_t at = 0, start, space;

	match_look(L, in.len);
	lua_newtable(L);
	for (;;) {
		while ((space = space_at(in.s + at, in.len - at, wide)) > 0)
			at += space;
		if (at == in.len)
			return 1;
		start = at;
		while (
		    at < in.len && space_at(in.s + at, in.len - at, wide) == 0)
			at++;
		lua_pushlstring(L, in.s + start, at - start);
		lua_rawseti(L, -2, ++n);
	}
}

static int l_split_whitespace(lua_State *L)
{
	return split_space(L, true);
}

static int l_split_ascii_whitespace(lua_State *L)
{
	return split_space(L, false);
}

/* ---- ends ---- */

static struct text trim_start(struct text t)
{
	size_t space;

	while ((space = space_at(t.s, t.len, true)) > 0) {
		t.s += space;
		t.len -= space;
	}
	return t;
}

static struct text trim_end(struct text t)
{
	for (size_t n = 1; n <= 3 && n <= t.len;) {
		if (space_at(t.s + t.len - n, n, true) == n) {
			t.len -= n;
			n = 1;
		} else {
			n++;
		}
	}
	return t;
}

static int push_text(lua_State *L, struct text t)
{
	lua_pushlstring(L, t.s, t.len);
	return 1;
}

static int l_trim(lua_State *L)
{
	return push_text(L, trim_end(trim_start(check_text(L, 1))));
}

static int l_trim_start(lua_State *L)
{
	return push_text(L, trim_start(check_text(L, 1)));
}

static int l_trim_end(lua_State *L)
{
	return push_text(L, trim_end(check_text(L, 1)));
}

static int l_starts_with(lua_State *L)
{
	struct text in = check_text(L, 1), prefix = check_text(L, 2);

	lua_pushboolean(
	    L, prefix.len <= in.len && memcmp(in.s, prefix.s, prefix.len) == 0);
	return 1;
}

static int l_ends_with(lua_State *L)
{
	struct text in = check_text(L, 1), suffix = check_text(L, 2);

	lua_pushboolean(L,
	    suffix.len <= in.len &&
		memcmp(in.s + in.len - suffix.len, suffix.s, suffix.len) == 0);
	return 1;
}

/* ---- wrap ---- */

/* Breaks at spaces before `soft` columns; a word longer than `hard` is cut. */
static int l_wrap(lua_State *L)
{
	struct text in = check_text(L, 1);
	lua_Integer soft = luaL_optinteger(L, 2, WRAP_AT);
	lua_Integer hard = luaL_optinteger(L, 3, WRAP_HARD);
	lua_Integer column = 0;
	size_t at = 0;
	luaL_Buffer out;

	luaL_argcheck(L, soft > 0, 2, "must be positive");
	luaL_argcheck(L, hard >= soft, 3, "must not be below the soft width");
	match_look(L, in.len);
	luaL_buffinit(L, &out);
	while (at < in.len) {
		size_t start = at;
		lua_Integer word;

		while (at < in.len && in.s[at] != ' ')
			at++;
		word = (lua_Integer)(at - start);
		if (column > 0 && column + 1 + word > soft) {
			luaL_addstring(&out, "\r\n\t");
			column = 1;
		} else if (column > 0 && start > 0) {
			luaL_addchar(&out, ' ');
			column++;
		}
		for (; word > hard; word -= hard, start += (size_t)hard) {
			luaL_addlstring(&out, in.s + start, (size_t)hard);
			luaL_addstring(&out, "\r\n\t");
			column = 1;
		}
		luaL_addlstring(&out, in.s + start, (size_t)word);
		column += word;
		while (at < in.len && in.s[at] == ' ')
			at++;
	}
	luaL_pushresult(&out);
	return 1;
}

/* ---- templates ---- */

/* (name, source, context [, dialect]) */
static int l_eval_template(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const char *source = luaL_checkstring(L, 2);
	const char *dialect = luaL_optstring(L, 4, "Jinja");
	const struct template *template;
	struct value variables;
	struct err err = {0};
	struct arena *arena;
	struct buf *out;

	if (strcmp(dialect, "Jinja") != 0)
		return luaL_error(L,
		    "eval_template: dialect %s is not supported yet", dialect);
	lua_settop(L, 3);
	arena = script_box_arena(L);
	out = script_box_buf(L);
	if (!script_value_read(L, 3, arena, &variables, &err))
		return luaL_error(L, "%s: %s", name, err.text);
	template = template_compile_named(name, source, arena, &err);
	if (!template ||
	    !template_render(template, &variables, NULL, NULL, out, &err))
		return luaL_error(L, "%s: %s", name, err.text);
	lua_pushlstring(L, buf_str(out), out->len);
	buf_release(out);
	return 1;
}

static const luaL_Reg functions[] = {
    /* (s, from, to): every `from` becomes `to` */
    {"replace", l_replace},
    /* (s, from, to, n): the first n */
    {"replacen", l_replacen},
    /* (s, separator): array of the parts */
    {"split", l_split},
    /* (s, n, separator): at most n parts, the rest in the last */
    {"splitn", l_splitn},
    /* (s, separator): array of the parts, the rightmost first */
    {"rsplit", l_rsplit},
    /* (s, n, separator): at most n parts from the right */
    {"rsplitn", l_rsplitn},
    /* (s): array of words */
    {"split_whitespace", l_split_whitespace},
    /* (s): array of words; only the spaces of ASCII count */
    {"split_ascii_whitespace", l_split_ascii_whitespace},
    /* (s): without white space at either end */
    {"trim", l_trim},
    /* (s): without white space at the start */
    {"trim_start", l_trim_start},
    /* (s): without white space at the end */
    {"trim_end", l_trim_end},
    /* (s, prefix): boolean */
    {"starts_with", l_starts_with},
    /* (s, suffix): boolean */
    {"ends_with", l_ends_with},
    /* (s [, 75 [, 900]]): lines broken with CRLF TAB */
    {"wrap", l_wrap},
    /* (name, source, context): the template rendered */
    {"eval_template", l_eval_template},
    {NULL, NULL},
};

void bind_string_open(lua_State *L)
{
	luaL_getsubtable(L, -1, "string");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}

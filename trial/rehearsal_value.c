/*
 * rehearsal_value.c - what passes between a test script and C
 */
#include "trial/rehearsal_value.h"

#include "trial/rehearsal_private.h"

struct rehearsal *rehearsal_self(lua_State *L)
{
	return *(struct rehearsal **)lua_getextraspace(L);
}

NORETURN void rehearsal_raise_text(lua_State *L, const char *text)
{
	lua_pushstring(L, text);
	(void)lua_error(L);
	abort();
}

NORETURN void rehearsal_raise(lua_State *L, const struct err *err)
{
	rehearsal_raise_text(L, err->text);
}

const char *rehearsal_keep_text(lua_State *L, int index)
{
	return arena_strdup(
	    rehearsal_self(L)->arena, luaL_optstring(L, index, NULL));
}

const char *rehearsal_text_field(lua_State *L, int index, const char *key)
{
	const char *text = NULL;

	lua_getfield(L, index, key);
	if (!lua_isnil(L, -1)) {
		if (!lua_isstring(L, -1))
			rehearsal_raise_text(L,
			    lua_pushfstring(L, "%s: expected a text, got a %s",
				key, luaL_typename(L, -1)));
		text =
		    arena_strdup(rehearsal_self(L)->arena, lua_tostring(L, -1));
	}
	lua_pop(L, 1);
	return text;
}

void rehearsal_set_text(lua_State *L, const char *key, const char *text)
{
	lua_pushstring(L, text);
	lua_setfield(L, -2, key);
}

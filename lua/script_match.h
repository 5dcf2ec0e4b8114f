/*
 * script_match.h - matching a pattern of the language at one place
 *
 * Same results as the stock matcher (held against it in tests/unit/lua).
 * Errors and the end of the time are raised.
 */
#ifndef LUA_SCRIPT_MATCH_H
#define LUA_SCRIPT_MATCH_H

#include <lua.h>
#include <stddef.h>

#define MATCH_MOST_CAPTURES 32
#define MATCH_OPEN (-1)     /* a capture without its ")" */
#define MATCH_POSITION (-2) /* "()" */

struct match {
	lua_State *L;
	const char *src, *src_end;
	const char *pat_end;
	int level, depth;
	unsigned steps;
	struct {
		const char *start;
		ptrdiff_t len; /* or MATCH_OPEN, MATCH_POSITION */
	} captures[MATCH_MOST_CAPTURES];
};

void match_start(struct match *m, lua_State *L, const char *src, size_t src_len,
    const char *pat, size_t pat_len);
/* The end of the match of the pattern p at s; NULL: none.  Captures are in
 * m->captures[0..level). */
const char *match_at(struct match *m, const char *s, const char *p);
/* Long texts take long even when few steps are counted: looks at the clock. */
void match_look(lua_State *L, size_t len);

#endif

/*
 * script_match.c - the patterns of the language, inside the time limit
 *
 * Every step is counted and every few thousand steps the clock is asked:
 * 'a*a*a*a*b' must not outlive its event.
 *
 *	item   = class [ "*" / "+" / "-" / "?" ] / "(" / ")" / "%b" 2char
 *	       / "%f" set / "%" digit
 *	class  = char / "." / "%" char / set
 *	set    = "[" ["^"] 1*( class / char "-" char ) "]"
 */
#include "lua/script_match.h"

#include <ctype.h>
#include <lauxlib.h>

#include "lua/script_state.h"

#define MOST_DEPTH 200
#define STEPS_A_LOOK 4096

static const char *match_here(struct match *m, const char *s, const char *p);

static void step(struct match *m)
{
	if (++m->steps % STEPS_A_LOOK == 0)
		script_check_time(m->L);
}

/* ---- one character ---- */

/* The end of the class that begins at p. */
static const char *class_end(struct match *m, const char *p)
{
	char first = *p++;

	if (first == '%') {
		if (p == m->pat_end)
			luaL_error(m->L, "malformed pattern (ends with '%%')");
		return p + 1;
	}
	if (first != '[')
		return p;
	if (p < m->pat_end && *p == '^')
		p++;
	/* A "]" that comes first stands for itself. */
	do {
		if (p == m->pat_end)
			luaL_error(m->L, "malformed pattern (missing ']')");
		if (*p++ == '%') {
			if (p == m->pat_end)
				luaL_error(
				    m->L, "malformed pattern (missing ']')");
			p++;
		}
	} while (p == m->pat_end || *p != ']');
	return p + 1;
}

static bool class_has(int class, int c)
{
	bool has;

	switch (tolower(class)) {
	case 'a':
		has = isalpha(c);
		break;
	case 'c':
		has = iscntrl(c);
		break;
	case 'd':
		has = isdigit(c);
		break;
	case 'g':
		has = isgraph(c);
		break;
	case 'l':
		has = islower(c);
		break;
	case 'p':
		has = ispunct(c);
		break;
	case 's':
		has = isspace(c);
		break;
	case 'u':
		has = isupper(c);
		break;
	case 'w':
		has = isalnum(c);
		break;
	case 'x':
		has = isxdigit(c);
		break;
	case 'z': /* of old, still understood */
		has = c == '\0';
		break;
	default:
		return class == c;
	}
	return isupper(class) ? !has : has;
}

/* p at "[", last at its "]". */
static bool set_has(const char *p, const char *last, int c)
{
	bool inside = true;

	if (p[1] == '^') {
		inside = false;
		p++;
	}
	while (++p < last) {
		if (*p == '%') {
			p++;
			if (class_has((unsigned char)*p, c))
				return inside;
		} else if (p[1] == '-' && p + 2 < last) {
			if ((unsigned char)p[0] <= c &&
			    c <= (unsigned char)p[2])
				return inside;
			p += 2;
		} else if ((unsigned char)*p == c) {
			return inside;
		}
	}
	return !inside;
}

/* Does the class p..end match the character at s? */
static bool one_matches(
    struct match *m, const char *s, const char *p, const char *end)
{
	int c;

	step(m);
	if (s >= m->src_end)
		return false;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): never NULL */
	c = (unsigned char)*s;
	switch (*p) {
	case '.':
		return true;
	case '%':
		return class_has((unsigned char)p[1], c);
	case '[':
		return set_has(p, end - 1, c);
	default:
		return (unsigned char)*p == c;
	}
}

/* ---- items ---- */

static const char *match_balance(struct match *m, const char *s, const char *p)
{
	char open, close;
	int level = 1;

	if (m->pat_end - p < 2)
		luaL_error(
		    m->L, "malformed pattern (missing arguments to '%%b')");
	open = p[0];
	close = p[1];
	if (s >= m->src_end || *s != open)
		return NULL;
	while (++s < m->src_end) {
		step(m);
		if (*s == close) {
			if (--level == 0)
				return s + 1;
		} else if (*s == open) {
			level++;
		}
	}
	return NULL;
}

/* As many as possible, then fewer. */
static const char *match_most(
    struct match *m, const char *s, const char *p, const char *end)
{
	ptrdiff_t n = 0;

	while (one_matches(m, s + n, p, end))
		n++;
	for (; n >= 0; n--) {
		const char *rest = match_here(m, s + n, end + 1);

		if (rest)
			return rest;
	}
	return NULL;
}

/* As few as possible, then more. */
static const char *match_least(
    struct match *m, const char *s, const char *p, const char *end)
{
	for (;; s++) {
		const char *rest = match_here(m, s, end + 1);

		if (rest)
			return rest;
		if (!one_matches(m, s, p, end))
			return NULL;
	}
}

static const char *capture_open(
    struct match *m, const char *s, const char *p, ptrdiff_t what)
{
	const char *rest;

	if (m->level >= MATCH_MOST_CAPTURES)
		luaL_error(m->L, "too many captures");
	m->captures[m->level].start = s;
	m->captures[m->level].len = what;
	m->level++;
	rest = match_here(m, s, p);
	if (!rest)
		m->level--;
	return rest;
}

static const char *capture_close(struct match *m, const char *s, const char *p)
{
	const char *rest;
	int i = m->level - 1;

	while (i >= 0 && m->captures[i].len != MATCH_OPEN)
		i--;
	if (i < 0)
		luaL_error(m->L, "invalid pattern capture");
	m->captures[i].len = s - m->captures[i].start;
	rest = match_here(m, s, p);
	if (!rest)
		m->captures[i].len = MATCH_OPEN;
	return rest;
}

static const char *match_again(struct match *m, const char *s, int digit)
{
	int i = digit - '1';
	size_t len;

	if (i < 0 || i >= m->level || m->captures[i].len == MATCH_OPEN)
		luaL_error(m->L, "invalid capture index %%%d", i + 1);
	/* A position capture has no text: its length never fits. */
	len = (size_t)m->captures[i].len;
	if ((size_t)(m->src_end - s) >= len &&
	    memcmp(m->captures[i].start, s, len) == 0)
		return s + len;
	return NULL;
}

/* %f[set]: the edge where set begins to hold; both ends count as '\0'. */
static bool frontier(
    struct match *m, const char *s, const char *p, const char *end)
{
	int before = s == m->src ? '\0' : (unsigned char)s[-1];
	int after = s == m->src_end ? '\0' : (unsigned char)*s;

	return !set_has(p, end - 1, before) && set_has(p, end - 1, after);
}

static const char *match_items(struct match *m, const char *s, const char *p)
{
	const char *end, *rest;

	for (;;) {
		if (p == m->pat_end)
			return s;
		step(m);
		switch (*p) {
		case '(':
			if (p + 1 < m->pat_end && p[1] == ')')
				return capture_open(
				    m, s, p + 2, MATCH_POSITION);
			return capture_open(m, s, p + 1, MATCH_OPEN);
		case ')':
			return capture_close(m, s, p + 1);
		case '$':
			if (p + 1 == m->pat_end)
				return s == m->src_end ? s : NULL;
			break;
		case '%':
			if (p + 1 == m->pat_end)
				break;
			if (p[1] == 'b') {
				s = match_balance(m, s, p + 2);
				if (!s)
					return NULL;
				p += 4;
				continue;
			}
			if (p[1] == 'f') {
				p += 2;
				if (p == m->pat_end || *p != '[')
					luaL_error(m->L,
					    "missing '[' after '%%f' in "
					    "pattern");
				end = class_end(m, p);
				if (!frontier(m, s, p, end))
					return NULL;
				p = end;
				continue;
			}
			if (isdigit((unsigned char)p[1])) {
				s = match_again(m, s, (unsigned char)p[1]);
				if (!s)
					return NULL;
				p += 2;
				continue;
			}
			break;
		default:
			break;
		}
		end = class_end(m, p);
		switch (end < m->pat_end ? *end : '\0') {
		case '?':
			if (one_matches(m, s, p, end)) {
				rest = match_here(m, s + 1, end + 1);
				if (rest)
					return rest;
			}
			p = end + 1;
			continue;
		case '+':
			if (!one_matches(m, s, p, end))
				return NULL;
			return match_most(m, s + 1, p, end);
		case '*':
			return match_most(m, s, p, end);
		case '-':
			return match_least(m, s, p, end);
		default:
			if (!one_matches(m, s, p, end))
				return NULL;
			s++;
			p = end;
			continue;
		}
	}
}

/* The end of the match of p at s, or NULL. */
static const char *match_here(struct match *m, const char *s, const char *p)
{
	const char *rest;

	if (m->depth == MOST_DEPTH)
		luaL_error(m->L, "pattern too complex");
	m->depth++;
	rest = match_items(m, s, p);
	m->depth--;
	return rest;
}

/* ---- beginning ---- */

/* Long texts take long even when few steps are counted. */
void match_look(lua_State *L, size_t len)
{
	if (len >= STEPS_A_LOOK)
		script_check_time(L);
}

void match_start(struct match *m, lua_State *L, const char *src, size_t src_len,
    const char *pat, size_t pat_len)
{
	m->L = L;
	m->src = src;
	m->src_end = src + src_len;
	m->pat_end = pat + pat_len;
	m->level = m->depth = 0;
	m->steps = 0;
	match_look(L, src_len);
}

const char *match_at(struct match *m, const char *s, const char *p)
{
	m->level = m->depth = 0;
	return match_here(m, s, p);
}

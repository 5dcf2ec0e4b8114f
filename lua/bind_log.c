/*
 * bind_log.c - kumo.log_* and print: lines for the operator
 */
#include "base/diag.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_pool.h"

#define MOST_LINE 8192

/* The length of the UTF-8 sequence at p, 0 when it is none. */
static size_t sequence(const unsigned char *p, size_t left)
{
	size_t len = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

	if (*p < 0x80)
		return 1;
	return len <= left && str_is_utf8((const char *)p, len) ? len : 0;
}

void script_log_escape(struct buf *out, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < len;) {
		size_t n = sequence(p + i, len - i);

		if (n == 0 || p[i] == 0x7f || (p[i] < 0x20 && p[i] != '\t')) {
			buf_addf(out, "\\x%02X", p[i]);
			n = 1;
		} else {
			buf_add(out, p + i, n);
		}
		i += n;
	}
}

/* All arguments as text with `between`, into a buf that is on top then. */
static struct buf *join(lua_State *L, const char *between, bool raw)
{
	int count = lua_gettop(L);
	struct buf *out = script_box_buf(L);

	for (int i = 1; i <= count; i++) {
		size_t len;
		const char *text = luaL_tolstring(L, i, &len);

		if (i > 1)
			buf_addstr(out, between);
		if (raw)
			buf_add(out, text, len);
		else
			script_log_escape(out, text, len);
		lua_pop(L, 1);
	}
	return out;
}

static void log_line(lua_State *L, enum diag_level level)
{
	struct buf *line = join(L, " ", false);
	const char *where = script_where(L, 1);

	if (line->len > MOST_LINE)
		line->len = MOST_LINE;
	diag(level, "%s%s%.*s", where, *where ? ": " : "", (int)line->len,
	    buf_str(line));
}

static int l_log_error(lua_State *L)
{
	log_line(L, DIAG_ERROR);
	return 0;
}

static int l_log_warn(lua_State *L)
{
	log_line(L, DIAG_WARN);
	return 0;
}

static int l_log_info(lua_State *L)
{
	log_line(L, DIAG_INFO);
	return 0;
}

static int l_log_debug(lua_State *L)
{
	if (diag_level() <= DIAG_DEBUG)
		log_line(L, DIAG_DEBUG);
	return 0;
}

/* To standard output; a daemon without one makes it an info line. */
static int l_print(lua_State *L)
{
	if (script_state_of(L)->policy->print_to_stdout) {
		struct buf *line = join(L, "\t", true);

		buf_addch(line, '\n');
		(void)fwrite(buf_str(line), 1, line->len, stdout);
		(void)fflush(stdout);
	} else {
		struct buf *line = join(L, "\t", false);

		diag_info("%.*s",
		    (int)(line->len < MOST_LINE ? line->len : MOST_LINE),
		    buf_str(line));
	}
	return 0;
}

static const luaL_Reg functions[] = {
    {"log_error", l_log_error},
    {"log_warn", l_log_warn},
    {"log_info", l_log_info},
    {"log_debug", l_log_debug},
    {NULL, NULL},
};

void bind_log_open(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
	lua_pushcfunction(L, l_print);
	lua_setglobal(L, "print");
}

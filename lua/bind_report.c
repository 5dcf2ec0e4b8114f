/*
 * bind_report.c - message:parse_rfc3464, parse_rfc5965
 *
 * nil: no report of this sort; raised: it calls itself one and cannot be read.
 * It is the content that is read; what the policy put in front of it is not.
 */
#include "lua/bind.h"
#include "lua/script_value.h"
#include "mail/report_arf.h"
#include "mail/report_dsn.h"

/* False: not multipart/report. */
static bool open_report(lua_State *L, struct arena *arena, struct report *out)
{
	const struct message *m = script_message_check(L, 1);
	struct err err = {0};
	bool found = false;

	if (m->content &&
	    !report_open_content(m->content, arena, out, &found, &err))
		script_raise(L, &err);
	return found;
}

/* message:parse_rfc3464(): a table as in the policy language, 8.1. */
static int l_parse_rfc3464(lua_State *L)
{
	struct arena *arena = script_box_arena(L);
	struct report report;
	struct value v;
	struct dsn dsn;
	struct err err = {0};

	lua_pushnil(L);
	if (!open_report(L, arena, &report))
		return 1;
	if (dsn_parse(&report, arena, &dsn, &err) != REPORT_READ)
		script_raise(L, &err);
	v = dsn_value(&dsn, &report, arena);
	script_value_push(L, &v);
	return 1;
}

/* message:parse_rfc5965(): a table as in the policy language, 8.2. */
static int l_parse_rfc5965(lua_State *L)
{
	struct arena *arena = script_box_arena(L);
	struct report report;
	struct value v;
	struct arf arf;
	struct err err = {0};

	lua_pushnil(L);
	if (!open_report(L, arena, &report))
		return 1;
	switch (arf_parse(&report, arena, &arf, &err)) {
	case REPORT_NONE:
		return 1;
	case REPORT_MALFORMED:
		script_raise(L, &err);
	case REPORT_READ:
		break;
	}
	v = arf_value(&arf, &report, arena);
	script_value_push(L, &v);
	return 1;
}

void bind_report_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
	    {"parse_rfc3464", l_parse_rfc3464},
	    {"parse_rfc5965", l_parse_rfc5965},
	    {NULL, NULL},
	};

	luaL_setfuncs(L, methods, 0);
}

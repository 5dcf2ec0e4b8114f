/*
 * bind_address_list.c - message:get_address_header, from_header and to_header
 *
 * (policy language, 9)  The object has the addresses as a table, .list, and
 * those of a single one as .user .domain .email .name; the table is made once
 * and is the object's user value.
 */
#include "base/json.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_table.h"
#include "lua/script_value.h"
#include "mail/address_list.h"
#include "mail/header.h"

#define ADDRESSES "penstock.address_list"

struct held {
	bool is_single; /* exactly one, and no group */
};

/* {name = , address = , user = , domain = } */
static void push_mailbox(lua_State *L, const struct mailbox *m)
{
	lua_createtable(L, 0, 4);
	if (*m->name) {
		lua_pushstring(L, m->name);
		lua_setfield(L, -2, "name");
	}
	lua_pushstring(L, m->address.email);
	lua_setfield(L, -2, "address");
	lua_pushstring(L, m->address.user);
	lua_setfield(L, -2, "user");
	lua_pushstring(L, m->address.domain);
	lua_setfield(L, -2, "domain");
}

/* An array of mailboxes and groups, {name = , entries = {mailboxes}}. */
static void push_list(lua_State *L, const struct address_list *list)
{
	const char *group = NULL;

	lua_newtable(L);
	for (size_t i = 0; i < list->count; i++) {
		const struct mailbox *m = &list->items[i];

		if (m->group != group && group) {
			lua_pop(L, 2); /* entries, group */
			group = NULL;
		}
		if (m->group && !group) {
			group = m->group;
			lua_createtable(L, 0, 2);
			lua_pushstring(L, group);
			lua_setfield(L, -2, "name");
			lua_pushvalue(L, -1);
			lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
			lua_newtable(L);
			lua_pushvalue(L, -1);
			lua_setfield(L, -3, "entries");
		}
		if (m->is_empty_group)
			continue;
		push_mailbox(L, m);
		lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	}
	if (group)
		lua_pop(L, 2);
}

void script_address_list_push(
    lua_State *L, const char *name, const struct header_field *field)
{
	struct arena *arena = script_box_arena(L);
	struct address_list list;
	struct held *held;
	struct err err = {0};

	if (!address_list_parse(
		field->value, field->value_len, arena, &list, &err)) {
		(void)err_prefix(&err, "%s", name);
		script_raise(L, &err);
	}
	held = lua_newuserdatauv(L, sizeof *held, 1);
	held->is_single = list.count == 1 && !list.items[0].group;
	luaL_setmetatable(L, ADDRESSES);
	push_list(L, &list);
	lua_setiuservalue(L, -2, 1);
}

/* .list, or a field of the only address. */
static int l_index(lua_State *L)
{
	static const char *const fields[][2] = {{"user", "user"},
	    {"domain", "domain"}, {"email", "address"}, {"name", "name"}};
	const struct held *held = luaL_checkudata(L, 1, ADDRESSES);
	const char *key = luaL_checkstring(L, 2);

	(void)lua_getiuservalue(L, 1, 1);
	if (str_eq(key, "list"))
		return 1;
	for (size_t i = 0; i < COUNT(fields); i++) {
		if (!str_eq(fields[i][0], key))
			continue;
		if (!held->is_single)
			return luaL_error(
			    L, "%s: there is not exactly one address", key);
		lua_rawgeti(L, -1, 1);
		lua_getfield(L, -1, fields[i][1]);
		return 1;
	}
	return 0;
}

static int l_tostring(lua_State *L)
{
	struct arena *arena = script_box_arena(L);
	struct buf *json = script_box_buf(L);
	struct value value;
	struct err err = {0};

	(void)luaL_checkudata(L, 1, ADDRESSES);
	(void)lua_getiuservalue(L, 1, 1);
	if (!script_value_read(L, lua_gettop(L), arena, &value, &err))
		script_raise(L, &err);
	if (value.type == VALUE_MAP && value.count == 0)
		value.type = VALUE_LIST;
	json_write(json, &value);
	lua_pushlstring(L, buf_str(json), json->len);
	return 1;
}

static const luaL_Reg methods[] = {
    {"__index", l_index},
    {"__tostring", l_tostring},
    {NULL, NULL},
};

void bind_address_list_open(lua_State *L)
{
	script_table_type(L, ADDRESSES, methods);
}

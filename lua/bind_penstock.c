/*
 * bind_penstock.c - the table penstock: what the original language has no
 * words for
 *
 *	penstock.unlisted_domains  = 'refuse' / 'leave_to_mta'
 *	penstock.local_submission  = 'queue' / 'leave_to_mta' / 'refuse'
 */
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_pool.h"
#include "lua/script_value.h"

/* In the order of enum unlisted_domains and enum local_submission. */
static const char *const unlisted[] = {"refuse", "leave_to_mta"};
static const char *const submission[] = {"queue", "leave_to_mta", "refuse"};

static const struct setting {
	const char *name;
	const char *const *values;
	size_t count;
	size_t offset; /* of an enum in struct policy_setup */
} settings[] = {
    {"unlisted_domains", unlisted, COUNT(unlisted),
	offsetof(struct policy_setup, unlisted_domains)},
    {"local_submission", submission, COUNT(submission),
	offsetof(struct policy_setup, local_submission)},
};

_Static_assert(sizeof(enum unlisted_domains) == sizeof(int) &&
		   sizeof(enum local_submission) == sizeof(int),
    "settings are written as int");

static const struct setting *find(lua_State *L, int index)
{
	const char *name = luaL_checkstring(L, index);

	for (size_t i = 0; i < COUNT(settings); i++)
		if (str_eq(settings[i].name, name))
			return &settings[i];
	luaL_error(L,
	    "penstock.%s does not exist; there are unlisted_domains and "
	    "local_submission",
	    name);
	abort(); /* not reached */
}

static int *field(lua_State *L, const struct setting *setting)
{
	struct policy_setup *setup = &script_state_of(L)->policy->setup;

	return (int *)(void *)((char *)setup + setting->offset);
}

static int l_index(lua_State *L)
{
	const struct setting *setting;

	if (str_eq(luaL_checkstring(L, 2), "version")) {
		lua_pushliteral(L, PACKAGE_VERSION);
		return 1;
	}
	setting = find(L, 2);
	lua_pushstring(L, setting->values[*field(L, setting)]);
	return 1;
}

static int l_newindex(lua_State *L)
{
	const struct script_state *state = script_state_of(L);
	const struct setting *setting = find(L, 2);
	const char *expected;
	luaL_Buffer names;

	if (state->phase == SCRIPT_EVENT)
		return luaL_error(L,
		    "penstock.%s is set while the policy loads or in init, not "
		    "in a handler",
		    setting->name);
	for (size_t i = 0; i < setting->count; i++) {
		if (lua_type(L, 3) != LUA_TSTRING ||
		    !str_eq(lua_tostring(L, 3), setting->values[i]))
			continue;
		if (state->is_first)
			*field(L, setting) = (int)i;
		return 0;
	}
	luaL_buffinit(L, &names);
	for (size_t i = 0; i < setting->count; i++) {
		if (i > 0)
			luaL_addstring(
			    &names, i + 1 == setting->count ? " or " : ", ");
		luaL_addstring(&names, "'");
		luaL_addstring(&names, setting->values[i]);
		luaL_addstring(&names, "'");
	}
	luaL_pushresult(&names);
	expected = lua_tostring(L, -1);
	return luaL_error(L, "penstock.%s: invalid value: expected %s, got %s",
	    setting->name, expected, script_value_name(L, 3));
}

static void set_text(lua_State *L, const char *name, const char *text)
{
	if (!text)
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

/* What the client said beside the addresses (RFC 3461), as it said it. */
static int l_envelope(lua_State *L)
{
	const struct message *m = script_message_check(L, 1);

	lua_createtable(L, 0, 4);
	set_text(L, "sender", m->sender.address.email);
	set_text(L, "ret", m->sender.ret);
	set_text(L, "envid", m->sender.envid);
	lua_createtable(L, (int)m->recipients.count, 0);
	for (size_t i = 0; i < m->recipients.count; i++) {
		const struct envelope_recipient *r = &m->recipients.items[i];

		lua_createtable(L, 0, 3);
		set_text(L, "address", r->address.email);
		set_text(L, "notify", r->notify);
		set_text(L, "orcpt", r->orcpt);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "recipients");
	return 1;
}

void bind_penstock_open(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, l_envelope);
	lua_setfield(L, -2, "envelope");
	lua_pushcfunction(L, script_l_site_names);
	lua_setfield(L, -2, "site_names");
	lua_createtable(L, 0, 3);
	lua_pushcfunction(L, l_index);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, l_newindex);
	lua_setfield(L, -2, "__newindex");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "penstock");
	lua_pop(L, 1);
	lua_setglobal(L, "penstock");
}

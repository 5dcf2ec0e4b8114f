/*
 * bind.c - the globals of a policy
 */
#include "lua/bind.h"

#include "lua/script_object.h"
#include "lua/script_pool.h"

/* require 'kumo' and require 'kumo.serde' find what is there already. */
static void register_modules(lua_State *L)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_getglobal(L, "kumo");
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "kumo");
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		if (lua_istable(L, -1)) {
			lua_pushfstring(L, "kumo.%s", lua_tostring(L, -2));
			lua_insert(L, -2);
			lua_settable(L, -5);
		} else {
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 2);
}

void script_bind_open(lua_State *L)
{
	script_object_open(L);
	bind_address_open(L);
	bind_address_list_open(L);
	bind_message_open(L);
	bind_conn_meta_open(L);

	lua_newtable(L);
	bind_reject_open(L);
	bind_log_open(L);
	bind_kumo_open(L);
	bind_make_open(L);
	bind_bounce_open(L);
	bind_memoize_open(L);
	bind_serde_open(L);
	bind_cidr_open(L);
	bind_digest_open(L);
	bind_dkim_open(L);
	bind_dns_open(L);
	bind_domain_map_open(L);
	bind_encode_open(L);
	bind_epoch_open(L);
	bind_fs_open(L);
	bind_invoke_open(L);
	bind_http_open(L);
	bind_dsn_open(L);
	bind_regex_open(L);
	bind_secrets_open(L);
	bind_shaping_open(L);
	bind_string_open(L);
	bind_throttle_open(L);
	bind_time_open(L);
	bind_uuid_open(L);
	bind_missing_open(L); /* last: fills what the others left */
	lua_setglobal(L, "kumo");
	bind_sqlite_open(L);
	bind_penstock_open(L);
	bind_suppression_open(L);
	register_modules(L);

	if (script_state_of(L)->policy->role == SCRIPT_CHECK) {
		lua_pushboolean(L, 1);
		lua_setglobal(L, "_VALIDATING_CONFIG");
	}
}

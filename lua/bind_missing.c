/*
 * bind_missing.c - names that exist in the language and do nothing here
 *
 * Nothing is silently nil: a name that is not supported yet raises and says so,
 * a setting of another program's engine is accepted with one warning.
 */
#include "base/diag.h"
#include "lua/bind.h"
#include "lua/script_pool.h"

/* "table.name" or "name" below kumo. */
static const char *const not_yet[] = {"aaa.configure_acl",
    "aaa.make_access_control_list", "api.inject.build_v1",
    "api.inject.inject_v1", "counter_series.define", "crypto.aes_decrypt_block",
    "crypto.aes_encrypt_block", "crypto.aws_sign_v4",
    "dns.configure_unbound_resolver", "dns.load_resolv_conf",
    "encode.charset_decode", "encode.charset_encode", "file_type.from_bytes",
    "jsonl.new_multi_tailer", "jsonl.new_tailer", "jsonl.new_writer",
    "mimepart.builder", "mpsc.define", "prometheus_metrics", "spf.check_host",
    "spf.check_msg", "string.normalize_smtp_response", "string.psl_domain",
    "string.psl_suffix"};

/* Outside of what this program is for. */
static const char *const never[] = {"amqp.basic_publish", "amqp.build_client",
    "configure_redis_throttles", "define_egress_pool", "kafka.build_producer",
    "nats.connect", "proxy.start_proxy_listener", "xfer.xfer",
    "xfer.xfer_in_requeue"};

/* Tables below kumo of which nothing works: whatever is called in them says so,
 * also by a name that is not listed above. */
static const struct {
	const char *name;
	bool is_never;
} tables[] = {{"aaa", false}, {"amqp", true}, {"api", false},
    {"api.inject", false}, {"counter_series", false}, {"crypto", false},
    {"file_type", false}, {"jsonl", false}, {"kafka", true},
    {"mimepart", false}, {"mpsc", false}, {"nats", true}, {"proxy", true},
    {"spf", false}, {"xfer", true}};

/* Tuning of an engine that we do not have.  The argument must be of the type:
 * "" takes all. */
static const struct {
	const char *name, *type;
} ignored[] = {
    {"configure_accounting_db_path", "string"},
    {"enable_memory_callstack_tracking", "boolean"},
    {"set_config_monitor_interval", ""},
    {"set_httpinject_recipient_rate_limit", ""},
    {"set_httpinject_threads", "number"},
    {"set_logging_threads", "number"},
    {"set_lua_gc_on_put", "number"},
    {"set_max_cpu_threads", "number"},
    {"set_memory_hard_limit", "number"},
    {"set_memory_low_thresh", "number"},
    {"set_memory_soft_limit", "number"},
    {"set_qmaint_threads", "number"},
    {"set_ready_qmaint_threads", "number"},
    {"set_readyq_threads", "number"},
    {"set_smtpsrv_threads", "number"},
    {"set_spoolin_threads", "number"},
    {"set_spoolout_threads", "number"},
    {"spawn_thread_pool", "table"},
    {"start_http_listener", "table"},
    {"start_proxy_listener", "table"},
    {"suspend_delivery_when_spool_unhealthy", "boolean"},
};

static const char *const ignored_in_silence[] = {"get_memory_hard_limit",
    "get_memory_low_thresh", "get_memory_soft_limit",
    "set_lruttl_cache_capacity"};

/* Modules of their own: require gives a table whose functions raise. */
static const struct {
	const char *module, *function;
	bool is_never;
} modules[] = {
    {"redis", "open", true},
    {"template", "render", false},
};

/* Modules of KumoMTA's own that are not here. */
static const char *const module_files[] = {"policy-extras.dmarc_rua",
    "policy-extras.docker_utils", "policy-extras.hornet",
    "policy-extras.mail_auth", "policy-extras.rollup", "policy-extras.rspamd",
    "policy-extras.warmup"};

#define TO_A_SERVICE                                                           \
	"give records to a service by kumo.http in custom_lua, or have it "    \
	"follow the log files"

/* What to do instead, by the name or what stands before a dot in it. */
static const struct {
	const char *name, *advice;
} advices[] = {
    {"kumo.amqp", TO_A_SERVICE},
    {"kumo.api", "inject by SMTP, or with kumo.inject_message"},
    {"kumo.configure_redis_throttles",
	"each daemon counts for itself; leave it out"},
    {"kumo.define_egress_pool", "answer the event get_egress_pool"},
    {"kumo.kafka", TO_A_SERVICE},
    {"kumo.nats", TO_A_SERVICE},
    {"kumo.prometheus_metrics", "penstock status --json has numbers"},
    {"kumo.proxy", "run HAProxy or a SOCKS5 server"},
    {"kumo.start_http_listener",
	"there is no HTTP API; mail comes through the MTA, orders are given by "
	"penstock(1)"},
    {"kumo.start_proxy_listener", "run HAProxy or a SOCKS5 server"},
    {"kumo.xfer", "send the mail on by SMTP: protocol smtp with mx_list, or "
		  "routing_domain"},
    {"redis", "require 'sqlite' and kumo.memoize keep data on this machine"},
};

/* ": " and what to do instead, or "". */
static void push_advice(lua_State *L, const char *name)
{
	for (size_t i = 0; i < COUNT(advices); i++) {
		size_t len = strlen(advices[i].name);

		if (strncmp(name, advices[i].name, len) == 0 &&
		    (!name[len] || name[len] == '.')) {
			lua_pushfstring(L, ": %s", advices[i].advice);
			return;
		}
	}
	lua_pushliteral(L, "");
}

static int l_not_yet(lua_State *L)
{
	const char *name = lua_tostring(L, lua_upvalueindex(1));

	push_advice(L, name);
	return luaL_error(
	    L, "%s is not supported yet%s", name, lua_tostring(L, -1));
}

static int l_never(lua_State *L)
{
	const char *name = lua_tostring(L, lua_upvalueindex(1));

	push_advice(L, name);
	return luaL_error(
	    L, "%s is not supported%s", name, lua_tostring(L, -1));
}

/* The last of package.searchers: nobody else has the module. */
static int l_search(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	for (size_t i = 0; i < COUNT(module_files); i++)
		if (strcmp(name, module_files[i]) == 0) {
			luaL_where(L, 2);
			lua_pushfstring(L,
			    "%s is not supported yet; a file of that name in "
			    "package.path is taken",
			    name);
			lua_concat(L, 2);
			return lua_error(L);
		}
	return 0;
}

static void add_searcher(lua_State *L)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_getfield(L, -1, "package");
	lua_getfield(L, -1, "searchers");
	lua_pushcfunction(L, l_search);
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	lua_pop(L, 3);
}

/* A field of a table of which nothing works; upvalues: its name, never? */
static int l_missing_field(lua_State *L)
{
	lua_pushfstring(L, "%s.%s", lua_tostring(L, lua_upvalueindex(1)),
	    luaL_tolstring(L, 2, NULL));
	lua_pushcclosure(
	    L, lua_toboolean(L, lua_upvalueindex(2)) ? l_never : l_not_yet, 1);
	return 1;
}

static int l_ignored(lua_State *L)
{
	const char *name = lua_tostring(L, lua_upvalueindex(1));
	const char *type = lua_tostring(L, lua_upvalueindex(2));

	if (*type && strcmp(type, luaL_typename(L, 1)) != 0)
		return luaL_typeerror(L, 1, type);
	if (script_once(script_state_of(L)->policy, name)) {
		push_advice(L, name);
		diag_warn("%s has no effect here%s", name, lua_tostring(L, -1));
	}
	return 0;
}

static int l_silence(lua_State *L)
{
	(void)L;
	return 0;
}

/* Pushes the table below kumo, which is on top, that the dots lead to. */
static void push_table(lua_State *L, const char *name)
{
	const char *part = name, *dot;

	lua_pushvalue(L, -1);
	while ((dot = strchr(part, '.')) != NULL) {
		lua_pushlstring(L, part, (size_t)(dot - part));
		luaL_getsubtable(L, -2, lua_tostring(L, -1));
		lua_replace(L, -3);
		lua_pop(L, 1);
		part = dot + 1;
	}
	luaL_getsubtable(L, -1, part);
	lua_remove(L, -2);
}

static void add_table(lua_State *L, const char *name, bool is_never)
{
	push_table(L, name);
	lua_createtable(L, 0, 2);
	lua_pushfstring(L, "kumo.%s", name);
	lua_pushboolean(L, is_never);
	lua_pushcclosure(L, l_missing_field, 2);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

/* Sets kumo.NAME, NAME with dots, unless it is there; kumo is on top.  What is
 * pushed with lua_pushstring as `more` is a second upvalue. */
static void add(
    lua_State *L, const char *name, lua_CFunction function, const char *more)
{
	int top = lua_gettop(L);
	const char *part = name, *dot;

	while ((dot = strchr(part, '.')) != NULL) {
		lua_pushlstring(L, part, (size_t)(dot - part));
		luaL_getsubtable(L, -2, lua_tostring(L, -1));
		lua_remove(L, -2);
		part = dot + 1;
	}
	if (lua_getfield(L, -1, part) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_pushfstring(L, "kumo.%s", name);
		lua_pushstring(L, more);
		lua_pushcclosure(L, function, 2);
		lua_setfield(L, -2, part);
	}
	lua_settop(L, top);
}

static void add_module(
    lua_State *L, const char *module, const char *function, bool is_never)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	luaL_getsubtable(L, -1, module);
	lua_pushfstring(L, "%s.%s", module, function);
	lua_pushcclosure(L, is_never ? l_never : l_not_yet, 1);
	lua_setfield(L, -2, function);
	lua_pop(L, 2);
}

void bind_missing_open(lua_State *L)
{
	for (size_t i = 0; i < COUNT(not_yet); i++)
		add(L, not_yet[i], l_not_yet, NULL);
	for (size_t i = 0; i < COUNT(never); i++)
		add(L, never[i], l_never, NULL);
	for (size_t i = 0; i < COUNT(ignored); i++)
		add(L, ignored[i].name, l_ignored, ignored[i].type);
	for (size_t i = 0; i < COUNT(ignored_in_silence); i++)
		add(L, ignored_in_silence[i], l_silence, NULL);
	for (size_t i = 0; i < COUNT(tables); i++)
		add_table(L, tables[i].name, tables[i].is_never);
	for (size_t i = 0; i < COUNT(modules); i++)
		add_module(L, modules[i].module, modules[i].function,
		    modules[i].is_never);
	add_searcher(L);
}

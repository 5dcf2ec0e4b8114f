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
    "api.inject.inject_v1", "configure_bounce_classifier",
    "configure_log_disposition_hook", "configure_log_hook",
    "counter_series.define", "crypto.aes_decrypt_block",
    "crypto.aes_encrypt_block", "crypto.aws_sign_v4",
    "dns.configure_unbound_resolver", "dns.load_resolv_conf",
    "file_type.from_bytes", "generate_rfc3464_message",
    "invoke_get_egress_path_config", "invoke_get_egress_pool",
    "invoke_get_egress_source", "invoke_get_queue_config",
    "jsonl.new_multi_tailer", "jsonl.new_tailer", "jsonl.new_writer",
    "mimepart.builder", "mpsc.define", "prometheus_metrics", "shaping.load",
    "spawn_task", "spf.check_host", "string.normalize_smtp_response",
    "string.psl_domain", "string.psl_suffix"};

/* Outside of what this program is for. */
static const char *const never[] = {"amqp.basic_publish", "amqp.build_client",
    "configure_redis_throttles", "kafka.build_producer", "nats.connect",
    "proxy.start_proxy_listener", "xfer.xfer", "xfer.xfer_in_requeue"};

/* Tuning of an engine that we do not have. */
static const char *const ignored[] = {"configure_accounting_db_path",
    "enable_memory_callstack_tracking", "set_config_monitor_interval",
    "set_httpinject_recipient_rate_limit", "set_httpinject_threads",
    "set_logging_threads", "set_lua_gc_on_put", "set_max_cpu_threads",
    "set_memory_hard_limit", "set_memory_low_thresh", "set_memory_soft_limit",
    "set_qmaint_threads", "set_ready_qmaint_threads", "set_readyq_threads",
    "set_smtpsrv_threads", "set_spoolin_threads", "set_spoolout_threads",
    "spawn_thread_pool", "start_http_listener", "start_proxy_listener",
    "suspend_delivery_when_spool_unhealthy"};

static const char *const ignored_in_silence[] = {"get_memory_hard_limit",
    "get_memory_soft_limit", "set_lruttl_cache_capacity"};

/* Modules of their own: require gives a table whose functions raise. */
static const struct {
	const char *module, *function;
} modules[] = {
    {"redis", "open"},
    {"template", "render"},
};

static int l_not_yet(lua_State *L)
{
	return luaL_error(
	    L, "%s is not supported yet", lua_tostring(L, lua_upvalueindex(1)));
}

static int l_never(lua_State *L)
{
	return luaL_error(
	    L, "%s is not supported", lua_tostring(L, lua_upvalueindex(1)));
}

static int l_ignored(lua_State *L)
{
	const char *name = lua_tostring(L, lua_upvalueindex(1));

	if (script_once(script_state_of(L)->policy, name))
		diag_warn("%s has no effect here", name);
	return 0;
}

static int l_silence(lua_State *L)
{
	(void)L;
	return 0;
}

/* Sets kumo.NAME, NAME with dots, unless it is there; kumo is on top. */
static void add(lua_State *L, const char *name, lua_CFunction function)
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
		lua_pushcclosure(L, function, 1);
		lua_setfield(L, -2, part);
	}
	lua_settop(L, top);
}

static void add_module(lua_State *L, const char *module, const char *function)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	luaL_getsubtable(L, -1, module);
	lua_pushfstring(L, "%s.%s", module, function);
	lua_pushcclosure(L, l_not_yet, 1);
	lua_setfield(L, -2, function);
	lua_pop(L, 2);
}

void bind_missing_open(lua_State *L)
{
	for (size_t i = 0; i < COUNT(not_yet); i++)
		add(L, not_yet[i], l_not_yet);
	for (size_t i = 0; i < COUNT(never); i++)
		add(L, never[i], l_never);
	for (size_t i = 0; i < COUNT(ignored); i++)
		add(L, ignored[i], l_ignored);
	for (size_t i = 0; i < COUNT(ignored_in_silence); i++)
		add(L, ignored_in_silence[i], l_silence);
	for (size_t i = 0; i < COUNT(modules); i++)
		add_module(L, modules[i].module, modules[i].function);
}

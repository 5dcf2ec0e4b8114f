/*
 * bind_dns.c - kumo.dns
 *
 * Look-ups wait on the Lua thread, no longer than the event lasts.  A name that
 * does not exist has no TXT and no PTR; for addresses and MX it is an error, as
 * is a server that does not answer.
 */
#include "base/diag.h"
#include "base/ip.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_dns.h"
#include "lua/script_object.h"
#include "lua/script_pool.h"
#include "lua/script_table.h"
#include "policy/param_rows.h"

#define ZONE "penstock.dns_zone"

/* ---- texts ---- */

/* Labels of the address, the last first. */
static void push_reversed(lua_State *L, const struct ip_addr *ip)
{
	static const char hex[] = "0123456789abcdef";
	char text[80], *p = text;

	if (ip->family == AF_INET) {
		snprintf(text, sizeof text, "%u.%u.%u.%u", ip->bytes[3],
		    ip->bytes[2], ip->bytes[1], ip->bytes[0]);
		lua_pushstring(L, text);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		*p++ = hex[ip->bytes[i] & 15];
		*p++ = '.';
		*p++ = hex[ip->bytes[i] >> 4];
		*p++ = '.';
	}
	lua_pushlstring(L, text, (size_t)(p - text) - 1);
}

static struct ip_addr check_ip(lua_State *L, int index)
{
	struct ip_addr ip;

	luaL_argcheck(L, ip_parse(luaL_checkstring(L, index), &ip), index,
	    "not an IP address");
	return ip;
}

static int l_reverse_ip(lua_State *L)
{
	struct ip_addr ip = check_ip(L, 1);

	push_reversed(L, &ip);
	return 1;
}

static int l_ptr_host(lua_State *L)
{
	struct ip_addr ip = check_ip(L, 1);

	push_reversed(L, &ip);
	lua_pushstring(L, ip.family == AF_INET ? ".in-addr.arpa" : ".ip6.arpa");
	lua_concat(L, 2);
	return 1;
}

/* ---- asking ---- */

static struct resolver *check_resolver(lua_State *L, int index)
{
	struct err err = {0};
	struct resolver *resolver =
	    script_resolver(luaL_optstring(L, index, NULL), &err);

	if (!resolver)
		script_raise(L, &err);
	return resolver;
}

/* The answer's arena is boxed, on top of the stack. */
static const struct dns_answer *ask(lua_State *L, struct resolver *resolver,
    const char *name, enum dns_type type)
{
	struct arena *arena = script_box_arena(L);
	const struct dns_answer *answer = resolver_ask_wait(
	    resolver, name, type, script_state_of(L)->deadline, arena);

	script_check_time(L);
	if (answer->status == DNS_FAILED || answer->status == DNS_BOGUS)
		luaL_error(L, "dns: %s: %s", name, answer->why);
	return answer;
}

/* Appends the addresses to the table at `list`. */
static void add_addresses(
    lua_State *L, int list, const struct dns_answer *answer)
{
	char text[IP_TEXT];

	for (size_t i = 0; i < answer->count; i++) {
		lua_pushstring(L, ip_print(text, &answer->rows[i].ip));
		lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
	}
}

/* (name [, resolver [, strategy]]) */
static int l_lookup_addr(lua_State *L)
{
	static const char *const strategies[] = {"Ipv4AndIpv6", "Ipv4Only",
	    "Ipv6Only", "Ipv4thenIpv6", "Ipv6thenIpv4", NULL};
	const char *name = luaL_checkstring(L, 1);
	struct resolver *resolver = check_resolver(L, 2);
	int strategy = luaL_checkoption(L, 3, strategies[0], strategies);
	enum dns_type first = strategy == 2 || strategy == 4 ? DNS_AAAA : DNS_A;
	const struct dns_answer *answer;
	int list;

	lua_newtable(L);
	list = lua_gettop(L);
	answer = ask(L, resolver, name, first);
	if (answer->status == DNS_NXDOMAIN)
		return luaL_error(L, "dns: %s: it does not exist", name);
	add_addresses(L, list, answer);
	if (strategy == 0 || (strategy > 2 && answer->count == 0))
		add_addresses(L, list,
		    ask(L, resolver, name, first == DNS_A ? DNS_AAAA : DNS_A));
	lua_settop(L, list);
	return 1;
}

/* The strings of one record, joined. */
static void push_txt(lua_State *L, const struct dns_row *row)
{
	const unsigned char *p = row->data, *end = p + row->len;
	luaL_Buffer out;

	luaL_buffinit(L, &out);
	while (p < end) {
		size_t len = *p++;

		if (len > (size_t)(end - p))
			len = (size_t)(end - p);
		luaL_addlstring(&out, (const char *)p, len);
		p += len;
	}
	luaL_pushresult(&out);
}

/* (name [, resolver]) */
static int l_lookup_txt(lua_State *L)
{
	const struct dns_answer *answer =
	    ask(L, check_resolver(L, 2), luaL_checkstring(L, 1), DNS_TXT);

	lua_newtable(L);
	for (size_t i = 0; i < answer->count; i++) {
		push_txt(L, &answer->rows[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

/* (ip or name [, resolver]) */
static int l_lookup_ptr(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	struct resolver *resolver = check_resolver(L, 2);
	const struct dns_answer *answer;
	struct ip_addr ip;

	if (ip_parse(name, &ip)) {
		lua_pushcfunction(L, l_ptr_host);
		lua_pushvalue(L, 1);
		lua_call(L, 1, 1);
		name = lua_tostring(L, -1);
	}
	answer = ask(L, resolver, name, DNS_PTR);
	lua_newtable(L);
	for (size_t i = 0; i < answer->count; i++) {
		lua_pushfstring(L, "%s.", answer->rows[i].name);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

/* (ip, zone [, resolver]): address and reason, or nil */
static int l_rbl_lookup(lua_State *L)
{
	struct ip_addr ip = check_ip(L, 1);
	const char *zone = luaL_checkstring(L, 2), *name;
	struct resolver *resolver = check_resolver(L, 3);
	const struct dns_answer *answer;
	char text[IP_TEXT];

	push_reversed(L, &ip);
	name = lua_pushfstring(L, "%s.%s", lua_tostring(L, -1), zone);
	answer = ask(L, resolver, name, DNS_A);
	if (answer->status != DNS_OK || answer->count == 0) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushstring(L, ip_print(text, &answer->rows[0].ip));
	answer = ask(L, resolver, name, DNS_TXT);
	lua_pushvalue(L, -2);
	if (answer->count > 0)
		push_txt(L, &answer->rows[0]);
	else
		lua_pushnil(L);
	return 2;
}

/* ---- MX ---- */

static void set_flag(lua_State *L, const char *name, bool flag)
{
	lua_pushboolean(L, flag);
	lua_setfield(L, -2, name);
}

static void push_host(lua_State *L, const struct mx_result *mx, size_t i)
{
	lua_pushfstring(
	    L, "%s%s", mx->hosts[i].name, mx->is_literal ? "" : ".");
}

/* hosts and by_pref, into the table on top. */
static void set_hosts(lua_State *L, const struct mx_result *mx)
{
	lua_newtable(L); /* hosts */
	lua_newtable(L); /* by_pref */
	for (size_t i = 0; i < mx->count; i++) {
		push_host(L, mx, i);
		lua_rawseti(L, -3, (lua_Integer)i + 1);
		if (lua_rawgeti(L, -1, mx->hosts[i].preference) == LUA_TNIL) {
			lua_pop(L, 1);
			lua_newtable(L);
			lua_pushvalue(L, -1);
			lua_rawseti(L, -3, mx->hosts[i].preference);
		}
		push_host(L, mx, i);
		lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
		lua_pop(L, 1);
	}
	if (mx->status == MX_NULL) {
		lua_pushliteral(L, ".");
		lua_rawseti(L, -3, 1);
	}
	lua_setfield(L, -3, "by_pref");
	lua_setfield(L, -2, "hosts");
}

/* (domain [, resolver]) */
static int l_lookup_mx(lua_State *L)
{
	const char *domain = luaL_checkstring(L, 1);
	struct resolver *resolver = check_resolver(L, 2);
	struct arena **held = script_box_arena_ref(L);
	const struct mx_result *mx =
	    script_mx_lookup(resolver, domain, script_state_of(L)->deadline);
	const char *site;

	*held = mx->arena;
	script_check_time(L);
	site = script_site_name(mx, mx->arena);
	if (!site)
		return luaL_error(L, "dns: %s: %s", domain, mx->why);
	lua_newtable(L);
	lua_pushfstring(L, "%s%s", domain,
	    mx->is_literal || str_ends(domain, ".") ? "" : ".");
	lua_setfield(L, -2, "domain_name");
	set_hosts(L, mx);
	lua_pushstring(L, site);
	lua_setfield(L, -2, "site_name");
	set_flag(L, "is_domain_literal", mx->is_literal);
	set_flag(L, "is_secure", mx->is_secure);
	set_flag(L, "is_mx", !mx->is_literal && !mx->is_implicit);
	lua_pushliteral(L, "None");
	lua_setfield(L, -2, "mta_sts");
	return 1;
}

/* ---- set-up ---- */

static const struct param_set resolver_params;

struct test_config {
	uint64_t given[2];
	struct string_list zones;
};

#define S test_config
static const struct param_spec test_specs[] = {
    P_STRING_LIST(
	S, zones, .help = "Zone files, as text; nothing else exists."),
};
#undef S

static const struct param_set test_params = {
    .name = "Test",
    .intro = "Names for tests.",
    .record_size = sizeof(struct test_config),
    .specs = test_specs,
    .count = COUNT(test_specs),
};

struct resolver_config {
	uint64_t given[2];
	struct string_list name_servers, search;
	const char *domain;
	const struct value *options;
	struct test_config Test;
};

#define S resolver_config
static const struct param_spec resolver_specs[] = {
    P_STRING_LIST(S, name_servers,
	.help = "The server that is asked, as address:port; of several, the "
		"first."),
    P_STRING(S, domain, .flags = PARAM_IGNORED, .help = "Ignored."),
    P_STRING_LIST(S, search, .flags = PARAM_IGNORED, .help = "Ignored."),
    P_MAP(S, options, .flags = PARAM_IGNORED, .help = "Ignored."),
    P_RECORD(S, Test, struct test_config, &test_params,
	.help = "For tests: names that are given here."),
};
#undef S

static bool check_config(const void *record, struct err *err)
{
	const struct resolver_config *config = record;
	bool is_test = param_given(&resolver_params, record, "Test");

	if (is_test && param_given(&resolver_params, record, "name_servers"))
		return err_set(err, ERR_CONFIG,
		    "Test and name_servers exclude each other");
	if (!is_test && config->name_servers.count == 0)
		return err_set(
		    err, ERR_CONFIG, "name_servers: required key is missing");
	return true;
}

static const struct param_set resolver_params = {
    .name = "dns.configure_resolver",
    .intro = "Who is asked for names.",
    .record_size = sizeof(struct resolver_config),
    .specs = resolver_specs,
    .count = COUNT(resolver_specs),
    .check = check_config,
};

/* Is this where the set-up counts? */
static bool settable(lua_State *L, const char *name)
{
	const struct script_state *state = script_state_of(L);

	if (state->phase == SCRIPT_EVENT)
		luaL_error(L, "kumo.dns.%s belongs into the event init", name);
	return state->is_first && state->policy->role != SCRIPT_CHECK;
}

/* A zone that Lua's collector owns. */
static struct dns_zone *push_zone(lua_State *L)
{
	struct dns_zone **held = lua_newuserdatauv(L, sizeof *held, 0);

	*held = NULL;
	luaL_setmetatable(L, ZONE);
	*held = dns_zone_new();
	return *held;
}

static int l_zone_gc(lua_State *L)
{
	struct dns_zone **held = luaL_checkudata(L, 1, ZONE);

	dns_zone_unref(*held);
	*held = NULL;
	return 0;
}

/* Counts in a check too: nobody is asked. */
static int configure_zones(
    lua_State *L, const struct string_list *zones, const char *name)
{
	struct dns_zone *zone = push_zone(L);
	struct err err = {0};

	for (size_t i = 0; i < zones->count; i++)
		if (!dns_zone_add_text(zone, zones->items[i], &err)) {
			(void)err_prefix(&err, "Test.zones[%zu]", i + 1);
			script_raise(L, &err);
		}
	if (script_state_of(L)->is_first &&
	    !script_resolver_define_zone(name, zone, &err))
		script_raise(L, &err);
	return 0;
}

static int configure_server(
    lua_State *L, const char *server, size_t count, const char *name)
{
	char forwarder[80], text[IP_TEXT];
	struct ip_addr ip;
	uint16_t port = 53;
	struct err err = {0};

	if (!ip_parse(server, &ip) && !ip_port_parse(server, &ip, &port))
		return luaL_error(L,
		    "name_servers: invalid value: \"%s\", expected "
		    "address:port",
		    server);
	if (!script_state_of(L)->is_first ||
	    script_state_of(L)->policy->role == SCRIPT_CHECK)
		return 0;
	if (count > 1)
		diag_warn("kumo.dns: of several name_servers only %s is asked",
		    server);
	snprintf(
	    forwarder, sizeof forwarder, "%s@%u", ip_print(text, &ip), port);
	if (!script_resolver_define(name, forwarder, &err))
		script_raise(L, &err);
	return 0;
}

static int configure(lua_State *L, int index, const char *name)
{
	const struct resolver_config *config;
	struct arena *arena;
	void *record;

	lua_settop(L, index);
	arena = script_box_arena(L);
	(void)script_params_check(L, index, &resolver_params, arena, &record);
	config = record;
	if (param_given(&resolver_params, record, "Test"))
		return configure_zones(L, &config->Test.zones, name);
	return configure_server(
	    L, config->name_servers.items[0], config->name_servers.count, name);
}

static int l_configure_resolver(lua_State *L)
{
	(void)settable(L, "configure_resolver");
	return configure(L, 1, NULL);
}

static int l_define_resolver(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	luaL_argcheck(L, *name, 1, "a name");
	(void)settable(L, "define_resolver");
	return configure(L, 2, name);
}

static int l_set_mx_timeout(lua_State *L)
{
	int64_t ms = script_check_duration(L, 1);

	luaL_argcheck(L, ms > 0, 1, "must be positive");
	if (settable(L, "set_mx_timeout"))
		script_mx_timeout_set(ms);
	return 0;
}

/* libunbound's own rules. */
static int l_set_mx_negative_cache_ttl(lua_State *L)
{
	(void)script_check_duration(L, 1);
	if (settable(L, "set_mx_negative_cache_ttl"))
		diag_warn("kumo.dns.set_mx_negative_cache_ttl has no effect: "
			  "answers are kept as long as the DNS says");
	return 0;
}

static int l_set_mx_concurrency_limit(lua_State *L)
{
	luaL_argcheck(L, luaL_checkinteger(L, 1) > 0, 1, "must be positive");
	if (settable(L, "set_mx_concurrency_limit"))
		diag_warn("kumo.dns.set_mx_concurrency_limit has no effect: "
			  "it is always 128");
	return 0;
}

static int l_set_mta_sts_enabled(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TBOOLEAN);
	if (settable(L, "set_mta_sts_enabled"))
		script_state_of(L)->policy->setup.mta_sts_disabled =
		    !lua_toboolean(L, 1);
	return 0;
}

static const luaL_Reg functions[] = {
    /* (domain [, resolver]): table with hosts, site_name, by_pref, ... */
    {"lookup_mx", l_lookup_mx},
    /* (name [, resolver [, strategy]]): array of addresses */
    {"lookup_addr", l_lookup_addr},
    /* (name [, resolver]): array of texts */
    {"lookup_txt", l_lookup_txt},
    /* (ip [, resolver]): array of names */
    {"lookup_ptr", l_lookup_ptr},
    /* (ip): the name to ask for PTR */
    {"ptr_host", l_ptr_host},
    /* (ip): its labels, reversed */
    {"reverse_ip", l_reverse_ip},
    /* (ip, zone [, resolver]): address and reason, or nil */
    {"rbl_lookup", l_rbl_lookup},
    /* {name_servers = {"address:port"}} or {Test = {zones = {text}}}: in
     * init */
    {"configure_resolver", l_configure_resolver},
    /* (name, the same): one more, for the argument `resolver` */
    {"define_resolver", l_define_resolver},
    /* (duration): for lookup_mx; 5 seconds */
    {"set_mx_timeout", l_set_mx_timeout},
    /* (duration): no effect */
    {"set_mx_negative_cache_ttl", l_set_mx_negative_cache_ttl},
    /* (number): no effect */
    {"set_mx_concurrency_limit", l_set_mx_concurrency_limit},
    /* (boolean): whether the router follows MTA-STS policies; a change needs
     * a restart of it */
    {"set_mta_sts_enabled", l_set_mta_sts_enabled},
    {NULL, NULL},
};

void bind_dns_open(lua_State *L)
{
	script_table_class(L, ZONE, NULL, l_zone_gc);
	luaL_getsubtable(L, -1, "dns");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}

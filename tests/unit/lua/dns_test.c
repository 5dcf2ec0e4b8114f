/*
 * dns_test.c - kumo.dns, against a name server of the test
 */
#include "base/clock.h"
#include "lua_test.h"
#include "tests/unit/net/dns_stub.h"

static const struct dns_stub_row zone[] = {
    {"example.com", DNS_MX, "10 mx1.example.com"},
    {"example.com", DNS_MX, "20 mx2.example.com"},
    {"mx1.example.com", DNS_A, "192.0.2.1"},
    {"mx2.example.com", DNS_A, "192.0.2.2"},
    {"mx2.example.com", DNS_AAAA, "2001:db8::2"},
    {"example.com", DNS_TXT, "v=spf1 -all"},
    {"null.example.com", DNS_MX, "0 ."},
    {"1.2.0.192.in-addr.arpa", DNS_PTR, "mx1.example.com"},
    {"9.2.0.192.rbl.example.com", DNS_A, "127.0.0.2"},
    {"9.2.0.192.rbl.example.com", DNS_TXT, "bad"},
    {"broken.example.com", DNS_A, STUB_SERVFAIL},
    {"silent.example.com", DNS_A, STUB_SILENCE},
};

static const struct eval_case cases[] = {
    {"addresses", "return kumo.dns.lookup_addr 'mx2.example.com'",
	"[\"192.0.2.2\",\"2001:db8::2\"]"},
    {"one family",
	"return kumo.dns.lookup_addr('mx2.example.com', nil, 'Ipv6Only')",
	"[\"2001:db8::2\"]"},
    {"first one family, then the other",
	"return kumo.dns.lookup_addr('mx1.example.com', nil, 'Ipv6thenIpv4')",
	"[\"192.0.2.1\"]"},
    {"no such name", "kumo.dns.lookup_addr 'nowhere.example.com'",
	"nowhere.example.com: it does not exist"},
    {"a server that fails", "kumo.dns.lookup_addr 'broken.example.com'",
	"broken.example.com: "},
    {"text", "return kumo.dns.lookup_txt 'example.com'", "[\"v=spf1 -all\"]"},
    {"no text", "return #kumo.dns.lookup_txt 'nowhere.example.com'", "0"},
    {"a name of an address", "return kumo.dns.lookup_ptr '192.0.2.1'",
	"[\"mx1.example.com.\"]"},
    {"a block list",
	"return {kumo.dns.rbl_lookup('192.0.2.9', "
	"'rbl.example.com')}",
	"[\"127.0.0.2\",\"bad\"]"},
    {"not in the list",
	"return kumo.dns.rbl_lookup('192.0.2.8', 'rbl.example.com') == nil",
	"true"},
    {"mail hosts",
	"local m = kumo.dns.lookup_mx 'example.com' "
	"return {m.domain_name, m.hosts, m.site_name, m.by_pref[10], "
	"m.by_pref[20], m.is_domain_literal, m.is_mx, m.is_secure, m.mta_sts}",
	"[\"example.com.\",[\"mx1.example.com.\",\"mx2.example.com.\"],"
	"\"(mx1|mx2).example.com\",[\"mx1.example.com.\"],"
	"[\"mx2.example.com.\"],false,true,false,\"None\"]"},
    {"a host is its own",
	"local m = kumo.dns.lookup_mx 'mx1.example.com' "
	"return {m.hosts, m.is_mx}",
	"[[\"mx1.example.com.\"],false]"},
    {"a literal",
	"local m = kumo.dns.lookup_mx '[192.0.2.7]' "
	"return {m.hosts, m.is_domain_literal}",
	"[[\"192.0.2.7\"],true]"},
    {"no mail at all", "return kumo.dns.lookup_mx('null.example.com').hosts",
	"[\".\"]"},
    {"no mail hosts", "kumo.dns.lookup_mx 'nowhere.example.com'",
	"dns: nowhere.example.com: "},
    {"a resolver of one's own",
	"return kumo.dns.lookup_txt('example.com', 'mine')",
	"[\"v=spf1 -all\"]"},
    {"a resolver that is not there", "kumo.dns.lookup_txt('example.com', 'x')",
	"the resolver \"x\" is not defined"},
    {"reversed", "return kumo.dns.reverse_ip '192.0.2.1'", "\"1.2.0.192\""},
    {"reversed IPv6", "return #kumo.dns.reverse_ip '2001:db8::1'", "63"},
    {"ptr_host",
	"return {kumo.dns.ptr_host '127.0.0.1', "
	"kumo.dns.ptr_host('::1'):sub(-12)}",
	"[\"1.0.0.127.in-addr.arpa\",\"0.0.ip6.arpa\"]"},
    {"not an address", "kumo.dns.ptr_host 'x'", "not an IP address"},
    {"set up too late",
	"kumo.dns.configure_resolver{name_servers={'127.0.0.1:53'}}",
	"belongs into the event init"},
};

static struct dns_stub *stub;

static void set_up(void)
{
	stub = dns_stub_start(zone, COUNT(zone));
}

static void tear_down(void)
{
	dns_stub_stop(stub);
}

/* The policy's resolver is the stub; its forwarder reads ADDRESS@PORT. */
static const char *prologue(void)
{
	static char text[512];
	char server[64];

	snprintf(server, sizeof server, "%s", dns_stub_forwarder(stub));
	*strchr(server, '@') = ':';
	snprintf(text, sizeof text,
	    "kumo.on('init', function() "
	    "local c = {name_servers={'%s'}} kumo.dns.configure_resolver(c) "
	    "kumo.dns.define_resolver('mine', c) "
	    "kumo.dns.set_mx_timeout '20s' end)",
	    server);
	return text;
}

START_TEST(a_policy_asks_the_dns)
{
	struct eval_case c = cases[_i];

	c.policy = prologue();
	check_eval(&c);
}
END_TEST

/* The deadline of the event is the question's too. */
START_TEST(a_silent_server_costs_no_more_than_the_event)
{
	struct buf text = BUF_INIT;

	buf_addf(&text,
	    "%s kumo.on('e', function() "
	    "kumo.dns.lookup_addr 'silent.example.com' end)",
	    prologue());
	check_expires(buf_str(&text));
	buf_release(&text);
}
END_TEST

/* {Test = ...}: nobody is asked, the zones are all there is. */
static const char zones[] =
    "local zones = {[[\n"
    "$ORIGIN example.net.\n"
    "@ 300 MX 10 mx\n"
    "mx 300 A 192.0.2.25\n"
    "]], [[\n"
    "example.org. 300 IN TXT \"v=spf1 -all\"\n"
    "*.rbl.example.org. 60 IN A 127.0.0.2\n"
    "]]} "
    "kumo.on('init', function() "
    "kumo.dns.configure_resolver{Test={zones={zones[1]}}} "
    "kumo.dns.define_resolver('other', {Test={zones={zones[2]}}}) end)";

static const struct eval_case in_zones[] = {
    {"mail hosts from a zone",
	"return {kumo.dns.lookup_mx('example.net').hosts, "
	"kumo.dns.lookup_addr 'mx.example.net'}",
	"[[\"mx.example.net.\"],[\"192.0.2.25\"]]", zones},
    {"what is not in it does not exist",
	"kumo.dns.lookup_addr 'mx.example.org'",
	"mx.example.org: it does not exist", zones},
    {"a resolver with zones of its own",
	"return {kumo.dns.lookup_txt('example.org', 'other'), "
	"kumo.dns.rbl_lookup('192.0.2.1', 'rbl.example.org', 'other')}",
	"[[\"v=spf1 -all\"],\"127.0.0.2\"]", zones},
    {"the default one does not know them",
	"return #kumo.dns.lookup_txt 'example.org'", "0", zones},
};

START_TEST(a_policy_can_be_given_zones)
{
	check_eval(&in_zones[_i]);
}
END_TEST

static const struct {
	const char *label, *policy, *want;
} wrong[] = {
    {"a zone with a faulty line",
	"kumo.on('init', function() kumo.dns.configure_resolver{"
	"Test={zones={'a. A 192.0.2.1', 'a. A nonsense'}}} end)",
	"Test.zones[2]: line 1: "},
    {"a zone and a server",
	"kumo.on('init', function() kumo.dns.configure_resolver{"
	"Test={zones={}}, name_servers={'127.0.0.1:53'}} end)",
	"Test and name_servers exclude each other"},
    {"something else for tests",
	"kumo.on('init', function() kumo.dns.configure_resolver{"
	"Test={records={}}} end)",
	"unknown key \"records\""},
    {"no servers",
	"kumo.on('init', function() kumo.dns.configure_resolver{} end)",
	"name_servers: required key is missing"},
    {"a server by name",
	"kumo.on('init', function() "
	"kumo.dns.configure_resolver{name_servers={'ns.example'}} end)",
	"name_servers: invalid value: \"ns.example\""},
};

START_TEST(a_bad_set_up_does_not_load)
{
	const char *got = load_error(wrong[_i].policy, SCRIPT_MILTER);

	ck_assert_msg(strstr(got, wrong[_i].want) != NULL, "%s: %s",
	    wrong[_i].label, got);
}
END_TEST

Suite *dns_suite(void)
{
	Suite *suite = suite_create("dns");
	TCase *tcase = tcase_create("dns");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, a_policy_asks_the_dns, 0, COUNT(cases));
	tcase_add_test(tcase, a_silent_server_costs_no_more_than_the_event);
	tcase_add_loop_test(
	    tcase, a_policy_can_be_given_zones, 0, COUNT(in_zones));
	tcase_add_loop_test(tcase, a_bad_set_up_does_not_load, 0, COUNT(wrong));
	suite_add_tcase(suite, tcase);
	return suite;
}

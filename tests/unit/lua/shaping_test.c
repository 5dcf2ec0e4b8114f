/*
 * shaping_test.c - kumo.shaping and policy-extras.shaping, with zones of the
 * test
 */
#include "base/clock.h"
#include "base/json.h"
#include "lua/script_dns.h"
#include "lua_test.h"
#include "tests/unit/net/dns_stub.h"

/* own.test has hosts of its own, a.test and b.test share theirs, big.test and
 * hosted.test are the big provider's, mixed.test only half. */
static const char zones[] =
    "local zone = [[\n"
    "$ORIGIN test.\n"
    "own 300 MX 10 mx.own\n"
    "mx.own 300 A 192.0.2.1\n"
    "a 300 MX 10 mx1.ab\n"
    "a 300 MX 10 mx2.ab\n"
    "b 300 MX 20 mx2.ab\n"
    "b 300 MX 10 mx1.ab\n"
    "mx1.ab 300 A 192.0.2.2\n"
    "mx2.ab 300 A 192.0.2.3\n"
    "big 300 MX 10 mx1.big\n"
    "hosted 300 MX 10 mx2.big\n"
    "mixed 300 MX 10 mx1.big\n"
    "mixed 300 MX 10 mx.own\n"
    "mx1.big 300 A 192.0.2.4\n"
    "mx2.big 300 A 192.0.2.5\n"
    "null 300 MX 0 .\n"
    "]] "
    "kumo.on('init', function() "
    "kumo.dns.configure_resolver{Test={zones={zone}}} end) "
    "function load(files, o) return kumo.shaping.load(files, o) end "
    "function toml(...) local t = {} for i, s in ipairs{...} do "
    "t[i] = kumo.toml_parse(s) end return t end "
    "function get(files, domain, source, site) "
    "return load(toml(table.unpack(files))):get_egress_path_config("
    "domain, source or 'ip-1', "
    "site or kumo.dns.lookup_mx(domain).site_name) end ";

static const char with_handler[] =
    "kumo.on('init', function() kumo.dns.configure_resolver{Test={zones={"
    "'a.test. MX 10 mx1.ab.test.\\na.test. MX 10 mx2.ab.test.\\n"
    "mx1.ab.test. A 192.0.2.1'}}} end) "
    "S = require('policy-extras.shaping'):setup_with_automation {"
    "extra_files = {kumo.toml_parse "
    "'[\"a.test\"]\\nconnection_limit = 2'}, "
    "publish = {}, subscribe = {}, no_default_files = true} ";

#define LIMIT(n) "connection_limit = " #n "\\n"
#define BIG                                                                    \
	"'[provider.big]\\nmatch = [{ MXSuffix = \".big.test\" }]\\n"          \
	"provider_connection_limit = 7\\nprovider_max_message_rate = "         \
	"\"5/s\"\\nprovider_source_selection_rate = \"9/h\"'"

static const struct eval_case cases[] = {
    {"default is for every site",
	"return get({'[default]\\n" LIMIT(3) "'}, 'x.test', 's', 'x')",
	"{\"connection_limit\":3}", zones},
    {"a section is for all domains with the hosts of its domain",
	"local f = {'[\"a.test\"]\\n" LIMIT(
	    4) "'} "
	       "return {get(f, 'a.test').connection_limit, "
	       "get(f, 'b.test').connection_limit, get(f, 'own.test') == nil, "
	       "get(f, 'own.test').connection_limit == nil}",
	"[4,4,false,true]", zones},
    {"mx_rollup = false: for its domain alone",
	"local f = {'[\"A.test\"]\\nmx_rollup = false\\n" LIMIT(
	    4) "'} "
	       "return {get(f, 'a.test').connection_limit, "
	       "get(f, 'b.test').connection_limit == nil}",
	"[4,true]", zones},
    {"default, provider, site and domain, in this order",
	"local all = {'[default]\\n" LIMIT(
	    1) "', '[provider.p]\\n"
	       "match = [{ DomainSuffix = \"a.test\" }]\\n" LIMIT(
		   2) "', "
		      "'[\"b.test\"]\\n" LIMIT(
			  3) "', "
			     "'[\"a.test\"]\\nmx_rollup = false\\n" LIMIT(
				 4) "'} "
				    "local out = {} for i = 1, 4 do "
				    "out[i] = get({table.unpack(all, 1, i)}, "
				    "'a.test').connection_limit "
				    "end return out",
	"[1,2,3,4]", zones},
    {"what is said of a source counts more, in the same order",
	"local all = {'[\"a.test\"]\\nmx_rollup = false\\n" LIMIT(
	    1) "', "
	       "'[\"b.test\".sources.\"ip-1\"]\\n" LIMIT(
		   2) "', "
		      "'[\"a.test\"]\\nmx_rollup = false\\n"
		      "[\"a.test\".sources.\"ip-1\"]\\n" LIMIT(
			  3) "'} "
			     "local out = {} for i = 1, 3 do "
			     "out[i] = get({table.unpack(all, 1, i)}, "
			     "'a.test').connection_limit "
			     "end out[4] = get(all, 'a.test', "
			     "'ip-2').connection_limit return out",
	"[1,2,3,1]", zones},
    {"a source of default, and of a provider",
	"local all = {'[default]\\n" LIMIT(
	    1) "\\n"
	       "[default.sources.\"ip-1\"]\\n" LIMIT(
		   2) "', "
		      "'[provider.p]\\nmatch = [{ DomainSuffix = \".test\" "
		      "}]\\n"
		      "[provider.p.sources.\"ip-1\"]\\n" LIMIT(
			  3) "'} "
			     "local out = {} for i = 1, 2 do "
			     "out[i] = get({table.unpack(all, 1, i)}, "
			     "'a.test').connection_limit "
			     "end out[3] = get(all, 'a.test', "
			     "'ip-2').connection_limit return out",
	"[2,3,1]", zones},
    {"later files add to a section, and override it",
	"return get({'[\"a.test\"]\\n" LIMIT(1) "smtp_port = 26', "
						"'[\"a.test\"]\\n" LIMIT(
						    2) "'}, 'a.test')",
	"{\"connection_limit\":2,\"smtp_port\":26}", zones},
    {"replace_base forgets what earlier files said, and default",
	"return get({'[default]\\nmax_ready = 9\\n[\"a.test\"]\\nsmtp_port = "
	"26', '[\"a.test\"]\\nreplace_base = true\\n" LIMIT(
	    2) "', "
	       "'[\"a.test\"]\\nidle_timeout = \"1s\"'}, 'a.test')",
	"{\"connection_limit\":2,\"idle_timeout\":\"1s\"}", zones},
    {"replace_base of a provider forgets its matches and limits",
	"local f = {" BIG ", '[provider.big]\\nreplace_base = true\\n"
	"match = [{ DomainSuffix = \"own.test\" }]'} "
	"return {get(f, 'big.test'), get(f, 'own.test')}",
	"[{},{\"provider_name\":\"big\"}]", zones},
    {"named limits are merged by name",
	"return get({'[default]\\nadditional_connection_limits = { a = 1, b = "
	"2 }', '[\"a.test\"]\\nadditional_connection_limits = { b = 3, c = 4 "
	"}'}, 'a.test')",
	"{\"additional_connection_limits\":{\"a\":1,\"b\":3,\"c\":4}}", zones},
    {"a provider: its name, and what its sites share for each source",
	"return get({" BIG "}, 'hosted.test')",
	"{\"additional_connection_limits\":{"
	"\"shaping-provider-big-ip-1-limit\":7},"
	"\"additional_message_rate_throttles\":{"
	"\"shaping-provider-big-ip-1-rate\":\"5/s\"},"
	"\"additional_source_selection_rates\":{"
	"\"shaping-provider-big-ip-1-selection-rate\":\"9/h\"},"
	"\"provider_name\":\"big\"}",
	zones},
    {"the rate of choice of one source",
	"return get({" BIG ", '[provider.big.sources.\"ip-1\"]\\n"
	"provider_source_selection_rate = \"1/h\"'}, 'big.test')"
	".additional_source_selection_rates",
	"{\"shaping-provider-big-ip-1-selection-rate\":\"1/h\"}", zones},
    {"only when all hosts are the provider's",
	"local f = {" BIG "} local out = {} for i, d in ipairs{'big.test', "
	"'hosted.test', 'mixed.test', 'own.test', 'null.test'} do "
	"out[i] = get(f, d).provider_name == 'big' end return out",
	"[true,true,false,false,false]", zones},
    {"by the name of the host, and by that of the domain",
	"local f = {'[provider.p]\\nmatch = [{ HostName = \"MX.own.test.\" }, "
	"{ DomainSuffix = \".big.test\" }]'} return {"
	"get(f, 'own.test').provider_name, "
	"get(f, 'x.big.test', 's', 'x').provider_name, "
	"get(f, 'big.test').provider_name == nil}",
	"[\"p\",\"p\",true]", zones},
    {"when the domain has no hosts, the site's name tells whose it is",
	"local f = {" BIG "} return {"
	"get(f, 'gone.test', 's', '(mx1|mx2).big.test').provider_name, "
	"get(f, 'gone.test', 's', '(mx1.big|mx.own).test').provider_name "
	"== nil, get(f, '[192.0.2.1]', 's', '192.0.2.1').provider_name == nil}",
	"[\"big\",true,true]", zones},
    {"what it returned can be changed, and serves the next one as before",
	"local d = load(toml('[default]\\n"
	"additional_connection_limits = { a = 1 }')) "
	"local one = d:get_egress_path_config('x.test', 's', 'x') "
	"one.additional_connection_limits.a = 5 one.smtp_port = 1 "
	"return d:get_egress_path_config('x.test', 's', 'x')",
	"{\"additional_connection_limits\":{\"a\":1}}", zones},
    {"memoize keeps it, as often as you like",
	"local function memo(f, n) return kumo.memoize(f, {name = n, ttl = "
	"'1h', capacity = 1}) end "
	"local f = memo(memo(function() return "
	"load(toml('[\"a.test\"]\\n" LIMIT(
	    2) "', " BIG ")) end, 'one'), 'two') "
	       "return {f():get_egress_path_config('b.test', 's', "
	       "'(mx1|mx2).ab.test').connection_limit, "
	       "f():get_egress_path_config('big.test', 's', "
	       "'mx1.big.test').provider_name, #f():get_errors()}",
	"[2,\"big\",0]", zones},
    {"hash changes with what is in it",
	"local function h(n) return load(toml('[default]\\n"
	"connection_limit = ' .. n)):hash() end "
	"return {h(1) == h(1), h(1) == h(2), #h(1)}",
	"[true,false,64]", zones},
    {"sources that are named",
	"return load(toml('[default.sources.x]\\n[\"a.test\".sources.y]\\n"
	"[\"own.test\"]\\nmx_rollup = false\\n[\"own.test\".sources.y]\\n"
	"[provider.p]\\nmatch = [{ DomainSuffix = \"z\" }]\\n"
	"[provider.p.sources.x]')):get_referenced_sources()",
	"{\"x\":[\"default\",\"provider:p\"],\"y\":[\"domain:own.test\","
	"\"site:(mx1|mx2).ab.test\"]}",
	zones},
    {"dns_fail",
	"local f = toml('[\"gone.test\"]\\n[default]\\n" LIMIT(
	    2) "') "
	       "return {#load(f):get_warnings(), "
	       "#load(f, {dns_fail = 'Error'}):get_errors(), "
	       "load(f, {dns_fail = 'Warn'}):get_warnings()[1], "
	       "load(f):get_egress_path_config('x', 's', 'x')"
	       ".connection_limit}",
	"[0,1,\"gone.test: no mail hosts found: MX gone.test: no such domain; "
	"its section is not used\",2]",
	zones},
    {"null_mx",
	"return load(toml '[\"null.test\"]', "
	"{null_mx = 'Warn'}):get_warnings()",
	"null.test takes no mail (null MX)", zones},
    {"aliased_site",
	"return load(toml '[\"a.test\"]\\n[\"b.test\"]', "
	"{aliased_site = 'Warn'}):get_warnings()",
	"a.test, b.test have the same mail hosts, (mx1|mx2).ab.test", zones},
    {"provider_overlap",
	"return load(toml('[\"big.test\"]', " BIG "), "
	"{provider_overlap = 'Warn'}):get_warnings()",
	"shaping: [\\\"big.test\\\"] is also matched by the provider big",
	zones},
    {"local_load",
	"local f = {'/nonexistent.toml'} "
	"return {load(f):get_errors(), "
	"#load(f, {local_load = 'Ignore'}):get_errors()}",
	"[[\"open /nonexistent.toml: No such file or directory\"],0]", zones},
    {"a file elsewhere", "load{'https://x.test/shaping.toml'}",
	"https://x.test/shaping.toml: shaping data is not fetched", zones},
    {"a file elsewhere may be left out",
	"return load({'https://x.test/shaping.toml'}, "
	"{skip_remote = true}):get_warnings()",
	"left out, because of skip_remote", zones},
    {"an option that is not there", "load({}, {bogus = 1})",
	"kumo.shaping.load: invalid field \"bogus\"", zones},
    {"a level that is not there", "load({}, {dns_fail = 'Panic'})",
	"dns_fail: invalid value: \"Panic\", expected one of Ignore, Warn, "
	"Error",
	zones},
    {"rules of automation are read, and not followed",
	"local d = load(toml '[[default.automation]]\\nregex = [\"a\", \"b\"]"
	"\\naction = [\"Suspend\", { SetConfig = { name = "
	"\"connection_limit\", value = 1 } }]\\nduration = \"1h\"\\n"
	"trigger = { Threshold = \"2/hr\" }\\nmatch_internal = true') "
	"return d:get_warnings()",
	"[\"1 rules of automation are not followed: there is no automation "
	"here\"]",
	zones},
    {"match_rules", "load({}):match_rules({})", "match_rules is not supported",
	zones},
    {"a method without its object", "load({}).hash({})",
	"penstock.shaping expected, got table", zones},
    {"arguments", "load({}):get_egress_path_config('a', 'b')",
	"invalid argument 3: nil, expected text", zones},
    {"site names of many domains",
	"local d = {} for i = 1, 100 do d[i] = 'x' .. i .. '.test' end "
	"d[101], d[102], d[103] = 'a.test', 'null.test', 'mx.own.test' "
	"local names, why = penstock.site_names(d) "
	"return {names['a.test'], names['null.test'], names['mx.own.test'], "
	"names['x7.test'] == nil, why['x100.test'], why['a.test'] == nil}",
	"[\"(mx1|mx2).ab.test\",\"\",\"mx.own.test\",true,\"MX x100.test: no "
	"such domain\",true]",
	zones},
    {"domains are texts", "penstock.site_names{'a.test', {}}",
	"site_names: [2] is not text, but a table", zones},
    {"the handler makes paths, or fields for those who ask",
	"local get = S.get_egress_path_config "
	"local site = '(mx1|mx2).ab.test' "
	"return {get('b.test', 's', site).connection_limit, "
	"get('b.test', 's', site).smtp_port, "
	"get('b.test', 's', site, true), "
	"S.get_queue_config('x') == nil, "
	"S.should_enqueue_log_record({}, 'x') == nil, "
	"S.setup_publish() == nil}",
	"[2,25,{\"connection_limit\":2},true,true,true]", with_handler},
    {"automation is refused",
	"require('policy-extras.shaping'):setup_with_automation {"
	"publish = {'http://127.0.0.1:8008'}, subscribe = {}}",
	"publish must be empty: there is no traffic-shaping automation here",
	zones},
    {"and so are its orders",
	"require('policy-extras.shaping'):setup_with_automation {"
	"publish = {}, subscribe = {'http://127.0.0.1:8008'}}",
	"subscribe must be empty", zones},
};

START_TEST(shaping_follows_its_files)
{
	check_eval(&cases[_i]);
}
END_TEST

/* ---- what is wrong in a file ---- */

static const struct {
	const char *label, *name, *text, *want;
} wrong[] = {
    {"an unknown key", "s.toml", "[\"a.test\"]\nbogus = 1",
	"s.toml: [\"a.test\"]: unknown key \"bogus\""},
    {"a wrong value", "s.toml", "[\"a.test\"]\nconnection_limit = 0",
	"s.toml: [\"a.test\"]: connection_limit: 0 is less than 1"},
    {"in JSON", "s.json", "{\"default\": {\"max_message_rate\": \"x\"}}",
	"s.json: [\"default\"]: max_message_rate: invalid value: rate \"x\""},
    {"of a source", "s.toml", "[default.sources.\"ip-1\"]\nenable_tls = \"x\"",
	"s.toml: [\"default\"]: sources.\"ip-1\": enable_tls: invalid value"},
    {"of a provider", "s.toml", "[provider.p]\nprovider_connection_limit = 0\n",
	"s.toml: [provider.\"p\"]: provider_connection_limit: 0 is less than"},
    {"the rate of a source's choice", "s.toml",
	"[provider.p.sources.x]\nprovider_source_selection_rate = 0\n",
	"[provider.\"p\"]: sources.\"x\": provider_source_selection_rate: "},
    {"a key of providers elsewhere", "s.toml",
	"[\"a.test\"]\nprovider_connection_limit = 3\n",
	"unknown key \"provider_connection_limit\""},
    {"a match", "s.toml", "[provider.p]\nmatch = [{ Suffix = \"x\" }]",
	"[provider.\"p\"]: match[1]: invalid value: {[\"Suffix\"]=\"x\"}, "
	"expected { MXSuffix = TEXT }"},
    {"mx_rollup", "s.toml", "[\"a.test\"]\nmx_rollup = 1",
	"[\"a.test\"]: mx_rollup: invalid type: 1, expected true or false"},
    {"replace_base", "s.toml", "[\"a.test\"]\nreplace_base = \"no\"",
	"replace_base: invalid type: \"no\", expected true or false"},
    {"no table", "s.toml", "connection_limit = 1",
	"[\"connection_limit\"]: invalid type: 1, expected a table"},
    {"sources are tables", "s.toml", "[default]\nsources = 1",
	"[\"default\"]: sources: invalid type: 1, expected a table"},
    {"a domain without quotes", "s.toml", "[a.test]\nconnection_limit = 1",
	"[\"a\"] (a domain stands in quotes, [\"a.com\"]): unknown key"},
    {"a wildcard", "s.toml", "[\"*\"]\nconnection_limit = 1",
	"there are no wildcards; [default] is for every site"},
    {"what a field needs beside it", "s.toml",
	"[\"a.test\"]\nsmtp_auth_plain_password = { key_data = \"hush\" }",
	"s.toml: [\"a.test\"]: smtp_auth_plain_username: required with"},
    {"what a field of a source needs beside it", "s.toml",
	"[\"a.test\".sources.x]\n"
	"smtp_auth_plain_password = { key_data = \"hush\" }",
	"s.toml: [\"a.test\"]: sources.\"x\": smtp_auth_plain_username"},
    {"TOML", "s.toml", "[default", "s.toml: line 1, column 9: "},
    {"JSON", "s.json", "{", "s.json: invalid JSON: line 1: "},
    {"neither", "s.conf", "[", "; as JSON: "},
    {"a rule without a duration", "s.toml",
	"[[default.automation]]\nregex = \"a\"\naction = \"Suspend\"",
	"automation[1]: invalid: the field duration is missing"},
    {"a rule with something else", "s.toml",
	"[[default.automation]]\nreg = \"a\"",
	"automation[1]: invalid field \"reg\"; known: action, duration"},
    {"the action of a rule", "s.toml",
	"[[default.automation]]\naction = \"Stop\"",
	"automation[1]: action: invalid value: \"Stop\", expected one of"},
    {"what an action sets", "s.toml",
	"[[provider.p.automation]]\n"
	"action = { SetConfig = { name = \"bogus\", value = 1 } }",
	"automation[1]: action: unknown key \"bogus\""},
    {"the trigger of a rule", "s.toml",
	"[[default.automation]]\ntrigger = \"Late\"",
	"automation[1]: trigger: invalid value: \"Late\", expected"},
    {"its threshold", "s.toml",
	"[[default.automation]]\ntrigger = { Threshold = \"x\" }",
	"automation[1]: trigger: Threshold: invalid value: rate \"x\""},
    {"the duration of a rule", "s.toml",
	"[[default.automation]]\nduration = \"x\"",
	"automation[1]: duration: invalid value: duration \"x\""},
    {"the pattern of a rule", "s.toml",
	"[[default.automation]]\nregex = [\"a\", 1]",
	"automation[1]: regex: invalid type: 1, expected text"},
};

static const char *policy_with(const char *path)
{
	static char text[512];

	snprintf(text, sizeof text,
	    "kumo.on('get_egress_path_config', "
	    "require('policy-extras.shaping'):setup '%s')",
	    path);
	return text;
}

/* Without the DNS, which cannot be asked here, and before anything starts. */
START_TEST(a_mistake_is_found_when_the_policy_is_loaded)
{
	const char *policy =
	    policy_with(write_file(wrong[_i].name, wrong[_i].text));
	const char *got = load_error(policy, SCRIPT_CHECK);

	ck_assert_msg(strstr(got, wrong[_i].want) != NULL, "%s: %s",
	    wrong[_i].label, got);
	got = load_error(policy, SCRIPT_ROUTER);
	ck_assert_msg(strstr(got, wrong[_i].want) != NULL, "%s: %s",
	    wrong[_i].label, got);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_a_mistake)
{
	const char *got =
	    load_error(policy_with("/nonexistent/s.toml"), SCRIPT_ROUTER);

	ck_assert_msg(
	    strstr(got, "open /nonexistent/s.toml: No such file") != NULL, "%s",
	    got);
}
END_TEST

/* The example of the language's users: several states, one answer. */
START_TEST(the_event_is_answered_from_the_files)
{
	struct buf policy = BUF_INIT;
	struct script_policy *p;
	struct script_call *call;
	struct buf got = BUF_INIT;

	buf_addf(&policy, "%s %s", zones,
	    policy_with(write_file("s.toml",
		"[default]\nconnection_limit = 5\n"
		"[\"b.test\"]\nmax_message_rate = \"2/s\"\n")));
	p = load_policy(buf_str(&policy));
	call = script_call_new(p, "get_egress_path_config");
	script_arg_string(call, "a.test");
	script_arg_string(call, "ip-1");
	script_arg_string(call, "(mx1|mx2).ab.test");
	(void)script_call_run(call, clock_now_ms() + 30000);
	if (script_call_outcome(call) == SCRIPT_VALUE)
		json_write(&got, script_call_result(call));
	else
		buf_addstr(&got, script_call_error(call));
	ck_assert_str_eq(buf_str(&got),
	    "{\"connection_limit\":5,\"max_message_rate\":\"2/s\"}");
	buf_release(&got);
	buf_release(&policy);
	script_call_free(call);
	end_policy(p);
}
END_TEST

static void check_site(struct script_policy *p, const char *want)
{
	struct script_call *call = run_event(p, "sites", NULL);
	struct buf got = BUF_INIT;

	ck_assert_int_eq(script_call_outcome(call), SCRIPT_VALUE);
	json_write(&got, script_call_result(call));
	ck_assert_str_eq(buf_str(&got), want);
	buf_release(&got);
	script_call_free(call);
}

START_TEST(a_domain_that_is_gone_keeps_the_hosts_that_it_had)
{
	struct dns_zone *nothing = dns_zone_new();
	struct err err = {0};
	struct buf policy = BUF_INIT;
	struct script_policy *p;

	buf_addf(&policy,
	    "%s kumo.on('sites', function() "
	    "local names, why = penstock.site_names{'a.test', 'x.test'} "
	    "return {names['a.test'], why['a.test'] ~= nil, "
	    "names['x.test'] == nil} end)",
	    zones);
	p = load_policy(buf_str(&policy));
	check_site(p, "[\"(mx1|mx2).ab.test\",false,true]");
	ck_assert(script_resolver_define_zone(NULL, nothing, &err));
	check_site(p, "[\"(mx1|mx2).ab.test\",true,true]");
	end_policy(p);
	dns_zone_unref(nothing);
	buf_release(&policy);
}
END_TEST

static const struct dns_stub_row silence[] = {
    {"one.test", DNS_MX, STUB_SILENCE},
    {"two.test", DNS_MX, STUB_SILENCE},
};

/* The second path does without an answer; the name of its site tells whose it
 * is. */
START_TEST(a_silent_name_server_is_waited_for_once)
{
	struct dns_stub *stub = dns_stub_start(silence, COUNT(silence));
	struct buf policy = BUF_INIT;
	char server[64];
	const char *got;

	snprintf(server, sizeof server, "%s", dns_stub_forwarder(stub));
	*strchr(server, '@') = ':';
	buf_addf(&policy,
	    "kumo.on('init', function() "
	    "kumo.dns.configure_resolver{name_servers={'%s'}} "
	    "kumo.dns.set_mx_timeout '5s' end)",
	    server);
	got = eval_after(buf_str(&policy),
	    "local d = kumo.shaping.load{kumo.toml_parse " BIG "} "
	    "local function time(domain) local began = os.time() "
	    "local p = d:get_egress_path_config(domain, 's', 'mx.big.test') "
	    "return os.time() - began, p.provider_name end "
	    "local first, one = time 'one.test' "
	    "local second, two = time 'two.test' "
	    "return {first >= 4, second < 4, one, two}");
	ck_assert_str_eq(got, "[true,true,\"big\",\"big\"]");
	buf_release(&policy);
	dns_stub_stop(stub);
}
END_TEST

Suite *shaping_suite(void)
{
	Suite *suite = suite_create("shaping");
	TCase *tcase = tcase_create("shaping");

	tcase_add_loop_test(tcase, shaping_follows_its_files, 0, COUNT(cases));
	tcase_add_loop_test(tcase, a_mistake_is_found_when_the_policy_is_loaded,
	    0, COUNT(wrong));
	tcase_add_test(tcase, a_file_that_is_not_there_is_a_mistake);
	tcase_add_test(tcase, the_event_is_answered_from_the_files);
	tcase_add_test(
	    tcase, a_domain_that_is_gone_keeps_the_hosts_that_it_had);
	tcase_add_test(tcase, a_silent_name_server_is_waited_for_once);
	suite_add_tcase(suite, tcase);
	return suite;
}

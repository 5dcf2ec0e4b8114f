/*
 * modules_test.c - the modules of policy-extras
 */
#include "base/json.h"
#include "lua_test.h"

#define UTILS "local u = require 'policy-extras.policy_utils' "
#define TYPING "local t = require 'policy-extras.typing' "

static const char domains[] =
    "DATA = kumo.toml_parse [[\n"
    "[\"example.com\"]\n"
    "relay_to = true\n"
    "[\"*.example.com\"]\n"
    "log_oob = \"LogThenDrop\"\n"
    "[\"send.example\"]\n"
    "relay_from = [\"10.0.0.0/24\"]\n"
    "relay_from_authz = [\"john\"]\n"
    "[\"*\"]\n"
    "log_arf = true\n"
    "[listener.\"10.0.0.1:25\".\"example.com\"]\n"
    "relay_to = false\n"
    "]]\n"
    "MORE = {[\"example.com\"] = {log_oob = true}}\n"
    "F = require('policy-extras.listener_domains'):setup { DATA, MORE }\n"
    "local function meta(id)\n"
    "  return { get_meta = function(_, k)\n"
    "    return k == 'authz_id' and id or k == 'received_from' and "
    "'192.0.2.9:4000' or nil\n"
    "  end }\n"
    "end\n"
    "function ask(domain, listener, id)\n"
    "  local d = F(domain, listener or '0.0.0.0:25', meta(id))\n"
    "  return d and { d.relay_to, d.log_oob, d.log_arf, d.relay_from }\n"
    "end\n";

static const char sources[] =
    "require('policy-extras.sources'):setup { kumo.toml_parse [[\n"
    "[source.\"ip-1\"]\n"
    "source_address = \"10.0.0.1\"\n"
    "[source.\"ip-2\"]\n"
    "source_address = \"10.0.0.2\"\n"
    "ehlo_domain = \"two.example\"\n"
    "[pool.\"both\".\"ip-1\"]\n"
    "weight = 2\n"
    "[pool.\"both\".\"ip-2\"]\n"
    "[pool.\"none\"]\n"
    "]] }\n";

static const char queues[] =
    "H = require('policy-extras.queue'):setup { kumo.toml_parse [[\n"
    "tenant_header = \"X-Tenant\"\n"
    "remove_tenant_header = true\n"
    "campaign_header = \"X-Campaign\"\n"
    "default_tenant = \"others\"\n"
    "[tenant.others]\n"
    "max_age = \"10 hours\"\n"
    "[tenant.mine]\n"
    "require_authz = [\"scott\"]\n"
    "egress_pool = \"pool-1\"\n"
    "overall_max_message_rate = \"1/h\"\n"
    "[tenant.mine.campaigns.welcome]\n"
    "retry_interval = \"3m\"\n"
    "[queue.default]\n"
    "max_age = \"24h\"\n"
    "retry_interval = \"11m\"\n"
    "[queue.\"example.com\"]\n"
    "retry_interval = \"17m\"\n"
    "[queue.\"example.com\".protocol]\n"
    "maildir_path = \"/x\"\n"
    "[queue.\"example.com\".mine]\n"
    "max_age = \"1h\"\n"
    "[queue.\"example.com\".mine.welcome]\n"
    "max_age = \"5m\"\n"
    "[queue.\"*.example.com\"]\n"
    "max_age = \"2h\"\n"
    "[queue.\"routed.example\"]\n"
    "routing_domain = \"relay.test\"\n"
    "[queue.\"routed.example\".mine]\n"
    "routing_domain = \"mine.test\"\n"
    "]] }\n"
    "function message(headers, id)\n"
    "  local m = kumo.make_message('a@b.example', 'c@example.com', headers .. "
    "'\\\\r\\\\n')\n"
    "  if id then m:set_meta('authz_id', id) end\n"
    "  return m\n"
    "end\n"
    "function queue(...)\n"
    "  local q = H:queue_config(...)\n"
    "  return { q.max_age, q.retry_interval, q.egress_pool, "
    "q.refresh_strategy, q.protocol.maildir_path }\n"
    "end\n";

static const struct eval_case cases[] = {
    {"merge", "return u.merge_into({a={x=1}}, {a={y=2}, b=1})",
	"{\"a\":{\"x\":1},\"b\":1}", UTILS},
    {"recursive merge",
	"return u.recursive_merge_into({a={x=1}}, {a={y=2}, b=1})",
	"{\"a\":{\"x\":1,\"y\":2},\"b\":1}", UTILS},
    {"tables",
	"return {u.table_contains({1, 'x'}, 'x'), u.table_contains({}, 1), "
	"u.table_keys{b=1, a=2}, u.table_is_empty{}, u.table_is_empty{1}}",
	"[true,false,[\"a\",\"b\"],true,false]", UTILS},
    {"ends", "return {u.starts_with('abc', 'ab'), u.ends_with('abc', 'ab')}",
	"[true,false]", UTILS},
    {"endpoints",
	"return {{u.split_ip_port '10.0.0.1:25'}, {u.split_ip_port "
	"'[::1]:25'}}",
	"[[\"10.0.0.1\",\"25\"],[\"::1\",\"25\"]]", UTILS},
    {"a value as text", "return u.dumps{b={1}, a='x'}",
	"{[\\\"a\\\"]=\\\"x\\\", [\\\"b\\\"]={[1]=1}}", UTILS},
    {"equality", "return {u.equals({1, {2}}, {1, {2}}), u.equals({1}, {1, 2})}",
	"[true,false]", UTILS},
    {"assertions",
	"u.assert_eq({1}, {1}) u.assert_ne(1, 2) u.assert_matches('abc', '^a') "
	"u.assert_eq(1, 2, 'numbers')",
	"numbers: 1 is not equal to 2", UTILS},
    {"a table is its own file",
	"local t = {} return u.load_json_or_toml_file(t) == t", "true", UTILS},
    {"a file that is missing", "u.load_json_or_toml_file '/nonexistent.toml'",
	"/nonexistent.toml", UTILS},
    {"a record",
	"return t.record('Point', {x=t.number, y=t.default(t.number, 7), "
	"z=t.option(t.string)}){x=1}",
	"{\"x\":1,\"y\":7}", TYPING},
    {"a wrong field", "t.record('Point', {x=t.number}){x='a'}",
	"Point: x: invalid type: \"a\", expected a number", TYPING},
    {"an unknown field", "t.record('Point', {x=t.number}){x=1, q=1}",
	"Point: invalid field \"q\"; known: x", TYPING},
    {"a missing field", "t.record('Point', {x=t.number}){}",
	"the field x is missing", TYPING},
    {"lists and maps",
	"return {t.list(t.string){'a'}, t.map(t.string, t.boolean){k=true}}",
	"[[\"a\"],{\"k\":true}]", TYPING},
    {"a wrong list", "t.list(t.string){'a', 1}",
	"[2]: invalid type: 1, expected a string", TYPING},
    {"an enumeration", "t.enum('E', 'A', 'B')('C')", "expected one of A, B",
	TYPING},
    {"a variant", "return t.variant('V', t.number, t.string)('x')", "\"x\"",
	TYPING},
    {"a wrong variant", "t.variant('V', t.number, t.boolean)('x')",
	"invalid value for V", TYPING},
    {"the reason in an error",
	"local ok, e = pcall(kumo.make_egress_path, {bogus=1}) return "
	"t.extract_deserialize_error(e)",
	"\"make_egress_path: unknown key \\\"bogus\\\"\"", TYPING},
    {"case 168: exact beats wildcard",
	"return {ask 'example.com', ask 'a.example.com'}",
	"[[true,true,\"Ignore\",{}],[false,\"LogThenDrop\",\"Ignore\",{}]]",
	domains},
    {"case 168: the listener beats all",
	"return ask('example.com', '10.0.0.1:25')",
	"[false,\"Ignore\",\"Ignore\",{}]", domains},
    {"case 168: the star", "return ask('other.org', '10.0.0.1:25')",
	"[false,\"Ignore\",true,{}]", domains},
    {"case 168: john", "return ask('send.example', nil, 'john')",
	"[\"192.0.2.9\"]", domains},
    {"case 168: not john", "return ask('send.example', nil, 'eve')",
	"[\"10.0.0.0/24\"]", domains},
    {"queue defaults", "return queue 'b.example'",
	"\"1\":\"1day\",\"2\":\"11m\"", queues},
    {"queue of a domain", "return queue 'example.com'", "\"/x\"", queues},
    {"the order of levels",
	"local t = {} for i, q in ipairs{queue('example.com', 'others'), "
	"queue('example.com', 'mine'), queue('example.com', 'mine', "
	"'welcome'), queue('q.example', 'mine', 'welcome'), "
	"queue('a.example.com')} do t[i] = q[1] .. ' ' .. q[2] .. ' ' .. "
	"tostring(q[3]) end return t",
	"[\"10h 17m nil\",\"1h 17m pool-1\",\"5m 3m pool-1\",\"1day 3m "
	"pool-1\",\"2h 11m nil\"]",
	queues},
    {"a tenant of nobody",
	"local m = message 'X-Campaign: c\\r\\n' H:apply(m) return "
	"m:queue_name()",
	"\"c:others@example.com\"", queues},
    {"a tenant by header",
	"local m = message('X-Tenant: mine\\r\\nS: x\\r\\n', 'scott') "
	"H:apply(m) return {m:queue_name(), m:get_first_named_header_value "
	"'X-Tenant' == nil}",
	"[\"mine@example.com\",true]", queues},
    {"a tenant that is not yours",
	"H:apply(message('X-Tenant: mine\\r\\n', 'eve'))",
	"rejected: 500 5.7.1", queues},
    {"a tenant that is not there", "H:apply(message 'X-Tenant: x\\r\\n')",
	"rejected: 500 5.7.1", queues},
    {"where mail goes instead, unless the policy has said so",
	"local function at(tenant, rd) local m = kumo.make_message("
	"'a@b.example', 'c@routed.example', 'X-Tenant: ' .. tenant .. "
	"'\\r\\n\\r\\n') m:set_meta('authz_id', 'scott') "
	"m:set_meta('routing_domain', rd) H:apply(m) return m:queue_name() end "
	"return {at 'others', at 'mine', at('mine', 'own.test')}",
	"[\"others@routed.example!relay.test\","
	"\"mine@routed.example!mine.test\",\"mine@routed.example!own.test\"]",
	queues},
    {"the rate of a tenant",
	"local function late() local m = message('X-Tenant: mine\\r\\n', "
	"'scott') H:apply(m) H:throttle(m) return "
	"kumo.make_throttle('policy-extras.queue: tenant mine', "
	"'1/h'):throttle().throttled end return {late(), late()}",
	"[true,true]", queues},
};

static const struct {
	const char *event, *arg, *want;
} answers[] = {
    {"get_egress_source", "ip-2",
	"{\"ehlo_domain\":\"two.example\",\"name\":\"ip-2\","
	"\"source_address\":\"10.0.0.2\"}"},
    {"get_egress_source", "ip-3", "egress source \"ip-3\" is not defined"},
    {"get_egress_pool", "both",
	"{\"entries\":[{\"name\":\"ip-1\",\"weight\":2},"
	"{\"name\":\"ip-2\"}],\"name\":\"both\"}"},
    {"get_egress_pool", "none", "{\"entries\":{},\"name\":\"none\"}"},
    {"get_egress_pool", "other", "egress pool \"other\" is not defined"},
};

/* Conformance, case 169. */
START_TEST(a_pool_comes_from_the_file)
{
	struct script_policy *p = load_policy(sources);
	struct script_call *call =
	    run_event(p, answers[_i].event, answers[_i].arg);
	struct buf got = BUF_INIT;

	if (script_call_outcome(call) == SCRIPT_VALUE)
		json_write(&got, script_call_result(call));
	else
		buf_addstr(&got, script_call_error(call));
	ck_assert_msg(strstr(buf_str(&got), answers[_i].want) != NULL, "%s",
	    buf_str(&got));
	buf_release(&got);
	script_call_free(call);
	end_policy(p);
}
END_TEST

static const struct {
	const char *label, *policy, *want;
} wrong[] = {
    {"case 169: twice",
	"local s = require 'policy-extras.sources' s:setup{} s:setup{}",
	"sources:setup has been called already"},
    {"a source that is not there",
	"require('policy-extras.sources'):setup{{pool={p={x={}}}}}",
	"pool \"p\": invalid source \"x\""},
    {"a field of a source",
	"require('policy-extras.sources'):setup{{source={x={bogus=1}}}}",
	"source \"x\": make_egress_source: unknown key \"bogus\""},
    {"a field of a domain",
	"require('policy-extras.listener_domains'):setup{{d={bogus=1}}}",
	"ListenerConfig: invalid value for field bogus"},
    {"the type of a field",
	"require('policy-extras.listener_domains'):setup{{d={relay_to='x'}}}",
	"ListenerConfig: invalid value for field relay_to"},
    {"a list of people",
	"require('policy-extras.listener_domains'):setup{{d={"
	"relay_from_authz='x'}}}",
	"ListenerConfig: relay_from_authz: invalid type"},
    {"a field of a queue",
	"require('policy-extras.queue'):setup{{queue={d={max_age='x'}}}}",
	"queue \"d\": make_queue_config: max_age"},
    {"where mail goes",
	"require('policy-extras.queue'):setup{{queue={d={routing_domain=5}}}}",
	"queue \"d\": routing_domain: invalid value: 5"},
    {"a field of a tenant",
	"require('policy-extras.queue'):setup{{tenant={d={bogus=1}}}}",
	"tenant \"d\": make_queue_config: unknown key \"bogus\""},
    {"a default tenant",
	"require('policy-extras.queue'):setup{{default_tenant='x'}}",
	"default_tenant: invalid"},
    {"a domain without its quotes",
	"require('policy-extras.queue'):setup{{queue={gmail={com={"
	"max_age='5m'}}}}}",
	"a domain stands in quotes, [queue.\"gmail.com\"]"},
    {"a tenant that cannot stand in the name of a queue",
	"require('policy-extras.queue'):setup{{tenant={['a@b']={}}}}",
	"tenant \"a@b\": invalid: '@' and ':' part the name"},
    {"a listener without its port",
	"require('policy-extras.listener_domains'):setup{{listener={"
	"['10.0.0.1']={d={relay_to=false}}}}}",
	"listener: invalid value: \"10.0.0.1\", expected ADDRESS:PORT"},
    {"a key that is not there",
	"require('policy-extras.dkim_sign'):setup{{domain={['d.test']={"
	"selector='s', filename='/nonexistent.key'}}}}",
	"DkimConfig: \"d.test\": open /nonexistent.key: No such file"},
    {"where a key would be, without a name for it",
	"require('policy-extras.dkim_sign'):setup{{base={key_dir='/none'}, "
	"signature={x={domain='d.test', selector='s'}}}}",
	"open /none/d.test/s.key: No such file"},
};

START_TEST(the_checker_finds_what_is_wrong)
{
	const char *got = load_error(wrong[_i].policy, SCRIPT_CHECK);

	ck_assert_msg(strstr(got, wrong[_i].want) != NULL, "%s: %s",
	    wrong[_i].label, got);
}
END_TEST

START_TEST(a_mistake_in_a_file_names_the_file)
{
	static const char *const modules[] = {
	    "listener_domains", "queue", "sources", "dkim_sign"};
	struct buf policy = BUF_INIT;
	const char *got;

	buf_addf(&policy, "require('policy-extras.%s'):setup { '%s' }",
	    modules[_i], write_file("a.toml", "[queue.default]\nx = 1\n"));
	got = load_error(buf_str(&policy), SCRIPT_CHECK);
	ck_assert_msg(strstr(got, "/a.toml: ") != NULL, "%s", got);
	buf_release(&policy);
}
END_TEST

/* A file of that name in package.path comes first. */
START_TEST(a_file_comes_before_a_module_that_is_built_in)
{
	struct script_policy *p;
	struct script_call *call;

	write_file("local_module.lua", "return 'file'");
	p = load_policy("kumo.on('e', function() "
			"return require 'local_module' end)");
	call = run_event(p, "e", NULL);
	ck_assert_str_eq(script_call_result(call)->s, "file");
	script_call_free(call);
	end_policy(p);
}
END_TEST

START_TEST(a_module_does_what_it_says)
{
	check_eval(&cases[_i]);
}
END_TEST

Suite *modules_suite(void)
{
	Suite *suite = suite_create("modules");
	TCase *tcase = tcase_create("modules");

	tcase_add_loop_test(tcase, a_module_does_what_it_says, 0, COUNT(cases));
	tcase_add_loop_test(
	    tcase, a_pool_comes_from_the_file, 0, COUNT(answers));
	tcase_add_loop_test(
	    tcase, the_checker_finds_what_is_wrong, 0, COUNT(wrong));
	tcase_add_loop_test(tcase, a_mistake_in_a_file_names_the_file, 0, 4);
	tcase_add_test(tcase, a_file_comes_before_a_module_that_is_built_in);
	suite_add_tcase(suite, tcase);
	return suite;
}

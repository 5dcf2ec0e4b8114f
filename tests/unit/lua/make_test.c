/*
 * make_test.c - constructors: what they accept, say, and show
 */
#include "base/str.h"
#include "lua_test.h"

static const struct eval_case cases[] = {
    /* durations: conformance 14, 15 */
    {"case 14: text", "return kumo.make_listener_domain{ttl='5 mins'}.ttl",
	"\"5m\""},
    {"case 14: number", "return kumo.make_listener_domain{ttl=90}.ttl",
	"\"1m 30s\""},
    {"case 14: fraction", "return (kumo.make_egress_source{name='a', ttl=1.5})",
	"\"name\":\"a\""},
    {"case 15: bare number in text",
	"kumo.make_egress_source{name='a', ttl='5'}", "\"5\""},
    {"case 15: sign", "kumo.make_egress_source{name='a', ttl='-5s'}", "-5s"},
    {"case 15: empty", "kumo.make_egress_source{name='a', ttl=''}", "\"\""},
    {"case 15: negative", "kumo.make_egress_source{name='a', ttl=-1}", "-1"},
    {"case 16: name", "kumo.make_egress_source{}",
	"deserialize error: make_egress_source: name: required key is missing, "
	"while processing {}"},
    {"case 17, 26: bogus", "\nkumo.make_egress_source{name='a', bogus=1}",
	"policy.lua:2: deserialize error: make_egress_source: unknown key "
	"\"bogus\", while processing {\"bogus\":1,\"name\":\"a\"}"},
    {"case 18: address",
	"kumo.make_egress_source{name='a', source_address='10.0.0.300'}",
	"10.0.0.300"},
    {"case 19: text port",
	"kumo.make_egress_source{name='a', remote_port='25'}", "invalid type"},
    {"case 19: large port",
	"kumo.make_egress_source{name='a', remote_port=70000}",
	"remote_port: 70000 is outside 1..65535"},
    {"case 19: float port",
	"return kumo.make_egress_path{smtp_port=2525.0}.smtp_port", "2525"},
    {"case 20: masked form",
	"kumo.make_listener_domain{relay_from={'10.0.0.1/24'}}", "10.0.0.0/24"},
    {"case 21: blocks",
	"return kumo.make_listener_domain{relay_from={'10.0.0.0/24', "
	"'::1/128', '192.0.2.7'}}.relay_from",
	"[\"10.0.0.0/24\",\"::1\",\"192.0.2.7\"]"},
    {"case 22: invalid", "kumo.make_listener_domain{relay_to='yes'}",
	"invalid"},
    {"case 23: names",
	"return kumo.make_listener_domain{log_oob='LogThenDrop'}"
	".log_oob",
	"\"LogThenDrop\""},
    {"case 23: true", "return kumo.make_listener_domain{log_oob=true}.log_oob",
	"true"},
    {"case 23: default", "return kumo.make_listener_domain{}.log_oob",
	"\"Ignore\""},
    {"case 23: other", "kumo.make_listener_domain{log_oob='drop'}",
	"LogThenRelay or LogThenDrop"},
    {"case 25: read back",
	"local q = kumo.make_queue_config{retry_interval='20 mins'} "
	"return {q.retry_interval, q.max_age, q.max_retry_interval == nil}",
	"[\"20m\",\"7days\",true]"},
    {"case 29: extra keys in protocol",
	"kumo.make_queue_config{protocol={maildir_path='/x', nonsense=1}} "
	"return 1",
	"1"},
    {"case 29: nothing in protocol",
	"kumo.make_queue_config{protocol={nonsense=1}}", "protocol"},
    {"a misspelled key", "kumo.make_queue_config{protokol={}}",
	"did you mean \"protocol\""},
    {"no table at all", "kumo.make_egress_pool()",
	"kumo.make_egress_pool wants a table"},
    {"text is no table", "kumo.make_egress_pool 'x'", "invalid type"},
    {"a function inside", "kumo.make_egress_pool{name=print}",
	"name: a function cannot be used as a value"},
    {"secrets are not shown",
	"kumo.make_egress_path{smtp_auth_plain_password={key_data='hush'}, "
	"bogus=1}",
	"\"smtp_auth_plain_password\":\"***\""},
    {"pairs gives the effective values",
	"local t = {} for k, v in pairs(kumo.make_listener_domain{}) do "
	"  t[k] = v end return {t.relay_to, t.log_arf, #t}",
	"[false,\"Ignore\",0]"},
    {"objects have no array part", "return #kumo.make_listener_domain{}", "0"},
    {"objects do not change", "kumo.make_listener_domain{}.relay_to = true",
	"cannot be changed"},
    {"pools are opaque", "return kumo.make_egress_pool{name='a'}.name",
	"cannot be read"},
    {"an object stands for its table",
	"return kumo.make_listener_domain(kumo.make_listener_domain"
	"{relay_to=true}).relay_to",
	"true"},
    {"one object is not another",
	"kumo.make_egress_pool(kumo.make_egress_source{name='a'})",
	"invalid type: what make_egress_source returns"},
    {"objects are named",
	"return (tostring(kumo.make_egress_pool{name='a'}):match '^[%w_]+')",
	"\"make_egress_pool\""},
    {"an unknown field is nil", "return kumo.make_listener_domain{}.nothing",
	"null"},
    /* log lines and small things */
    {"print returns nothing", "return select('#', print('a', 1, nil, true))",
	"0"},
    {"log returns nothing", "return select('#', kumo.log_info('a', 1))", "0"},
    {"sleep", "kumo.sleep(0.001) kumo.time.sleep(0) return 1", "1"},
    {"a traceback", "return kumo.traceback(1)[1].curr_line", "1"},
    {"cores", "return kumo.available_parallelism() >= 1", "true"},
};

START_TEST(a_constructor_accepts_or_says_why_not)
{
	check_eval(&cases[_i]);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("make");
	TCase *tcase = tcase_create("make");

	tcase_add_loop_test(
	    tcase, a_constructor_accepts_or_says_why_not, 0, COUNT(cases));
	suite_add_tcase(suite, tcase);
	return suite;
}

/*
 * event_test.c - kumo.on, dispatch, nil, errors and rejections
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "lua_test.h"

/* An event with one argument, its outcome and what came out of it. */
static const struct {
	const char *label, *policy, *event, *arg;
	enum script_outcome outcome;
	const char *want; /* JSON of the result, or part of the error */
} cases[] = {
    {"nobody registered", "", "get_listener_domain", "a", SCRIPT_NO_HANDLER,
	"null"},
    {"a value comes back", "kumo.on('x', function(a) return {a, 1, true} end)",
	"x", "hi", SCRIPT_VALUE, "[\"hi\",1,true]"},
    {"nothing returned by a single handler is nil",
	"kumo.on('get_listener_domain', function() end)", "get_listener_domain",
	"a", SCRIPT_VALUE, "null"},
    {"nil from get_egress_pool is an error",
	"kumo.on('get_egress_pool', function() end)", "get_egress_pool", "a",
	SCRIPT_ERROR, "must return kumo.make_egress_pool, not nil"},
    {"nil from get_egress_source is an error",
	"kumo.on('get_egress_source', function() return nil end)",
	"get_egress_source", "a", SCRIPT_ERROR,
	"must return kumo.make_egress_source, not nil"},
    {"nil from get_egress_source finds a defined one",
	"kumo.on('init', function() kumo.define_egress_source{name='a'} end) "
	"kumo.on('get_egress_source', function() end)",
	"get_egress_source", "a", SCRIPT_VALUE, "{\"name\":\"a\"}"},
    {"a defined source needs no handler",
	"kumo.on('init', function() kumo.define_egress_source{name='a'} end)",
	"get_egress_source", "a", SCRIPT_VALUE, "{\"name\":\"a\"}"},
    {"nil from get_egress_path_config means the defaults",
	"kumo.on('get_egress_path_config', function() return nil end)",
	"get_egress_path_config", "a", SCRIPT_VALUE, "null"},
    {"the first handler that returns a value ends the chain",
	"kumo.on('get_queue_config', function() "
	"  return kumo.make_queue_config{max_age='2h'} end) "
	"kumo.on('get_queue_config', function() error 'not asked' end)",
	"get_queue_config", "b", SCRIPT_VALUE, "{\"max_age\":\"2h\"}"},
    {"no value passes to the next handler",
	"kumo.on('get_queue_config', function() end) "
	"kumo.on('get_queue_config', function() "
	"  return kumo.make_queue_config{max_age='1h'} end)",
	"get_queue_config", "b", SCRIPT_VALUE, "{\"max_age\":\"1h\"}"},
    {"an explicit nil passes too, for get_queue_config",
	"kumo.on('get_queue_config', function() return nil end) "
	"kumo.on('get_queue_config', function() "
	"  return kumo.make_queue_config{max_age='1h'} end)",
	"get_queue_config", "b", SCRIPT_VALUE, "{\"max_age\":\"1h\"}"},
    {"when nobody has a value, nobody handles it",
	"kumo.on('get_queue_config', function() end)", "get_queue_config", "b",
	SCRIPT_NO_HANDLER, "null"},
    {"nil ends the chain of requeue_message",
	"kumo.on('requeue_message', function() return nil end) "
	"kumo.on('requeue_message', function() error 'no' end)",
	"requeue_message", "b", SCRIPT_VALUE, "null"},
    {"nil is false for should_enqueue_log_record",
	"kumo.on('should_enqueue_log_record', function() return nil end)",
	"should_enqueue_log_record", "b", SCRIPT_VALUE, "false"},
    {"a plain table stands for the object",
	"kumo.on('get_egress_pool', function(n) "
	"  return {name=n, entries={{name='s'}}} end)",
	"get_egress_pool", "p", SCRIPT_VALUE,
	"{\"entries\":[{\"name\":\"s\"}],\"name\":\"p\"}"},
    {"a plain table is checked like the object",
	"kumo.on('get_egress_pool', function(n) return {nam=n} end)",
	"get_egress_pool", "p", SCRIPT_ERROR,
	"make_egress_pool: unknown key \"nam\" (did you mean \"name\"?)"},
    {"one object is not another",
	"kumo.on('get_egress_pool', function(n) "
	"  return kumo.make_egress_source{name=n} end)",
	"get_egress_pool", "p", SCRIPT_ERROR,
	"must return kumo.make_egress_pool, not kumo.make_egress_source"},
    {"text is no listener domain",
	"kumo.on('get_listener_domain', function() return 'x' end)",
	"get_listener_domain", "p", SCRIPT_ERROR,
	"must return kumo.make_listener_domain, not \"x\""},
    {"dynamic parameters are a table",
	"kumo.on('smtp_server_get_dynamic_parameters', "
	"  function() return 'x' end)",
	"smtp_server_get_dynamic_parameters", "p", SCRIPT_ERROR,
	"must return a table, not \"x\""},
    {"dynamic parameters may be nil",
	"kumo.on('smtp_server_get_dynamic_parameters', function() end)",
	"smtp_server_get_dynamic_parameters", "p", SCRIPT_VALUE, "null"},
    {"what a notification returns is not looked at",
	"kumo.on('smtp_server_mail_from', function() return print end)",
	"smtp_server_mail_from", "p", SCRIPT_VALUE, "null"},
    {"a rewritten response is two values",
	"kumo.on('smtp_server_rewrite_response', "
	"  function() return 451, 'later' end)",
	"smtp_server_rewrite_response", "p", SCRIPT_VALUE, "[451,\"later\"]"},
    {"a function cannot come back",
	"kumo.on('x', function() return {a = {print}} end)", "x", "p",
	SCRIPT_ERROR,
	"what the handler returned: a: [1]: a function cannot be used"},
    {"errors name event, file and line",
	"\nkumo.on('x', function()\n error 'boom' end)", "x", "p", SCRIPT_ERROR,
	"policy.lua:3: boom"},
    {"an error without a place gets the handler's",
	"\nkumo.on('x', function()\n error('boom', 0) end)", "x", "p",
	SCRIPT_ERROR, "policy.lua:2: boom"},
    {"nil can be raised", "kumo.on('x', function() error(nil) end)", "x", "p",
	SCRIPT_ERROR, "raised nil"},
    {"a table can be raised",
	"kumo.on('x', function() error(setmetatable({}, "
	"  {__tostring = function() return 'mine' end})) end)",
	"x", "p", SCRIPT_ERROR, "mine"},
    {"a plain table can be raised",
	"\nkumo.on('x', function() error { a = 1 } end)", "x", "p",
	SCRIPT_ERROR, "policy.lua:2: raised {\"a\":1}"},
    {"a colon is no place",
	"\nkumo.on('x', function() error('127.0.0.1:25: no', 0) end)", "x", "p",
	SCRIPT_ERROR, "policy.lua:2: 127.0.0.1:25: no"},
    {"registration in a handler is refused",
	"kumo.on('x', function() kumo.on('y', print) end)", "x", "p",
	SCRIPT_ERROR, "move it to load time"},
    {"listeners are not started in a handler",
	"kumo.on('x', function() kumo.start_esmtp_listener{} end)", "x", "p",
	SCRIPT_ERROR, "belongs into the event init"},
};

START_TEST(an_event_has_an_outcome)
{
	struct script_policy *p = load_policy(cases[_i].policy);
	struct script_call *call = run_event(p, cases[_i].event, cases[_i].arg);
	struct buf got = BUF_INIT;

	if (script_call_outcome(call) == SCRIPT_ERROR)
		buf_addstr(&got, script_call_error(call));
	else
		json_write(&got, script_call_result(call));
	ck_assert_msg(script_call_outcome(call) == cases[_i].outcome,
	    "%s: outcome %d, %s", cases[_i].label, script_call_outcome(call),
	    script_call_error(call));
	ck_assert_msg(cases[_i].outcome == SCRIPT_ERROR
			  ? strstr(buf_str(&got), cases[_i].want) != NULL
			  : str_eq(buf_str(&got), cases[_i].want),
	    "%s: %s", cases[_i].label, buf_str(&got));
	if (cases[_i].outcome == SCRIPT_ERROR)
		ck_assert(str_starts(buf_str(&got), cases[_i].event));
	buf_release(&got);
	script_call_free(call);
	end_policy(p);
}
END_TEST

static const struct {
	const char *label, *body;
	int code;
	const char *message;
	enum script_disconnect mode;
} rejections[] = {
    {"reject", "kumo.reject(550, '5.7.1 no')", 550, "5.7.1 no",
	DISCONNECT_IF_421},
    {"disconnect", "kumo.disconnect(451, 'bye')", 451, "bye", DISCONNECT_FORCE},
    {"disconnect with a mode", "kumo.disconnect(451, 'bye', 'FollowWith421')",
	451, "bye", DISCONNECT_FOLLOW_421},
    {"any code", "kumo.reject(200, 'odd')", 200, "odd", DISCONNECT_IF_421},
    {"pcall keeps its nature",
	"local ok, e = pcall(kumo.reject, 451, 'x') "
	"assert(not ok and e.code == 451 and e.message == 'x' "
	"and tostring(e) == '451 x' and e.disconnect == 'If421') error(e, 0)",
	451, "x", DISCONNECT_IF_421},
    {"through a coroutine",
	"coroutine.wrap(function() kumo.reject(452, 'c') end)()", 452, "c",
	DISCONNECT_IF_421},
};

START_TEST(a_rejection_reaches_the_caller)
{
	char policy[512];
	struct script_policy *p;
	struct script_call *call;

	snprintf(policy, sizeof policy, "\nkumo.on('x', function() %s end)",
	    rejections[_i].body);
	p = load_policy(policy);
	call = run_event(p, "x", NULL);
	ck_assert_msg(script_call_outcome(call) == SCRIPT_REJECTED, "%s: %s",
	    rejections[_i].label, script_call_error(call));
	ck_assert_int_eq(script_call_reject(call)->code, rejections[_i].code);
	ck_assert_str_eq(
	    script_call_reject(call)->message, rejections[_i].message);
	ck_assert_int_eq(script_call_reject(call)->mode, rejections[_i].mode);
	ck_assert(str_ends(script_call_where(call), "policy.lua:2"));
	script_call_free(call);
	end_policy(p);
}
END_TEST

START_TEST(the_handler_that_answered_is_named)
{
	struct script_policy *p = load_policy(
	    "\nkumo.on('get_queue_config', function() end)"
	    "\nkumo.on('get_queue_config', function() return {} end)");
	struct script_call *call = run_event(p, "get_queue_config", "d");

	ck_assert(str_ends(script_call_where(call), "policy.lua:3"));
	script_call_free(call);
	end_policy(p);
}
END_TEST

START_TEST(conn_meta_comes_back_with_what_the_handler_set)
{
	struct script_policy *p = load_policy(
	    "kumo.on('x', function(m) "
	    "  m:set_meta('seen', m:get_meta 'k' .. '!') "
	    "  m:set_meta('t', {1, 2}) m:set_meta('k', nil) "
	    "  assert(m:get_meta 'k' == nil) end)"
	    "kumo.on('keep', function(m) kept = m end)"
	    "kumo.on('use', function() return kept:get_meta 'k' end)");
	struct script_call *call = script_call_new(p, "x");
	struct meta *meta = meta_new(), *back;
	struct buf json = BUF_INIT;

	meta_set_string(meta, "k", "v");
	script_arg_conn_meta(call, meta);
	ck_assert_int_eq(
	    script_call_run(call, clock_now_ms() + LONG_MS), SCRIPT_VALUE);
	back = script_call_take_meta(call);
	meta_write_json(back, &json);
	ck_assert_str_eq(
	    buf_str(&json), "{\"k\":null,\"seen\":\"v!\",\"t\":[1,2]}");
	ck_assert_str_eq(meta_get_string(meta, "k"), "v");
	script_call_free(call);
	meta_free(back);
	buf_release(&json);

	call = script_call_new(p, "keep");
	script_arg_conn_meta(call, meta);
	ck_assert_int_eq(
	    script_call_run(call, clock_now_ms() + LONG_MS), SCRIPT_VALUE);
	script_call_free(call);
	call = run_event(p, "use", NULL);
	ck_assert_ptr_nonnull(
	    strstr(script_call_error(call), "an event that is over"));
	script_call_free(call);
	meta_free(meta);
	end_policy(p);
}
END_TEST

START_TEST(a_call_has_a_title)
{
	struct script_policy *p =
	    load_policy("kumo.on('get_queue_config', function() end)");
	struct script_call *call = script_call_new(p, "get_queue_config");
	struct value list = {.type = VALUE_LIST};
	struct buf title = BUF_INIT;
	char longer[300];

	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	script_arg_string(call, "a\n\"b");
	script_arg_string(call, NULL);
	script_arg_value(call, &list);
	script_arg_string(call, NULL);
	script_call_title(call, &title);
	ck_assert_str_eq(
	    buf_str(&title), "get_queue_config(\"a\\x0a\\x22b\", nil, ...)");
	script_call_free(call);
	buf_reset(&title);
	call = script_call_new(p, "get_queue_config");
	script_arg_string(call, longer);
	script_call_title(call, &title);
	ck_assert_uint_lt(title.len, 140);
	ck_assert(str_ends(buf_str(&title), "x...\")"));
	buf_release(&title);
	script_call_free(call);
	end_policy(p);
}
END_TEST

START_TEST(an_event_knows_its_registrars)
{
	ck_assert_str_eq(eval("local r = kumo.get_event_registrars 'eval' "
			      "return r[1][1]:match '[^/]+$', "
			      "kumo.get_event_registrars 'no'"),
	    "\"policy.lua:1\"");
}
END_TEST

/* kumo.invoke_get_* */
static const struct eval_case invoked[] = {
    {"a queue's configuration",
	"local q = kumo.invoke_get_queue_config('example.com', 'mine') "
	"return {q.max_age, q.egress_pool}",
	"[\"1day\",\"mine\"]"},
    {"by the second handler",
	"return kumo.invoke_get_queue_config('other.test').max_age", "\"2h\""},
    {"a pool",
	"local p = kumo.invoke_get_egress_pool 'a' "
	"return {p.name, p.entries[1].name}",
	"[\"a\",\"a-1\"]"},
    {"a source by definition",
	"return kumo.invoke_get_egress_source('s').ehlo_domain",
	"\"s.example\""},
    {"nobody answers: the defaults",
	"local p = kumo.invoke_get_egress_path_config('a', 'b', 'c') "
	"return {p.connection_limit, p.idle_timeout, p.enable_tls}",
	"[32,\"5s\",\"Opportunistic\"]"},
    {"a queue by its name",
	"return kumo.invoke_get_queue_config("
	"'c:mine@example.com!r.example').egress_pool",
	"\"mine\""},
    {"what is not set has its default",
	"local q = kumo.invoke_get_queue_config 'mine@example.com' "
	"return {q.retry_interval, #q.protocol.smtp.mx_list}",
	"[\"20m\",0]"},
    {"a plain table, to change and use",
	"local q = kumo.invoke_get_queue_config 'mine@example.com' "
	"q.max_age = '2 days' "
	"return {type(q), kumo.make_queue_config(q).max_age, "
	"kumo.make_queue_config(q).egress_pool}",
	"[\"table\",\"2days\",\"mine\"]"},
    {"queues that no event is asked about",
	"return {kumo.invoke_get_queue_config 'null'.max_age, "
	"kumo.invoke_get_queue_config "
	"'deferred_smtp_inject.kumomta.internal'.retry_interval}",
	"[\"7days\",\"1m\"]"},
    {"the built-in pool and source",
	"local p = kumo.invoke_get_egress_pool() "
	"local s = kumo.invoke_get_egress_source(p.entries[1].name) "
	"return {p.name, s.name, s.ttl}",
	"[\"unspecified\",\"unspecified\",\"1m\"]"},
    {"a source that nobody knows", "kumo.invoke_get_egress_source 'x'",
	"invoke_get_egress_source: nobody handles get_egress_source, and "
	"\"x\" is unknown"},
    {"what was read makes the same again",
	"local s = kumo.invoke_get_egress_source 's' "
	"kumo.make_egress_source(s) "
	"kumo.make_egress_pool(kumo.invoke_get_egress_pool 'a') "
	"kumo.make_egress_path("
	"kumo.invoke_get_egress_path_config('a', 'b', 'c')) "
	"kumo.make_queue_config(kumo.invoke_get_queue_config 'a') "
	"return s.suspend_when_unplumbed == nil",
	"true"},
    {"a password goes along",
	"return kumo.invoke_get_egress_source 'p'"
	".socks5_proxy_password.key_data",
	"\"secret\""},
    {"what does not fit is an error", "kumo.invoke_get_egress_pool 'bad'",
	"the handler must return"},
    {"a rejection passes", "kumo.invoke_get_egress_pool 'no'",
	"rejected: 450 4.7.1 no"},
    {"not a name", "kumo.invoke_get_egress_pool {}", "string expected"},
};

START_TEST(a_policy_asks_itself)
{
	struct eval_case c = invoked[_i];

	c.policy =
	    "kumo.on('init', function() kumo.define_egress_source{name='s', "
	    "ehlo_domain='s.example'} kumo.define_egress_source{name='p', "
	    "socks5_proxy_password={key_data='secret'}} end) "
	    "kumo.on('get_queue_config', function(domain, tenant) "
	    "if domain == 'example.com' then return kumo.make_queue_config{"
	    "max_age='1 day', egress_pool=tenant} end end) "
	    "kumo.on('get_queue_config', function() "
	    "return kumo.make_queue_config{max_age='2h'} end) "
	    "kumo.on('get_egress_pool', function(name) "
	    "if name == 'bad' then return end "
	    "if name == 'no' then kumo.reject(450, '4.7.1 no') end "
	    "return kumo.make_egress_pool{name=name, "
	    "entries={{name=name .. '-1'}}} end)";
	check_eval(&c);
}
END_TEST

Suite *event_suite(void)
{
	Suite *suite = suite_create("event");
	TCase *tcase = tcase_create("event");

	tcase_add_loop_test(tcase, an_event_has_an_outcome, 0, COUNT(cases));
	tcase_add_loop_test(
	    tcase, a_rejection_reaches_the_caller, 0, COUNT(rejections));
	tcase_add_test(tcase, the_handler_that_answered_is_named);
	tcase_add_test(tcase, conn_meta_comes_back_with_what_the_handler_set);
	tcase_add_test(tcase, an_event_knows_its_registrars);
	tcase_add_test(tcase, a_call_has_a_title);
	tcase_add_loop_test(tcase, a_policy_asks_itself, 0, COUNT(invoked));
	suite_add_tcase(suite, tcase);
	return suite;
}

/*
 * load_test.c - reading a policy, init, what it declares, the seeds
 */
#include "base/str.h"
#include "lua_test.h"

static const struct {
	const char *label, *policy;
	enum script_role role;
	const char *want; /* part of the error */
} bad[] = {
    {"a syntax error has a place", "\nfunction(", SCRIPT_MILTER,
	"policy.lua:2: <name> expected near '('"},
    {"a runtime error has a place", "\n\nerror 'no'", SCRIPT_MILTER,
	"policy.lua:3: no"},
    {"a table that is raised is shown, with the place",
	"\nerror { code = 5, what = 'x' }", SCRIPT_MILTER,
	"policy.lua:2: raised {\"code\":5,\"what\":\"x\"}"},
    {"nil that is raised has a place", "\nerror()", SCRIPT_MILTER,
	"policy.lua:2: raised nil"},
    {"a table that JSON cannot show", "error { print }", SCRIPT_MILTER,
	"policy.lua:1: raised a table"},
    {"nobody is there to be refused", "\nkumo.reject(550, 'x')", SCRIPT_MILTER,
	"policy.lua:2: kumo.reject: 550 x: there is nobody to answer here"},
    {"the limit that memory reached is named",
	"local s = 'x' while true do s = s .. s end", SCRIPT_MILTER,
	"policy.lua: not enough memory: more than the 64 MiB that a state may "
	"take"},
    {"a database that does not open has a place",
	"\nrequire('sqlite').open '/nonexistent/x.db'", SCRIPT_MILTER,
	"policy.lua:2: sqlite: /nonexistent/x.db: "},
    {"what cannot be memoized has the place of the function",
	"\nlocal f = kumo.memoize(function() return print end, "
	"{name = 'lt', ttl = 1, capacity = 1})\nf()",
	SCRIPT_MILTER, "policy.lua:2: what a memoized function returned: "},
    {"init twice names the first",
	"\nkumo.on('init', function() end)\n"
	"kumo.on('init', function() end)",
	SCRIPT_MILTER, "kumo.on('init'): there is a handler already"},
    {"init twice names the place of the first",
	"\nkumo.on('init', function() end)\n"
	"kumo.on('init', function() end)",
	SCRIPT_MILTER, "policy.lua:2"},
    {"an error in init", "kumo.on('init', function()\nerror 'i' end)",
	SCRIPT_ROUTER, "init: "},
    {"an error in pre_init", "kumo.on('pre_init', function()\nerror 'i' end)",
	SCRIPT_ROUTER, "pre_init: "},
    {"a rejection in init",
	"kumo.on('init', function() kumo.reject(550, 'x') end)", SCRIPT_ROUTER,
	"rejected with 550 x"},
    {"a listener with an unknown key",
	"kumo.on('init', function()\n"
	"  kumo.start_esmtp_listener { lissen = '0:25' } end)",
	SCRIPT_MILTER,
	"policy.lua:2: deserialize error: start_esmtp_listener: unknown key "
	"\"lissen\" (did you mean \"listen\"?), while processing "
	"{\"lissen\":\"0:25\"}"},
    {"logs without a directory",
	"kumo.on('init', function() kumo.configure_local_logs {} end)",
	SCRIPT_MILTER, "log_dir: required key is missing"},
    {"validation that fails",
	"kumo.on('validate_config', function() "
	"  assert(_VALIDATING_CONFIG == true) kumo.validation_failed() end)",
	SCRIPT_CHECK, "kumo.validation_failed() was called"},
    {"validation that raises",
	"kumo.on('validate_config', function() error 'bad' end)", SCRIPT_CHECK,
	"bad"},
    {"an unknown setting of ours", "\npenstock.unlisted = 'refuse'",
	SCRIPT_MILTER, "policy.lua:2: penstock.unlisted does not exist"},
    {"an unknown value", "\npenstock.unlisted_domains = 'accept'",
	SCRIPT_MILTER,
	"policy.lua:2: penstock.unlisted_domains: invalid value: expected "
	"'refuse' or 'leave_to_mta', got \"accept\""},
    {"a value of another type", "\npenstock.local_submission = true",
	SCRIPT_MILTER, "'queue', 'leave_to_mta' or 'refuse', got true"},
    {"what is not there yet says so", "\nkumo.spf.check_host 'x'",
	SCRIPT_MILTER,
	"policy.lua:2: kumo.spf.check_host is not supported yet"},
    {"modules that are not there yet", "\nrequire('template').render 'x'",
	SCRIPT_MILTER, "template.render is not supported yet"},
    {"what will never be", "kumo.xfer.xfer()", SCRIPT_MILTER,
	"kumo.xfer.xfer is not supported"},
    {"a filter that nobody handles would write nothing",
	"kumo.on('init', function() kumo.configure_local_logs { "
	"log_dir = '/tmp/l', filter_event = 'wantd' } end)\n"
	"kumo.on('wanted', function() return true end)",
	SCRIPT_ROUTER,
	"filter_event: nobody handles the event \"wantd\", no record would be "
	"written to /tmp/l"},
    {"spools are checked",
	"kumo.on('init', function() kumo.define_spool {name='d'} end)",
	SCRIPT_MILTER, "define_spool: path: required key is missing"},
};

START_TEST(a_bad_policy_does_not_load)
{
	const char *error = load_error(bad[_i].policy, bad[_i].role);

	ck_assert_msg(strstr(error, bad[_i].want) != NULL, "%s: %s",
	    bad[_i].label, error);
}
END_TEST

START_TEST(a_missing_file_does_not_load)
{
	struct script_options options = {.path = "/nonexistent/policy.lua"};
	struct script_policy *p;
	struct err err = {0};

	ck_assert(!script_policy_load(&p, &options, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/policy.lua"));
}
END_TEST

START_TEST(an_endless_init_does_not_load)
{
	struct script_options options = {.init_deadline_ms = 200};
	struct err err = {0};

	ck_assert_ptr_null(
	    load_with("kumo.on('init', function() while true do end end)",
		options, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "its time limit"));
	ck_assert_ptr_null(load_with("while true do end", options, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "its time limit"));
	ck_assert(script_shutdown(LONG_MS));
}
END_TEST

START_TEST(the_setup_is_what_init_declared)
{
	struct script_policy *p = load_policy(
	    "penstock.unlisted_domains = 'leave_to_mta' "
	    "kumo.on('pre_init', function() end) "
	    "kumo.on('init', function() "
	    "  kumo.define_spool {name='data', path='/var/spool/x', "
	    "    kind='RocksDB'} "
	    "  kumo.start_esmtp_listener {listen='0.0.0.0:25', "
	    "    relay_hosts={'192.0.2.0/24'}, "
	    "    via={['10.0.0.1']={hostname='h'}}} "
	    "  kumo.start_esmtp_listener {listen='10.0.0.9:587'} "
	    "  kumo.configure_local_logs {log_dir='/tmp/l', meta={'a*'}} "
	    "  penstock.local_submission = 'refuse' "
	    "  assert(penstock.local_submission == 'refuse') "
	    "  kumo.set_max_lua_context_use_count(2) "
	    "  kumo.set_memory_soft_limit(1) kumo.set_smtpsrv_threads(4) "
	    "  assert(kumo.get_memory_soft_limit() == nil) "
	    "end) "
	    "kumo.on('x', function() return penstock.local_submission end)");
	const struct policy_setup *setup = script_policy_setup(p);
	struct script_call *call;

	ck_assert_uint_eq(setup->listener_count, 2);
	ck_assert_str_eq(setup->listeners[0]->listen, "0.0.0.0:25");
	ck_assert_uint_eq(setup->listeners[0]->relay_hosts.count, 1);
	ck_assert_str_eq(setup->listeners[1]->listen, "10.0.0.9:587");
	ck_assert_str_eq(
	    value_get(setup->listener_values[1], "listen")->s, "10.0.0.9:587");
	ck_assert_uint_eq(setup->log_count, 1);
	ck_assert_str_eq(setup->logs[0]->log_dir, "/tmp/l");
	ck_assert_int_eq(setup->unlisted_domains, UNLISTED_LEAVE_TO_MTA);
	ck_assert_int_eq(setup->local_submission, LOCAL_SUBMISSION_REFUSE);
	ck_assert_str_eq(setup->spool_path, "/var/spool/x");
	ck_assert(script_policy_handles(p, "x"));
	ck_assert(!script_policy_handles(p, "y"));

	/* States come and go; what they declare again changes nothing. */
	for (int i = 0; i < 9; i++) {
		call = run_event(p, "x", NULL);
		ck_assert_str_eq(script_call_result(call)->s, "refuse");
		script_call_free(call);
	}
	ck_assert_uint_eq(setup->listener_count, 2);
	end_policy(p);
}
END_TEST

START_TEST(generations_are_counted)
{
	struct script_policy *first = load_policy(""), *second;

	second = load_policy("");
	ck_assert_int_eq(script_policy_generation(first), 1);
	ck_assert_int_eq(script_policy_generation(second), 2);
	script_policy_unref(first);
	end_policy(second);
}
END_TEST

START_TEST(a_generation_keeps_the_text_it_began_with)
{
	struct script_policy *p;
	struct script_call *call;

	write_file("mod.lua", "return 'one'");
	p = load_policy("kumo.on('init', function() "
			"  kumo.set_max_lua_context_use_count(1) end) "
			"local text = require 'mod' "
			"kumo.on('x', function() return text end)");
	write_file("mod.lua", "return 'two'");
	write_file("policy.lua", "error 'not read again'");
	for (int i = 0; i < 3; i++) {
		call = run_event(p, "x", NULL);
		ck_assert_str_eq(script_call_result(call)->s, "one");
		script_call_free(call);
	}
	end_policy(p);
}
END_TEST

START_TEST(modules_are_found_by_their_names)
{
	write_file("helper.lua", "local k = require 'kumo' return {k = k}");
	ck_assert_str_eq(
	    eval("return {require 'kumo' == kumo, _G.kumo == nil, "
		 "require 'helper'.k == kumo, "
		 "require 'kumo.serde' == kumo.serde, "
		 "require 'penstock' == penstock, _VALIDATING_CONFIG == nil, "
		 "type(kumo.version)}"),
	    "[true,false,true,true,true,true,\"string\"]");
}
END_TEST

Suite *load_suite(void)
{
	Suite *suite = suite_create("load");
	TCase *tcase = tcase_create("load");

	tcase_add_loop_test(tcase, a_bad_policy_does_not_load, 0, COUNT(bad));
	tcase_add_test(tcase, a_missing_file_does_not_load);
	tcase_add_test(tcase, an_endless_init_does_not_load);
	tcase_add_test(tcase, the_setup_is_what_init_declared);
	tcase_add_test(tcase, generations_are_counted);
	tcase_add_test(tcase, a_generation_keeps_the_text_it_began_with);
	tcase_add_test(tcase, modules_are_found_by_their_names);
	suite_add_tcase(suite, tcase);
	return suite;
}

/*
 * missing_test.c - what is not supported says so, by name
 *
 * All that the policy language (2, 3, 9, 16, 17, 18) tags with [later] or [n/a]
 * and has a name; each is called, and its sentence is what comes back.
 */
#include <unistd.h>

#include "base/buf.h"
#include "lua_test.h"

#define LATER " is not supported yet"
#define NEVER " is not supported"

static const struct {
	const char *call, *sentence; /* the sentence follows the name */
	const char *name;            /* NULL: of the call, up to "(" */
} cases[] = {
    /* 9: messages */
    {"m:import_headers{}", LATER, "message:import_headers"},
    {"m:parse_mime()", LATER, "message:parse_mime"},
    {"m:append_text_plain 'x'", LATER, "message:append_text_plain"},
    {"m:append_text_html 'x'", LATER, "message:append_text_html"},
    {"m:check_fix_conformance('', '')", LATER, "message:check_fix_conformance"},
    {"m:dkim_verify()", LATER, "message:dkim_verify"},
    {"m:arc_verify()", LATER, "message:arc_verify"},
    {"m:arc_seal()", LATER, "message:arc_seal"},
    {"m:add_authentication_results('x', {})", LATER,
	"message:add_authentication_results"},
    /* 3.10: key sources */
    {"kumo.secrets.load{vault_mount='a', vault_path='b'}", LATER,
	"key source: vault"},
    /* 3.11: dialects */
    {"kumo.string.eval_template('n', 'x', {}, 'Handlebars')", "Handlebars", ""},
    {"kumo.string.eval_template('n', 'x', {}, 'Static')", "Static", ""},
    /* 16: functions */
    {"kumo.string.psl_domain('a.example')", LATER, NULL},
    {"kumo.string.psl_suffix('a.example')", LATER, NULL},
    {"kumo.string.normalize_smtp_response('x')", LATER, NULL},
    {"kumo.dns.configure_unbound_resolver({})", LATER, NULL},
    {"kumo.dns.load_resolv_conf('x')", LATER, NULL},
    {"kumo.encode.charset_decode('x', 'y')", LATER, NULL},
    {"kumo.encode.charset_encode('x', 'y')", LATER, NULL},
    {"kumo.crypto.aes_encrypt_block({})", LATER, NULL},
    {"kumo.crypto.aes_decrypt_block({})", LATER, NULL},
    {"kumo.crypto.aws_sign_v4({})", LATER, NULL},
    {"kumo.crypto.anything()", LATER, NULL},
    {"kumo.spf.check_host('a', {})", LATER, NULL},
    {"kumo.spf.check_msg('a')", LATER, NULL},
    {"kumo.mpsc.define('a')", LATER, NULL},
    {"kumo.jsonl.new_writer({})", LATER, NULL},
    {"kumo.jsonl.new_tailer({})", LATER, NULL},
    {"kumo.jsonl.new_multi_tailer({})", LATER, NULL},
    {"kumo.file_type.from_bytes('x')", LATER, NULL},
    {"kumo.file_type.from_extension('x')", LATER, NULL},
    {"kumo.mimepart.builder()", LATER, NULL},
    {"kumo.mimepart.parse('x')", LATER, NULL},
    {"kumo.counter_series.define({})", LATER, NULL},
    {"kumo.aaa.make_access_control_list({})", LATER, NULL},
    {"kumo.aaa.configure_acl({})", LATER, NULL},
    {"kumo.prometheus_metrics()", LATER, NULL},
    {"kumo.amqp.build_client('x')", NEVER, NULL},
    {"kumo.amqp.basic_publish({})", NEVER, NULL},
    {"kumo.kafka.build_producer({})", NEVER, NULL},
    {"kumo.nats.connect({})", NEVER, NULL},
    {"kumo.xfer.xfer('x')", NEVER, NULL},
    {"kumo.xfer.anything()", NEVER, NULL},
    {"kumo.proxy.start_proxy_listener({})", NEVER, NULL},
    {"kumo.configure_redis_throttles({})", NEVER, NULL},
    {"require('redis').open({})", NEVER, "redis.open"},
    {"require('template').render('x')", LATER, "template.render"},
    {"require('kumo.spf').check_host('x')", LATER, "kumo.spf.check_host"},
    /* 17.5: HTTP injection */
    {"kumo.api.inject.build_v1({})", LATER, NULL},
    {"kumo.api.inject.inject_v1({})", LATER, NULL},
    {"kumo.api.anything()", LATER, NULL},
};

static const struct eval_case advised[] = {
    {"what does not exist says what to do instead",
	"kumo.amqp.build_client 'x'",
	"kumo.amqp.build_client is not supported: give records to a service"},
    {"also in the names of its table", "kumo.xfer.anything()",
	"kumo.xfer.anything is not supported: send the mail on by SMTP"},
    {"a pool", "kumo.define_egress_pool { name = 'a' }",
	"kumo.define_egress_pool is not supported: answer the event "
	"get_egress_pool"},
    {"a module that is not here names itself, not where it was looked for",
	"require 'policy-extras.rollup'",
	"policy-extras.rollup is not supported yet"},
    {"another module was looked for", "require 'policy-extras.nothing'",
	"module 'policy-extras.nothing' not found"},
    {"a message has no field of that name",
	"return kumo.make_message('', 'a@b.test', 'A: b').tenant",
	"message has no field or method \"tenant\": metadata is "
	"message:get_meta(NAME)"},
    {"an address has no field of that name",
	"return kumo.make_message('a@b.test', 'a@b.test', 'A: b')"
	":sender().local_part",
	"address has no field \"local_part\""},
};

START_TEST(what_is_not_there_is_an_error_that_helps)
{
	check_eval(&advised[_i]);
}
END_TEST

START_TEST(what_is_missing_says_so_by_name)
{
	const char *call = cases[_i].call;
	struct buf want = BUF_INIT, chunk = BUF_INIT;
	const char *got;

	if (cases[_i].name)
		buf_addstr(&want, cases[_i].name);
	else
		buf_add(&want, call, strcspn(call, "("));
	buf_addstr(&want, cases[_i].sentence);
	buf_addf(&chunk,
	    "local m = kumo.make_message('', 'a@b.test', 'A: b\\r\\n\\r\\n') "
	    "local ok, e = pcall(function() %s end) "
	    "return tostring(ok) .. ' ' .. tostring(e)",
	    call);
	got = eval(buf_str(&chunk));
	ck_assert_msg(strncmp(got, "\"false ", 7) == 0 &&
			  strstr(got, buf_str(&want)) != NULL,
	    "%s: %s", call, got);
	buf_release(&want);
	buf_release(&chunk);
}
END_TEST

/* Looking at them does nothing, so policies may do so while they load. */
static const struct eval_case looks[] = {
    {"fields",
	"return {type(kumo.amqp.build_client), type(kumo.spf.check_host), "
	"type(require('redis').open), type(kumo.api.inject.inject_v1)}",
	"[\"function\",\"function\",\"function\",\"function\"]"},
    {"getters", "return kumo.get_memory_hard_limit() == nil", "true"},
    {"a cache that nobody has",
	"kumo.set_lruttl_cache_capacity('any', 1) return 1", "1"},
};

START_TEST(looking_at_it_is_harmless)
{
	check_eval(&looks[_i]);
}
END_TEST

/* Events of parts that are not there may be registered. */
START_TEST(their_events_may_be_registered)
{
	static const char *const events[] = {"http_message_generated",
	    "http_server_validate_auth_basic",
	    "http_server_validate_auth_bearer", "get_acl_definition",
	    "proxy_init", "proxy_server_auth_rfc1929", "xfer_message_received",
	    "smtp_server_auth_plain", "main"};
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < COUNT(events); i++)
		buf_addf(&text, "kumo.on('%s', function() end) ", events[i]);
	end_policy(load_policy(buf_str(&text)));
	buf_release(&text);
}
END_TEST

/* ---- settings of another engine ---- */

static const struct {
	const char *name, *good, *bad; /* bad NULL: nothing is */
} settings[] = {
    {"configure_accounting_db_path", "'/x'", "1"},
    {"enable_memory_callstack_tracking", "true", "1"},
    {"set_config_monitor_interval", "'10s'", NULL},
    {"set_httpinject_recipient_rate_limit", "'1/s'", NULL},
    {"set_httpinject_threads", "1", "'1'"},
    {"set_logging_threads", "1", "{}"},
    {"set_lua_gc_on_put", "1", "true"},
    {"set_max_cpu_threads", "1", "'x'"},
    {"set_memory_hard_limit", "1", "'x'"},
    {"set_memory_low_thresh", "1", "'x'"},
    {"set_memory_soft_limit", "1", "nil"},
    {"set_qmaint_threads", "1", "'x'"},
    {"set_ready_qmaint_threads", "1", "'x'"},
    {"set_readyq_threads", "1", "'x'"},
    {"set_smtpsrv_threads", "1", "'x'"},
    {"set_spoolin_threads", "1", "'x'"},
    {"set_spoolout_threads", "1", "'x'"},
    {"spawn_thread_pool", "{}", "1"},
    {"start_http_listener", "{listen='127.0.0.1:8000'}", "1"},
    {"start_proxy_listener", "{}", "1"},
    {"suspend_delivery_when_spool_unhealthy", "true", "1"},
};

/* What loading this says on standard error. */
static const char *said_by(const char *policy)
{
	static char said[4096];
	FILE *file = tmpfile();
	int old = dup(STDERR_FILENO);
	size_t len;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
	end_policy(load_policy(policy));
	ck_assert_int_ge(dup2(old, STDERR_FILENO), 0);
	(void)close(old);
	rewind(file);
	len = fread(said, 1, sizeof said - 1, file);
	said[len] = '\0';
	(void)fclose(file);
	return said;
}

START_TEST(tuning_is_accepted_with_one_warning)
{
	struct buf text = BUF_INIT, want = BUF_INIT;
	const char *first, *said;

	buf_addf(&text,
	    "kumo.on('init', function() kumo.%s(%s) kumo.%s(%s) end)",
	    settings[_i].name, settings[_i].good, settings[_i].name,
	    settings[_i].good);
	said = said_by(buf_str(&text));
	buf_addf(&want, "kumo.%s has no effect here", settings[_i].name);
	first = strstr(said, buf_str(&want));
	ck_assert_msg(first != NULL, "%s: %s", settings[_i].name, said);
	ck_assert_ptr_null(strstr(first + 1, buf_str(&want)));
	if (settings[_i].bad) {
		buf_reset(&text);
		buf_addf(&text, "kumo.on('init', function() kumo.%s(%s) end)",
		    settings[_i].name, settings[_i].bad);
		ck_assert_ptr_nonnull(
		    strstr(load_error(buf_str(&text), SCRIPT_MILTER),
			"bad argument #1"));
	}
	buf_release(&text);
	buf_release(&want);
}
END_TEST

Suite *missing_suite(void)
{
	Suite *suite = suite_create("missing");
	TCase *tcase = tcase_create("missing");

	tcase_add_loop_test(
	    tcase, what_is_not_there_is_an_error_that_helps, 0, COUNT(advised));
	tcase_add_loop_test(
	    tcase, what_is_missing_says_so_by_name, 0, COUNT(cases));
	tcase_add_loop_test(tcase, looking_at_it_is_harmless, 0, COUNT(looks));
	tcase_add_test(tcase, their_events_may_be_registered);
	tcase_add_loop_test(
	    tcase, tuning_is_accepted_with_one_warning, 0, COUNT(settings));
	suite_add_tcase(suite, tcase);
	return suite;
}

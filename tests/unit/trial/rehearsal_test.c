/*
 * rehearsal_test.c - a script declares tests, and each has its verdict
 */
#include "trial/rehearsal.h"

#include <unistd.h>

#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "tests/unit/trial/trial_test.h"

static const char policy[] =
    "local kumo = require 'kumo'\n"
    "local penstock = require 'penstock'\n"
    "kumo.on('get_listener_domain', function(d, l, m)\n"
    "  if d == 'example.com' then\n"
    "    return kumo.make_listener_domain { relay_to = true }\n"
    "  elseif d == 'local.test' then\n"
    "    return kumo.make_listener_domain { leave_to_mta = true }\n"
    "  end\n"
    "end)\n"
    "local slow = kumo.memoize(function(k) return os.time() end,\n"
    "  { name = 'slow', ttl = '5 mins', capacity = 10 })\n"
    "kumo.on('smtp_server_message_received', function(m)\n"
    "  m:set_meta('at', slow 'x')\n"
    "  m:prepend_header('X-Seen', 'yes')\n"
    "  kumo.log_warn('seen')\n"
    "end)\n"
    "kumo.on('get_queue_config', function(d, tenant)\n"
    "  if d == 'boom.test' then error 'boom' end\n"
    "  local ok, answer = pcall(kumo.dns.lookup_txt, 'pool.' .. d)\n"
    "  return kumo.make_queue_config { egress_pool = tenant }\n"
    "end)\n"
    "kumo.on('get_egress_pool', function(name)\n"
    "  return kumo.make_egress_pool { name = name, ttl = '1m', entries = {\n"
    "    { name = os.date('!%H') == '12' and 'noon' or 'night' } } }\n"
    "end)\n"
    "kumo.on('get_egress_source', function(name)\n"
    "  return kumo.make_egress_source { name = name }\n"
    "end)\n";

static struct rehearsal *r;
static struct err err;

static bool load(const char *text, int64_t deadline_ms)
{
	char *script = xasprintf("local t = require 'penstock.test'\n%s", text);
	const struct rehearsal_settings settings = {
	    .file = write_file("script.lua", script),
	    .policy = write_file("policy.lua", policy),
	    .dir = scratch(),
	    .deadline_ms = deadline_ms,
	};

	free(script);
	diag_set_level(DIAG_FATAL);
	return rehearsal_load(&r, &settings, &err);
}

/* Of one test with this body. */
static struct verdict verdict_on(const char *body)
{
	char *text = xasprintf("t.test('it', function()\n%s\nend)\n", body);
	struct verdict verdict;

	ck_assert_msg(load(text, 20000), "%s", err.text);
	rehearsal_run(r, 0, &verdict);
	free(text);
	return verdict;
}

static void teardown(void)
{
	rehearsal_free(r);
	r = NULL;
}

/* ---- what holds ---- */

static const struct {
	const char *label, *body;
} passing[] = {
    {"nothing", ""},
    {"expectations",
	"t.ok(1) t.eq({ a = { 1 } }, { a = { 1 } }) t.ne(1, 2)\n"
	"t.match('abc', 'b') t.no_match('abc', 'x')\n"
	"t.has({ a = 1, b = { c = 2, d = 3 } }, { b = { d = 3 } })\n"
	"t.eq(t.raises(function() error('x', 0) end, 'x'), 'x')\n"
	"t.raises(function() t.fail 'no' end, '^no$')"},
    {"replies by class, code, enhanced code and text",
	"local c = t.connect { ehlo = 'x.test' }\n"
	"t.reply(c.greeting, '220') t.accepted(c:mail 'a@b.test')\n"
	"local r = c:rcpt 'x@far.test'\n"
	"t.reply(r, '5') t.reply(r, '550') t.reply(r, '550 5.7.1')\n"
	"t.reply(r, '550 5.7.1 relaying not') t.reply(r, '550 relaying')\n"
	"t.refused(r) t.refused(r, '550 5.7.1')\n"
	"t.eq(tostring(r), r.line) t.eq(r.by, 'penstock')\n"
	"t.eq(c:data('x').by, 'mta') t.eq(r.accepted, false)"},
    {"what was stored",
	"local c = t.connect { ip = '::ffff:203.0.113.9', name = 'h.test' }\n"
	"local r = c:send { from = 'a@b.test', to = { 'x@example.com',\n"
	"  'y@local.test' }, message = { subject = 's', from = 'a@b.test',\n"
	"  to = { 'x', 'y' }, headers = { { 'X-Long', 'one\\n two' } },\n"
	"  body = 'hi\\n' } }\n"
	"t.accepted(r) t.eq(#r.ids, 1) t.eq(r.discarded, false)\n"
	"local b = c:stored()[1] t.eq(b.id, r.ids[1])\n"
	"t.eq(b.recipients, { 'x@example.com' }) t.eq(b.sender, 'a@b.test')\n"
	"t.eq(b:header 'x-long', 'one two') t.eq(b:headers 'To', { 'x, y' })\n"
	"t.eq(b:header 'X-Seen', 'yes') t.eq(b:header 'None', nil)\n"
	"t.eq(b.body, 'hi\\r\\n') t.eq(b.due_in, 0)\n"
	"t.match(b.rule, '^relay_to .*policy.lua:3$')\n"
	"t.match(tostring(b), 'example.com')\n"
	"t.eq(t.queue(b).domain, 'example.com')\n"
	"t.eq(c:meta 'client_name', 'h.test') t.eq(c:meta().hostname ~= nil, "
	"true)\n"
	"t.eq(#t.records 'Reception', 1) t.eq(#t.records 'Bounce', 0)\n"
	"t.eq(#t.records(), 1)"},
    {"one call",
	"local r, all, c = t.send { ip = '203.0.113.9', from = '',\n"
	"  to = 'x@far.test' }\n"
	"t.refused(r, '550 5.7.1') t.eq(#all, 2) t.eq(#c:stored(), 0)\n"
	"t.accepted((t.send { to = 'x@example.com' }))"},
    {"owners and rules",
	"local c = t.connect() c:mail ''\n"
	"local r = c:rcpt 'x@example.com' t.eq(r.owner, 'penstock')\n"
	"t.match(r.rule, 'relay_to') t.eq(c:rcpt('y@local.test').owner, "
	"'mta')\n"
	"t.eq(c:rcpt('z@far.test').owner, nil)\n"
	"t.eq(c:domain 'example.com', { relay_to = true })\n"
	"t.eq(c:domain 'far.test', nil) t.eq(c:params().max_connections > 0, "
	"true)"},
    {"a client that logs in and encrypts",
	"local c = t.connect { tls = true, auth = 'ann' }\n"
	"c:ehlo 'x.test' c:mail 'a@b.test' t.eq(c:meta 'authn_id', 'ann')\n"
	"t.eq(c:meta 'tls_protocol_version', 'TLSv1.3') c:rset()\n"
	"c:auth(nil) c:mail 'a@b.test' t.eq(c:meta 'authn_id', nil)\n"
	"local d = t.connect() d:starttls { version = 'TLSv1.2' } d:ehlo 'y'\n"
	"t.eq(d:meta 'tls_protocol_version', 'TLSv1.2')\n"
	"t.eq(d:quit().code, 221)\n"
	"t.raises(function() d:mail '' end, 'closed')"},
    {"macros over everything",
	"local c = t.connect { mta = 'Sendmail', server = '10.0.0.1:26',\n"
	"  macros = { ['{auth_authen}'] = 'bob' } } c:mail ''\n"
	"t.eq(c:meta 'authn_id', 'bob')\n"
	"t.eq(c:meta 'received_via', '10.0.0.1:26')"},
    {"the clock moves memoize",
	"local c = t.connect()\n"
	"local function at() c:send { to = 'x@example.com' }\n"
	"  return c:stored()[1].meta.at end\n"
	"local first = at() t.advance '4 mins' t.eq(at(), first)\n"
	"t.advance(120) t.ok(at() >= first + 360)"},
    {"and dates, and what a pool's ttl keeps",
	"t.set_time '2026-11-23T12:30:00Z' t.eq(t.now() // 60, 29923950)\n"
	"local q = t.queue { domain = 'far.test', tenant = 'p' }\n"
	"t.eq(q:pick(), 'noon') t.set_time(1000000) t.eq(q:pick(), 'noon')\n"
	"t.advance '61s' t.eq(q:pick(), 'night')"},
    {"the DNS is a zone",
	"t.zone { ['far.test'] = { MX = { '10 mx.far.test' } },\n"
	"  ['mx.far.test'] = { A = '192.0.2.1', TXT = 'say \"x\"' },\n"
	"  ['down.test'] = 'FAIL' }\n"
	"local q = t.queue 'far.test' t.eq(q:site(), 'mx.far.test')\n"
	"t.eq(q:hosts()[1].addresses, { '192.0.2.1' })\n"
	"t.eq(q:ready(), 'unspecified->mx.far.test@smtp_client')\n"
	"local none, why = t.queue('down.test'):plan()\n"
	"t.eq(none, nil) t.match(why, '^451 4.4.4')\n"
	"t.zone 'other.test A 192.0.2.9\\n'\n"
	"t.eq(t.queue('other.test'):plan()[1].address, '192.0.2.9')\n"
	"t.eq((t.queue('far.test'):site()), nil)"},
    {"queues",
	"local q = t.queue 'c:p@far.test!route.test'\n"
	"t.eq({ q.campaign, q.tenant, q.domain, q.routing_domain },\n"
	"  { 'c', 'p', 'far.test', 'route.test' })\n"
	"t.eq(q.name, 'c:p@far.test!route.test') t.eq(q.config.egress_pool, "
	"'p')\n"
	"t.eq(q:pool().name, 'p') t.eq(q:source('night').name, 'night')\n"
	"t.eq(q.error, nil) t.eq(q:shares(3), { night = 3 })\n"
	"local bad = t.queue 'boom.test' t.eq(bad.config, nil)\n"
	"t.match(bad.error, 'boom') t.match(tostring(q), 'far')\n"
	"local list, expires = q:retries(2) t.eq(#list, 2)"},
    {"another policy",
	"t.policy_text [[ require('kumo').on('get_listener_domain',\n"
	"  function() return { relay_to = true } end) ]]\n"
	"t.accepted((t.send { to = 'x@far.test' }))\n"
	"t.eq(t.policy_error_text 'return', nil)\n"
	"t.match(t.policy_error_text '\\n\\nerror \"x\"', 'check.lua:3:')"},
    {"notes and prints", "t.note 'said' print 'printed'"},
};

START_TEST(what_a_script_promises_holds)
{
	struct verdict v;

	/* It is about the hour. */
	v = verdict_on(passing[_i].body);
	ck_assert_msg(v.passed, "%s: %s (%s) got %s, want %s",
	    passing[_i].label, v.message, v.at, v.got, v.want);
}
END_TEST

/* ---- what does not ---- */

static const struct {
	const char *body, *message, *got, *want;
} failing[] = {
    {"t.eq({ a = 'x\\n', 1 }, { 2 })", "values differ", "{ 1, a = \"x\\n\" }",
	"{ 2 }"},
    {"t.eq(1, 2, 'the sum')", "the sum", "1", "2"},
    {"t.ne(1, 1)", "values are equal", "1", "anything else"},
    {"t.ok(nil)", "expected a true value", "nil", "a true value"},
    {"t.match('a', 'b')", "no match", "\"a\"", "a match of \"b\""},
    {"t.match(nil, 'b')", "no match", "nil", "a match of \"b\""},
    {"t.no_match('a', 'a')", "unwanted match", "\"a\"", "a text without \"a\""},
    {"t.has({ a = { b = 1 } }, { a = { b = 2 } })", "a.b differs",
	"{ a = { b = 1 } }", "{ a = { b = 2 } }"},
    {"t.raises(function() end)", "nothing was raised", "no error", "an error"},
    {"t.raises(function() error('x', 0) end, 'y')", "another error was raised",
	"\"x\"", "a match of \"y\""},
    {"t.fail 'enough'", "enough", NULL, NULL},
    {"error('by hand', 0)", "by hand", NULL, NULL},
    {"local x x.y = 1", "attempt to index a nil value (local 'x')", NULL, NULL},
    {"t.reply(t.connect().greeting, '550 5.7.1')", "another reply was expected",
	"\"220 ok\"", "\"550 5.7.1\""},
    {"t.refused(t.connect().greeting)", "it was accepted", "\"220 ok\"",
	"\"a refusal\""},
    {"t.reply('250', '250')",
	"t.reply: the first argument is no reply: \"250\"", NULL, NULL},
    {"t.reply(t.connect().greeting, 'ok')",
	"a reply is a code, an enhanced code and text, not \"ok\"", NULL, NULL},
    {"t.connect { ips = 'x' }", "t.connect: \"ips\" is not known here", NULL,
	NULL},
    {"t.connect { ip = 'x' }", "ip: expected an address, got \"x\"", NULL,
	NULL},
    {"t.connect { port = 70000 }", "port: expected a number from 0 to 65535",
	NULL, NULL},
    {"t.connect { ip = {} }", "ip: expected a text, got a table", NULL, NULL},
    {"t.connect { tls = 1 }", "tls: expected true or a table, got 1", NULL,
	NULL},
    {"t.connect { mta = 'exim' }",
	"mta: expected 'Postfix' or 'Sendmail', got \"exim\"", NULL, NULL},
    {"t.connect():message { subjekt = 'x' }",
	"message: \"subjekt\" is not known here", NULL, NULL},
    {"t.connect():message(5)", "a message is a text or a table, not 5", NULL,
	NULL},
    {"t.queue {}",
	"t.queue: expected a name, a table with domain, or a batch, got {}",
	NULL, NULL},
    {"t.zone 'x.test A y'",
	"t.zone: line 1: A: expected an IPv4 address, got \"y\"", NULL, NULL},
    {"t.zone { x = { LOC = 'y' } }",
	"t.zone: x: record type \"LOC\" is not known here", NULL, NULL},
    {"t.zone(5)", "t.zone: expected a text or a table, got 5", NULL, NULL},
    {"t.advance 'soon'",
	"t.advance: a duration begins with a number, got \"soon\"", NULL, NULL},
    {"t.connect() t.policy 'x'",
	"t.policy comes too late: the policy of this test is loaded already",
	NULL, NULL},
    {"t.test('in', function() end)",
	"t.test: a test cannot declare another one", NULL, NULL},
};

START_TEST(what_does_not_hold_is_shown)
{
	char *at = xasprintf("%s/script.lua:3", scratch());
	struct verdict v = verdict_on(failing[_i].body);

	ck_assert(!v.passed);
	if (!str_starts(failing[_i].body, "t.advance"))
		ck_assert_str_eq(v.message, failing[_i].message);
	ck_assert_pstr_eq(v.got, failing[_i].got);
	ck_assert_pstr_eq(v.want, failing[_i].want);
	if (!str_starts(failing[_i].body, "error("))
		ck_assert_pstr_eq(v.at, at);
	ck_assert(!v.policy_error);
	free(at);
}
END_TEST

START_TEST(a_helpers_caller_is_named_too)
{
	struct verdict v = verdict_on("local function help(x)\n"
				      "  t.eq(x, 1)\n"
				      "end\n"
				      "help(2)");

	ck_assert_ptr_nonnull(strstr(v.at, "script.lua:4, called from "));
	ck_assert_ptr_nonnull(strstr(v.at, "script.lua:6"));
}
END_TEST

START_TEST(a_policy_that_does_not_load_is_no_failed_test)
{
	struct verdict v = verdict_on("t.policy_text '\\nerror \"no\"'\n"
				      "t.connect()");

	ck_assert(!v.passed);
	ck_assert_ptr_nonnull(strstr(v.policy_error, "policy.lua:2:"));
}
END_TEST

START_TEST(a_loop_without_end_has_one)
{
	struct verdict v;

	ck_assert(load("t.test('it', function()\n"
		       "  while true do pcall(function()\n"
		       "    while true do end end) end\n"
		       "end)",
	    300));
	rehearsal_run(r, 0, &v);
	ck_assert_str_eq(v.message, "the test ran over its deadline");
	ck_assert_ptr_nonnull(strstr(v.at, "script.lua:"));
}
END_TEST

/* ---- declaring ---- */

START_TEST(tests_are_declared_with_options)
{
	struct verdict v;

	ck_assert(load("t.policy_text 'return 1'\n"
		       "t.test('a', function() t.refused((t.send {\n"
		       "  to = 'x@example.com' })) end)\n"
		       "t.test('b', { policy = 'policy.lua', deadline = 3 },\n"
		       "  function() t.accepted((t.send {\n"
		       "    to = 'x@example.com' })) end)\n",
	    5000));
	ck_assert_uint_eq(rehearsal_count(r), 2);
	ck_assert_str_eq(rehearsal_test_name(r, 1), "b");
	ck_assert_int_eq(rehearsal_deadline_ms(r, 0), 5000);
	ck_assert_int_eq(rehearsal_deadline_ms(r, 1), 3000);
	rehearsal_run(r, _i == 0 ? 0 : 1, &v);
	/* The second one writes policy.lua's own text over. */
	if (_i == 0)
		ck_assert_msg(v.passed, "%s", v.message);
}
END_TEST

static const struct {
	const char *text, *want;
} broken[] = {
    {"t.test(", "script.lua:2: "},
    {"error 'top'", "script.lua:2: top"},
    {"t.test('x')", "t.test: expected a name and a function"},
    {"t.test('x', { dead = 1 }, print)", "t.test: \"dead\" is not known here"},
    {"t.zone(5)", "t.zone: expected a text or a table"},
    {"require 'no.such.module'", "no.such.module"},
    {"error {}", "script.lua"},
    {"while true do end", "script.lua:2: the test ran over its deadline"},
};

START_TEST(a_script_that_does_not_load_says_why)
{
	ck_assert(!load(broken[_i].text, 300));
	ck_assert_msg(
	    strstr(err.text, broken[_i].want) != NULL, "%s", err.text);
	r = NULL;
}
END_TEST

TCase *rehearsal_tests(void)
{
	TCase *tc = tcase_create("rehearsal");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(
	    tc, what_a_script_promises_holds, 0, COUNT(passing));
	tcase_add_loop_test(tc, what_does_not_hold_is_shown, 0, COUNT(failing));
	tcase_add_test(tc, a_helpers_caller_is_named_too);
	tcase_add_test(tc, a_policy_that_does_not_load_is_no_failed_test);
	tcase_add_test(tc, a_loop_without_end_has_one);
	tcase_add_loop_test(tc, tests_are_declared_with_options, 0, 1);
	tcase_add_loop_test(
	    tc, a_script_that_does_not_load_says_why, 0, COUNT(broken));
	return tc;
}

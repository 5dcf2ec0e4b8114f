/*
 * message_test.c - the message object, addresses
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "lua_test.h"

static const char content[] = "Subject: =?utf-8?q?caf=C3=A9?=\r\n"
			      "X-One: 1\r\n"
			      "x-two:\r\n\tfolded\r\n"
			      "X-One: 2\r\n"
			      "\r\n"
			      "body\r\n";

static struct message *make_message(void)
{
	struct message *m = message_new();
	struct err err = {0};
	struct envelope_recipient r = {0};

	ck_assert(address_parse(
	    "<ann@Send.example>", 18, m->arena, &m->sender.address, &err));
	ck_assert(
	    address_parse("\"a b\"@d.example", 15, m->arena, &r.address, &err));
	r.notify = "NEVER";
	*ARRAY_ADD(&m->recipients) = r;
	m->content = content_from_bytes(content, sizeof content - 1);
	message_prepend_header(m, "Received", "from here");
	meta_set_string(m->meta, "tenant", "t");
	return m;
}

/* A handler's body with `m` as the message; its result as JSON or error, and
 * the whole message afterwards, when `data` says so. */
static const struct {
	const char *label, *body, *want;
	const char *data; /* part of the message afterwards; NULL: any */
} cases[] = {
    {"id", "return #m:id() == 32 and m:id():match '^[0-9a-f]+$' ~= nil",
	"true"},
    {"sender",
	"local s = m:sender() return {s.user, s.domain, s.email, "
	"tostring(s), s == m:sender(), '<' .. s .. '>', "
	"(pcall(function() return s.nothing end))}",
	"[\"ann\",\"Send.example\",\"ann@Send.example\","
	"\"ann@Send.example\",true,\"<ann@Send.example>\",false]"},
    {"recipient",
	"local r = m:recipient() return {r.user, r.domain, r.email, "
	"#m:recipient_list()}",
	"[\"a b\",\"d.example\",\"\\\"a b\\\"@d.example\",1]"},
    {"addresses are values", "return {m:sender()}", "[\"ann@Send.example\"]"},
    {"set_sender",
	"m:set_sender '<>' return {tostring(m:sender()), "
	"m:sender().domain}",
	"[\"\",\"\"]"},
    {"set_sender from an address",
	"m:set_sender(m:recipient()) return m:sender()",
	"\"\\\"a b\\\"@d.example\""},
    {"set_sender refuses", "m:set_sender 'a b c'", "a b c"},
    {"set_recipient to several",
	"m:set_recipient {'x@a.example', m:sender()} "
	"return {#m:recipient(), tostring(m:recipient()[2])}",
	"[2,\"ann@Send.example\"]"},
    {"set_recipient to none", "m:set_recipient {} return m:recipient() == nil",
	"true"},
    {"an error changes nothing",
	"pcall(m.set_recipient, m, {'x@a.example', '@@'}) "
	"return m:recipient().user",
	"\"a b\""},
    {"meta",
	"m:set_meta('x', {a = {1, 2}}) local t = m:get_meta 'x' "
	"t.a[1] = 9 m:set_meta('y', m:sender()) m:set_meta('z', nil) "
	"return {m:get_meta 'x'.a[1], m:get_meta 'y', "
	"m:get_meta 'z' == nil, m:get_meta 'none' == nil}",
	"[1,\"ann@Send.example\",true,true]"},
    {"meta takes no function", "m:set_meta('x', {print})",
	"set_meta: x: [1]: a function cannot be used as a value"},
    {"meta takes no message", "m:set_meta('x', m)", "set_meta: x: an object"},
    {"queue_name",
	"m:set_meta('campaign', 'c') m:set_meta('routing_domain', 'r') "
	"return m:queue_name()",
	"\"c:t@d.example!r\""},
    {"queue_name by queue", "m:set_meta('queue', 'q') return m:queue_name()",
	"\"q\""},
    {"queue_name of a number", "m:set_meta('tenant', 5) return m:queue_name()",
	"tenant"},
    {"attempts", "m:increment_num_attempts() return m:num_attempts()", "1"},
    {"get_data", "return {#m:get_data(), m:get_data():sub(1, 9)}",
	"[98,\"Received:\"]"},
    {"set_data", "m:set_data 'A: b\\r\\n\\r\\nc' return m:get_data()",
	"\"A: b\\r\\n\\r\\nc\"", "A: b\r\n\r\nc"},
    {"prepend_header", "m:prepend_header('X-New', 'v')", "null",
	"X-New: v\r\nReceived: from here\r\nSubject:"},
    {"append_header", "m:append_header('X-New', 'v')", "null",
	"X-One: 2\r\nX-New: v\r\n\r\nbody\r\n"},
    {"append_header into nothing",
	"m:set_data 'no header' m:append_header('X-New', 'v')",
	"no empty line"},
    {"append_header to an empty header",
	"m:set_data '\\r\\nbody' m:append_header('X', 'v')", "null",
	"X: v\r\n\r\nbody"},
    {"folds become CRLF", "m:prepend_header('X', 'a\\n\\tb\\r\\n c')", "null",
	"X: a\r\n\tb\r\n c\r\nReceived"},
    {"no header is smuggled in", "m:prepend_header('X', 'a\\r\\nBcc: eve@x')",
	"must be followed by a space"},
    {"nor an end of the header", "m:append_header('X', 'a\\n\\nbody')",
	"must be followed by a space"},
    {"nor by the name", "m:prepend_header('X: y\\r\\nZ', 'a')",
	"not the name of a header field"},
    {"an encoded value",
	"m:prepend_header('X', 'caf\\u{e9}', true) "
	"m:append_header('Y', 'plain', true) "
	"return m:get_first_named_header_value 'X'",
	"\"caf\303\251\"", "X: =?utf-8?q?caf=C3=A9?=\r\nReceived"},
    {"an encoded value that is no text",
	"m:prepend_header('X', 'caf\\xe9', true)", "the value is not UTF-8"},
    {"a long value is folded",
	"m:append_header('X', ('word '):rep(30) .. 'end', true) "
	"return m:get_first_named_header_value 'X' == ('word '):rep(30) .. "
	"'end'",
	"true", " word\r\n word word"},
    {"an address list",
	"m:prepend_header('To', '\"B, C\" <b@x.test>, G: d@y.test;') "
	"local to = m:to_header() return {tostring(to), #to.list, "
	"to.list[2].entries[1].domain}",
	"[\"[{\\\"address\\\":\\\"b@x.test\\\","},
    {"a single address",
	"m:prepend_header('From', 'Ann <ann@Example.com>') "
	"local f = m:from_header() return {f.user, f.domain, f.email, f.name}",
	"[\"ann\",\"Example.com\",\"ann@Example.com\",\"Ann\"]"},
    {"a single address without a name",
	"m:prepend_header('Sender', 'a@b.test') "
	"return m:get_address_header('sender').name == nil",
	"true"},
    {"not a single address",
	"m:prepend_header('From', 'a@x.test, b@y.test') "
	"return m:from_header().user",
	"user: there is not exactly one address"},
    {"no such addresses", "return m:get_address_header 'Cc' == nil", "true"},
    {"not addresses", "m:get_address_header 'Subject'",
	"Subject: not a list of addresses: "},
    {"first value",
	"return {m:get_first_named_header_value 'subject', "
	"m:get_first_named_header_value 'X-TWO', "
	"m:get_first_named_header_value 'none' == nil}",
	"[\"caf\303\251\",\"folded\",true]"},
    {"all values", "return m:get_all_named_header_values 'x-one'",
	"[\"1\",\"2\"]"},
    {"no values", "return m:get_all_named_header_values 'none'", "{}"},
    {"all headers", "local h = m:get_all_headers() return {#h, h[1], h[4]}",
	"[5,[\"Received\",\"from here\"],[\"x-two\",\"folded\"]]"},
    {"remove_all_named_headers", "m:remove_all_named_headers 'x-one'", "null",
	"Received: from here\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n"
	"x-two:\r\n\tfolded\r\n\r\nbody\r\n"},
    {"remove_x_headers", "m:remove_x_headers()", "null",
	"Received: from here\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\r\nbody"},
    {"remove_x_headers by name", "m:remove_x_headers {'X-Two'}", "null",
	"X-One: 1\r\nX-One: 2\r\n\r\n"},
    {"import_x_headers",
	"m:import_x_headers() "
	"return {m:get_meta 'x_one', m:get_meta 'x_two'}",
	"[\"2\",\"folded\"]"},
    {"import_x_headers by name",
	"m:import_x_headers {'Subject'} "
	"return m:get_meta 'subject'",
	"\"caf\303\251\""},
    {"the supplemental header",
	"kumo.apply_supplemental_trace_header(m, {header_name='X-A'})", "null",
	"X-A: eyJ"},
    {"hints", "m:save() return {m:shrink(), m:shrink_data()}", "[true,true]"},
    {"not yet", "m:dkim_verify()", "message:dkim_verify is not supported yet"},
    {"not at all", "return m.nothing", "message has no field or method"},
    {"a message of one's own",
	"local o = kumo.make_message('a@b.example', {'c@d.example'}, "
	"'S: x\\r\\n\\r\\nb') o:prepend_header('X', 'y') "
	"return {o:get_data(), tostring(o:recipient()), o:id() ~= m:id()}",
	"[\"X: y\\r\\nS: x\\r\\n\\r\\nb\",\"c@d.example\",true]"},
};

START_TEST(a_message_has_methods)
{
	char policy[1024];
	struct script_policy *p;
	struct script_call *call;
	struct message *m = make_message();
	struct buf got = BUF_INIT, data = BUF_INIT;
	struct err err = {0};

	snprintf(policy, sizeof policy, "kumo.on('x', function(m) %s end)",
	    cases[_i].body);
	p = load_policy(policy);
	call = script_call_new(p, "x");
	script_arg_message(call, m);
	if (script_call_run(call, clock_now_ms() + LONG_MS) == SCRIPT_VALUE)
		json_write(&got, script_call_result(call));
	else
		buf_addstr(&got, script_call_error(call));
	ck_assert_msg(strstr(buf_str(&got), cases[_i].want) != NULL, "%s: %s",
	    cases[_i].label, buf_str(&got));
	ck_assert(message_data(m, 1 << 20, &data, &err));
	ck_assert_msg(
	    !cases[_i].data || strstr(buf_str(&data), cases[_i].data) != NULL,
	    "%s: %s", cases[_i].label, buf_str(&data));
	script_call_free(call);
	end_policy(p);
	/* The handle is gone, so this is the last reference. */
	ck_assert_int_eq(m->refs, 1);
	message_unref(m);
	buf_release(&got);
	buf_release(&data);
}
END_TEST

START_TEST(changes_are_flagged)
{
	struct script_policy *p = load_policy(
	    "kumo.on('x', function(m) m:set_sender 'a@b.example' "
	    "  m:set_recipient {m:recipient(), 'z@z.example'} "
	    "  m:append_header('A', 'b') end)"
	    "kumo.on('y', function(m) m:prepend_header('A', 'b') end)"
	    "kumo.on('keep', function(m) kept = m end)"
	    "kumo.on('use', function() return kept:id() end)");
	struct message *m = make_message();
	struct script_call *call = script_call_new(p, "y");

	script_arg_message(call, m);
	(void)script_call_run(call, clock_now_ms() + LONG_MS);
	script_call_free(call);
	ck_assert(!m->content_changed && !m->sender_changed &&
		  !m->recipients_changed);

	call = script_call_new(p, "x");
	script_arg_message(call, m);
	(void)script_call_run(call, clock_now_ms() + LONG_MS);
	script_call_free(call);
	ck_assert(
	    m->content_changed && m->sender_changed && m->recipients_changed);
	/* What the client asked for a recipient stays with it. */
	ck_assert_str_eq(m->recipients.items[0].notify, "NEVER");
	ck_assert_ptr_null(m->recipients.items[1].notify);

	call = script_call_new(p, "keep");
	script_arg_message(call, m);
	(void)script_call_run(call, clock_now_ms() + LONG_MS);
	script_call_free(call);
	call = run_event(p, "use", NULL);
	ck_assert_ptr_nonnull(
	    strstr(script_call_error(call), "an event that is over"));
	script_call_free(call);
	message_unref(m);
	end_policy(p);
}
END_TEST

START_TEST(addresses_are_arguments_too)
{
	struct script_policy *p = load_policy(
	    "kumo.on('x', function(a, b) return {a.user, a.domain, "
	    "  tostring(a), b.domain == '' and tostring(b) == ''} end)");
	struct script_call *call = script_call_new(p, "x");
	struct arena *arena = arena_new(0);
	struct address postmaster, null;
	struct err err = {0};
	struct buf json = BUF_INIT;

	ck_assert(address_parse("<PostMaster>", 12, arena, &postmaster, &err));
	ck_assert(address_parse("<>", 2, arena, &null, &err));
	script_arg_address(call, &postmaster);
	script_arg_address(call, &null);
	arena_unref(arena);
	ck_assert_int_eq(
	    script_call_run(call, clock_now_ms() + LONG_MS), SCRIPT_VALUE);
	json_write(&json, script_call_result(call));
	ck_assert_str_eq(
	    buf_str(&json), "[\"postmaster\",\"\",\"Postmaster\",true]");
	buf_release(&json);
	script_call_free(call);
	end_policy(p);
}
END_TEST

Suite *message_suite(void)
{
	Suite *suite = suite_create("message");
	TCase *tcase = tcase_create("message");

	tcase_add_loop_test(tcase, a_message_has_methods, 0, COUNT(cases));
	tcase_add_test(tcase, changes_are_flagged);
	tcase_add_test(tcase, addresses_are_arguments_too);
	suite_add_tcase(suite, tcase);
	return suite;
}

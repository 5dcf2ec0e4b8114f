#include "policy/listener.h"

#include "base/str.h"
#include "policy/host_name.h"
#include "policy_test.h"
#include "test_values.h"

static const struct parse_case cases[] = {
    {"everything has a default", "{}", NULL},
    {"an address and a port", "{\"listen\": \"10.0.0.1:25\"}", NULL},
    {"any address", "{\"listen\": \"0.0.0.0:25\"}", NULL},
    {"any address, short", "{\"listen\": \"0:25\"}", NULL},
    {"any IPv6 address", "{\"listen\": \"[::]:25\"}", NULL},
    {"any IPv6 address, short", "{\"listen\": \":::25\"}", NULL},
    {"a host name is one word", "{\"hostname\": \"a\\nb\"}",
	"hostname: invalid value: \"a\\x0ab\""},
    {"not a port alone", "{\"listen\": \"25\"}",
	"start_esmtp_listener: listen: invalid value: \"25\", expected "
	"ADDRESS:PORT"},
    {"not a name", "{\"listen\": \"mail:25\"}", "listen: invalid value"},
    {"no time is no setting", "{\"data_processing_timeout\": 0}",
	"data_processing_timeout: invalid value"},
    {"a header has a name", "{\"trace_headers\": {\"header_name\": \"X A\"}}",
	"trace_headers: header_name: invalid value: \"X A\""},
    {"a banner is one line", "{\"banner\": \"a\\nb\"}",
	"banner: invalid value: \"a\\x0ab\""},
    {"nested keys are checked",
	"{\"trace_headers\": {\"recieved_header\": true}}",
	"start_esmtp_listener: trace_headers: unknown key "
	"\"recieved_header\" (did you mean \"received_header\"?)"},
    {"what the MTA enforces is kept",
	"{\"tls_certificate\": \"/c\", \"tls_private_key\": "
	"{\"key_data\": \"k\"}, \"banner\": \"hi\", \"allow_xclient\": true,"
	" \"require_proxy_protocol\": true, \"client_timeout\": \"1m\","
	" \"invalid_line_endings\": \"Fix\"}",
	NULL},
    {"a key source has data or an event", "{\"tls_private_key\": {}}",
	"tls_private_key: invalid value"},
    {"an event has arguments", "{\"tls_private_key\": {\"event_name\": \"x\"}}",
	"event_args"},
    {"a vault is not supported",
	"{\"tls_private_key\": {\"vault_mount\": \"x\"}}",
	"vault_mount: not supported yet"},
    {"a key source has no other keys",
	"{\"tls_private_key\": {\"key\": \"x\"}}", "unknown key \"key\""},
    {"line endings by name", "{\"invalid_line_endings\": \"deny\"}",
	"invalid_line_endings: invalid value: string \"deny\", expected one of "
	"Deny, Allow, Fix"},
    {"new mail may wait for the router", "{\"deferred_queue\": true}", NULL},
    {"lines may be longer", "{\"line_length_hard_limit\": 2000}", NULL},
    {"a line has a length", "{\"line_length_hard_limit\": 0}",
	"line_length_hard_limit: 0 is less than 1"},
    {"a size is positive", "{\"max_message_size\": 0}",
	"max_message_size: 0 is less than 1"},
    {"blocks have a CIDR", "{\"via\": {\"10.0.0.1/24\": {}}}",
	"via: invalid value: CIDR block \"10.0.0.1/24\""},
    {"blocks are tables", "{\"via\": {\"10.0.0.1\": 5}}",
	"via: 10.0.0.1: invalid type: integer 5"},
    {"a map of blocks is a table", "{\"peer\": \"10.0.0.1\"}",
	"peer: invalid type: string \"10.0.0.1\""},
    {"keys of blocks are checked", "{\"via\": {\"10.0.0.1\": {\"x\": 1}}}",
	"start_esmtp_listener: via: 10.0.0.1: unknown key \"x\""},
    {"case 41: listen is for the top",
	"{\"via\": {\"10.0.0.1\": {\"listen\": \"0.0.0.0:26\"}}}",
	"start_esmtp_listener: via: 10.0.0.1: unknown key \"listen\""},
    {"case 41: and so is max_connections",
	"{\"peer\": {\"10.0.0.1\": {\"max_connections\": 1}}}",
	"unknown key \"max_connections\""},
    {"blocks are checked all the way down",
	"{\"peer\": {\"any\": {\"via\": {\"10.0.0.1\": {\"hostname\": 5}}}}}",
	"start_esmtp_listener: peer: any: via: 10.0.0.1: hostname: invalid "
	"type: integer 5, expected a string"},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&listener_params, &cases[_i]);
}
END_TEST

START_TEST(defaults_are_those_of_the_language)
{
	const struct listener *l = listener_defaults();

	ck_assert_str_eq(l->listen, "127.0.0.1:2025");
	ck_assert_str_eq(l->hostname, host_name());
	ck_assert_int_eq(l->max_message_size, 20971520);
	ck_assert_int_eq(l->max_recipients_per_message, 1024);
	ck_assert_int_eq(l->max_messages_per_connection, 10000);
	ck_assert_int_eq(l->max_connections, 32768);
	ck_assert_int_eq(l->data_processing_timeout.ms, 90000);
	ck_assert(cidr_list_contains(&l->relay_hosts, ip("127.0.0.1")));
	ck_assert(cidr_list_contains(&l->relay_hosts, ip("::1")));
	ck_assert(!cidr_list_contains(&l->relay_hosts, ip("127.0.0.2")));
	ck_assert(l->trace_headers.received_header);
	ck_assert(l->trace_headers.supplemental_header);
	ck_assert_str_eq(l->trace_headers.header_name, "X-KumoRef");
	ck_assert_int_eq(l->batch_handling, BATCH_BIFURCATE_ALWAYS);
}
END_TEST

/* Who owns a connection. */
static const struct {
	const char *label;
	const char *listens[4];
	const char *local;
	int port;
	int want; /* -1: nobody */
} owners[] = {
    {"case 46: the exact address", {"10.0.0.1:25", "0.0.0.0:25"}, "10.0.0.1",
	25, 0},
    {"case 46: else the wildcard", {"10.0.0.1:25", "0.0.0.0:25"}, "10.0.0.9",
	25, 1},
    {"the order does not matter", {"0.0.0.0:25", "10.0.0.1:25"}, "10.0.0.1", 25,
	1},
    {"the port comes before the address", {"10.0.0.1:26", "0:25"}, "10.0.0.1",
	25, 1},
    {"the address at another port", {"10.0.0.1:26", "0:27"}, "10.0.0.1", 25, 0},
    {"the wildcard at another port", {"10.0.0.1:26", "0:27"}, "10.0.0.2", 25,
	1},
    {"families are not mixed", {"0:25", "[::]:25"}, "2001:db8::1", 25, 1},
    {"nor guessed", {"0:25", "10.0.0.1:25"}, "2001:db8::1", 25, -1},
    {"without a port the address decides", {"0:25", "10.0.0.1:26"}, "10.0.0.1",
	0, 1},
    {"without a port the first wildcard", {"0:25", "0:26"}, "10.0.0.1", 0, 0},
    {"the first among equals", {"0:25", "0.0.0.0:25"}, "10.0.0.1", 25, 0},
    {"the only one", {"10.0.0.1:25"}, "10.0.0.2", 26, 0},
    {"the only one, for whom we know nothing of", {"10.0.0.1:25"}, NULL, 0, 0},
    {"of two we cannot tell", {"10.0.0.1:25", "0:25"}, NULL, 0, -1},
    {"nobody is configured", {NULL}, "10.0.0.1", 25, -1},
};

START_TEST(finds_the_owner)
{
	const struct listener *all[4];
	size_t count = 0;
	const struct listener *found;

	for (; owners[_i].listens[count]; count++) {
		char *table = arena_printf(
		    arena, "{\"listen\": \"%s\"}", owners[_i].listens[count]);

		all[count] = parsed(&listener_params, table);
	}
	found = listener_find(
	    all, count, ip(owners[_i].local), (uint16_t)owners[_i].port);
	ck_assert_msg(
	    found == (owners[_i].want < 0 ? NULL : all[owners[_i].want]), "%s",
	    owners[_i].label);
}
END_TEST

/* Effective parameters.  The client is 203.0.113.9, we are 10.0.0.1; what is
 * set is shown as hostname / header name of the trace / meta in order. */
static const struct {
	const char *label;
	const char *block;
	const char *dynamic; /* NULL: no handler */
	const char *want;    /* hostname, or words of the error after "!" */
	const char *meta;    /* what was told, NULL: not looked at */
} applied[] = {
    {"case 31: the listener's own", "{\"hostname\": \"mx.a.example\"}", NULL,
	"mx.a.example", "hostname=\"mx.a.example\" "},
    {"case 32: a dynamic via block", "{\"hostname\": \"own\"}",
	"{\"via\": {\"10.0.0.1\": {\"hostname\": \"one\"},"
	" \"10.0.0.2\": {\"hostname\": \"two\"}}}",
	"one", "hostname=\"own\" hostname=\"one\" "},
    {"case 32: of another address", "{\"hostname\": \"own\"}",
	"{\"via\": {\"10.0.0.2\": {\"hostname\": \"two\"}}}", "own", NULL},
    {"case 33: dynamic comes last",
	"{\"hostname\": \"st\", \"via\": {\"10.0.0.1\": {\"hostname\":"
	" \"v\"}}}",
	"{\"hostname\": \"dyn\"}", "dyn", NULL},
    {"case 34: via beats peer, peer beats the top",
	"{\"hostname\": \"a\", \"via\": {\"10.0.0.1\": {\"hostname\": \"v\"}},"
	" \"peer\": {\"203.0.113.9\": {\"hostname\": \"p\"}}}",
	NULL, "v", "hostname=\"a\" hostname=\"p\" hostname=\"v\" "},
    {"case 35: via inside peer",
	"{\"peer\": {\"203.0.113.9\": {\"via\": {\"10.0.0.1\": {\"hostname\":"
	" \"pv\"}}}}}",
	NULL, "pv", NULL},
    {"case 36: meta is merged",
	"{\"hostname\": \"h\", \"meta\": {\"k\": \"base\", \"only\": \"b\"},"
	" \"peer\": {\"203.0.113.9\": {\"meta\": {\"k\": \"peer\"}}}}",
	NULL, "h", "hostname=\"h\" k=\"base\" only=\"b\" k=\"peer\" "},
    {"case 37: only the longest prefix applies",
	"{\"hostname\": \"h\", \"peer\": {\"0.0.0.0/0\": {\"meta\": {\"w\":"
	" \"wide\"}}, \"203.0.113.0/24\": {\"meta\": {\"n\": \"narrow\"}}}}",
	NULL, "h", "hostname=\"h\" n=\"narrow\" "},
    {"case 37: in whatever order",
	"{\"hostname\": \"h\", \"peer\": {\"203.0.113.0/24\": {\"meta\":"
	" {\"n\": \"narrow\"}}, \"0.0.0.0/0\": {\"meta\": {\"w\": \"wide\"}},"
	" \"any\": {\"meta\": {\"a\": 1}}}}",
	NULL, "h", "hostname=\"h\" n=\"narrow\" "},
    {"any is the widest of all",
	"{\"hostname\": \"h\", \"peer\": {\"any\": {\"meta\": {\"a\": 1}},"
	" \"10.0.0.0/8\": {\"meta\": {\"n\": 1}}}}",
	NULL, "h", "hostname=\"h\" a=1 "},
    {"case 40: nothing dynamic", "{\"hostname\": \"h\"}", "{}", "h", NULL},
    {"case 40: text is not a table", "{}", "\"x\"",
	"!smtp_server_get_dynamic_parameters: invalid type: string \"x\"",
	NULL},
    {"case 41: listen is not dynamic", "{}", "{\"listen\": \"0.0.0.0:26\"}",
	"!smtp_server_get_dynamic_parameters: unknown key \"listen\"", NULL},
    {"case 41: nor max_connections", "{}", "{\"max_connections\": 5}",
	"!unknown key \"max_connections\"", NULL},
    {"a mistake in a block for somebody else is one", "{}",
	"{\"via\": {\"10.9.9.9\": {\"hostnam\": \"x\"}}}",
	"!smtp_server_get_dynamic_parameters: via: 10.9.9.9: unknown key "
	"\"hostnam\" (did you mean \"hostname\"?)",
	""},
    {"nor is a broken key", "{}", "{\"peer\": {\"10/8\": {}}}",
	"!peer: invalid value: CIDR block \"10/8\"", ""},
};

static void collect(const char *name, const struct value *v, void *ctx)
{
	buf_addf(ctx, "%s=%s ", name, as_json(*v));
}

static bool apply_both(const char *block, const char *dynamic, const char *peer,
    const char *local, struct listener *record, struct buf *meta,
    struct err *err)
{
	struct value top = json(block);
	struct value over;

	/* What start_esmtp_listener does while the policy loads. */
	(void)parsed(&listener_params, block);
	*record = *listener_defaults();
	if (!listener_apply(record, &top, true, ip(peer), ip(local), arena,
		collect, meta, err))
		return false;
	if (!dynamic)
		return true;
	over = json(dynamic);
	return listener_apply(record, &over, false, ip(peer), ip(local), arena,
	    collect, meta, err);
}

START_TEST(applies_blocks)
{
	struct listener record;
	struct buf meta = BUF_INIT;
	struct err err = {0};
	bool ok = apply_both(applied[_i].block, applied[_i].dynamic,
	    "203.0.113.9", "10.0.0.1", &record, &meta, &err);
	const char *want = applied[_i].want;

	ck_assert_msg(ok == (*want != '!'), "%s: %s", applied[_i].label,
	    ok ? "was accepted" : err.text);
	if (ok)
		ck_assert_msg(str_eq(record.hostname, want), "%s: %s",
		    applied[_i].label, record.hostname);
	else
		ck_assert_msg(strstr(err.text, want + 1), "%s: %s",
		    applied[_i].label, err.text);
	if (applied[_i].meta)
		ck_assert_msg(str_eq(buf_str(&meta), applied[_i].meta),
		    "%s: %s", applied[_i].label, buf_str(&meta));
	buf_release(&meta);
}
END_TEST

START_TEST(trace_headers_are_replaced_whole)
{
	struct listener record;
	struct buf meta = BUF_INIT;

	ck_assert(apply_both("{\"trace_headers\": {\"header_name\": \"X-A\"}}",
	    "{\"trace_headers\": {\"received_header\": false}}", "203.0.113.9",
	    "10.0.0.1", &record, &meta, NULL));
	ck_assert(!record.trace_headers.received_header); /* case 38 */
	ck_assert_str_eq(record.trace_headers.header_name, "X-KumoRef");
	buf_release(&meta);
}
END_TEST

static const struct {
	const char *label, *peer, *local;
	bool relays;
} via_relay[] = {
    {"case 45: through the address", "203.0.113.9", "10.0.0.2", true},
    {"case 45: through another", "203.0.113.9", "10.0.0.1", false},
    {"through none that is known", "203.0.113.9", NULL, false},
    {"a client without an address", NULL, "10.0.0.2", false},
};

START_TEST(relay_hosts_of_a_block_are_for_that_block)
{
	struct listener record;
	struct buf meta = BUF_INIT;

	ck_assert(apply_both(
	    "{\"relay_hosts\": [], \"via\": {\"10.0.0.2\": {\"relay_hosts\":"
	    " [\"203.0.113.9\"]}}}",
	    NULL, via_relay[_i].peer, via_relay[_i].local, &record, &meta,
	    NULL));
	ck_assert_msg(cidr_list_contains(&record.relay_hosts,
			  ip(via_relay[_i].peer)) == via_relay[_i].relays,
	    "%s", via_relay[_i].label);
	buf_release(&meta);
}
END_TEST

START_TEST(a_later_block_leaves_alone_what_it_does_not_name)
{
	struct listener record;
	struct buf meta = BUF_INIT;

	ck_assert(
	    apply_both("{\"max_message_size\": 5000, \"hostname\": \"h\"}",
		"{\"max_recipients_per_message\": 2}", "203.0.113.9",
		"10.0.0.1", &record, &meta, NULL));
	ck_assert_int_eq(record.max_message_size, 5000);
	ck_assert_int_eq(record.max_recipients_per_message, 2);
	ck_assert_str_eq(record.hostname, "h");
	ck_assert(param_given(&listener_params, &record, "max_message_size"));
	ck_assert(param_given(
	    &listener_params, &record, "max_recipients_per_message"));
	ck_assert(!param_given(&listener_params, &record, "banner"));
	buf_release(&meta);
}
END_TEST

static const struct {
	const char *label, *tables[3];
	int64_t want;
} sizes[] = {
    {"without a listener the default", {NULL}, 20971520},
    {"the default of one", {"{}"}, 20971520},
    {"of several the largest",
	{"{\"max_message_size\": 1000}", "{\"max_message_size\": 5000}"}, 5000},
    {"also in a block",
	{"{\"max_message_size\": 1000, \"via\": {\"10.0.0.1\":"
	 " {\"max_message_size\": 3000}}}"},
	3000},
    {"also in a block of a block, written as a float",
	{"{\"max_message_size\": 1000, \"peer\": {\"10.0.0.1\": {\"via\":"
	 " {\"any\": {\"max_message_size\": 4e3}}}}}"},
	4000},
    {"a smaller block changes nothing",
	{"{\"max_message_size\": 1000, \"via\": {\"10.0.0.1\":"
	 " {\"max_message_size\": 30}}}"},
	1000},
};

START_TEST(the_mta_knows_one_size_the_largest)
{
	const struct listener *records[3];
	const struct value *tables[3];
	struct value values[3];
	size_t count = 0;

	while (count < 3 && sizes[_i].tables[count]) {
		records[count] =
		    parsed(&listener_params, sizes[_i].tables[count]);
		values[count] = json(sizes[_i].tables[count]);
		tables[count] = &values[count];
		count++;
	}
	ck_assert_msg(
	    listener_largest_message(records, tables, count) == sizes[_i].want,
	    "%s", sizes[_i].label);
}
END_TEST

static const struct {
	const char *label, *table;
	bool is_postfix, in_tls;
	const char *want;
} offers[] = {
    {"Postfix", "{}", true, false,
	"[\"PIPELINING\",\"SIZE 7\",\"VRFY\",\"ETRN\",\"ENHANCEDSTATUSCODES\","
	"\"8BITMIME\",\"DSN\",\"SMTPUTF8\",\"CHUNKING\"]"},
    {"Postfix with a certificate", "{\"tls_certificate\": \"/c\"}", true, false,
	"[\"PIPELINING\",\"SIZE 7\",\"VRFY\",\"ETRN\",\"STARTTLS\","
	"\"ENHANCEDSTATUSCODES\",\"8BITMIME\",\"DSN\",\"SMTPUTF8\","
	"\"CHUNKING\"]"},
    {"not again within TLS",
	"{\"tls_certificate\": \"/c\", \"allow_xclient\": true}", true, true,
	"[\"PIPELINING\",\"SIZE 7\",\"VRFY\",\"ETRN\",\"XCLIENT NAME ADDR "
	"PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR "
	"DESTPORT\",\"ENHANCEDSTATUSCODES\","
	"\"8BITMIME\",\"DSN\",\"SMTPUTF8\",\"CHUNKING\"]"},
    {"Sendmail", "{\"tls_certificate\": \"/c\"}", false, false,
	"[\"ENHANCEDSTATUSCODES\",\"PIPELINING\",\"EXPN\",\"VERB\","
	"\"8BITMIME\",\"SIZE 7\",\"DSN\",\"ETRN\",\"STARTTLS\","
	"\"DELIVERBY\",\"HELP\"]"},
};

START_TEST(an_ehlo_is_answered_with)
{
	const struct listener *record =
	    parsed(&listener_params, offers[_i].table);
	struct value list = listener_extensions(
	    record, 7, offers[_i].is_postfix, offers[_i].in_tls, arena);

	ck_assert_msg(str_eq(as_json(list), offers[_i].want), "%s: %s",
	    offers[_i].label, as_json(list));
}
END_TEST

Suite *listener_suite(void)
{
	Suite *suite = suite_create("listener");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, parses_or_says_why_not, 0, COUNT(cases));
	tcase_add_test(t, defaults_are_those_of_the_language);
	tcase_add_loop_test(t, finds_the_owner, 0, COUNT(owners));
	tcase_add_loop_test(t, applies_blocks, 0, COUNT(applied));
	tcase_add_test(t, trace_headers_are_replaced_whole);
	tcase_add_loop_test(
	    t, relay_hosts_of_a_block_are_for_that_block, 0, COUNT(via_relay));
	tcase_add_loop_test(
	    t, the_mta_knows_one_size_the_largest, 0, COUNT(sizes));
	tcase_add_loop_test(t, an_ehlo_is_answered_with, 0, COUNT(offers));
	tcase_add_test(t, a_later_block_leaves_alone_what_it_does_not_name);
	suite_add_tcase(suite, t);
	return suite;
}

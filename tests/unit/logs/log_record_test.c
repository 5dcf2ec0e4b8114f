/* log_record_test.c - the JSON of a record */
#include "logs_test.h"

#include "base/arena.h"

static struct arena *arena;

static void setup(void)
{
	arena = arena_new(0);
}

static void teardown(void)
{
	arena_unref(arena);
}

static const char nodeid[] = "557f3ad4-2c8c-41ee-976e-782d7e12e173";

static const struct value *parsed(const struct log_record *r,
    struct string_list_view meta, struct string_list_view headers)
{
	struct value *v = ARENA_NEW(arena, struct value);
	struct buf line = BUF_INIT;
	struct err err = {0};

	log_record_json(r, nodeid, meta, headers, &line);
	ck_assert_uint_gt(line.len, 0);
	ck_assert_int_eq(line.data[line.len - 1], '\n');
	ck_assert_ptr_eq(strchr(line.data, '\n'), line.data + line.len - 1);
	ck_assert_msg(json_parse(line.data, line.len - 1, arena, v, &err), "%s",
	    err.text);
	buf_release(&line);
	return v;
}

static const char *json_of(const struct value *v)
{
	struct buf buf = BUF_INIT;
	char *text;

	if (!v)
		return "absent";
	json_write(&buf, v);
	text = arena_strdup(arena, buf_str(&buf));
	buf_release(&buf);
	return text;
}

static const struct string_list_view none = {0};
static const char *const bob[] = {"bob@example.com"};
static const char *const two[] = {"bob@example.com", "eve@example.org"};

static struct log_record full(void)
{
	static struct value report = {.type = VALUE_MAP};

	return (struct log_record){
	    .type = LOG_DELIVERY,
	    .id = "0193a7b2c3d47e5f8a9b0c1d2e3f4a5b",
	    .sender = "ann@example.net",
	    .queue = "c:t@example.com",
	    .site = "ip-1->mx.example.com",
	    .recipients = bob,
	    .recipient_count = 1,
	    .size = 1047,
	    .response = {250, {2, 1, 5}, "ok \"queued\"", "."},
	    .peer_name = "mx.example.com.",
	    .peer_addr = "192.0.2.7",
	    .event_ms = 1678069691123,
	    .created_ms = 1678069690999,
	    .num_attempts = 3,
	    .bounce_classification = "InvalidRecipient",
	    .egress_pool = "pool0",
	    .egress_source = "ip-1",
	    .source_address = "10.0.0.1:53210",
	    .source_proxy_protocol = "socks5",
	    .source_proxy_server = "192.168.1.1:5000",
	    .delivery_protocol = "ESMTP",
	    .reception_protocol = "ESMTP",
	    .tls_cipher = "TLS_AES_256_GCM_SHA384",
	    .tls_protocol_version = "TLSv1.3",
	    .tls_peer_subject_name = "CN=mx.example.com, O=Ex\\, Inc,C=DE",
	    .provider_name = "example",
	    .session_id = "9bcd689e",
	    .feedback_report = &report,
	};
}

static const struct {
	const char *key, *full, *empty; /* as JSON */
} keys[] = {
    {"type", "\"Delivery\"", "\"Reception\""},
    {"id", "\"0193a7b2c3d47e5f8a9b0c1d2e3f4a5b\"", "\"\""},
    {"sender", "\"ann@example.net\"", "\"\""},
    {"recipient", "\"bob@example.com\"", "\"\""},
    {"queue", "\"c:t@example.com\"", "\"\""},
    {"site", "\"ip-1->mx.example.com\"", "\"\""},
    {"size", "1047", "0"},
    {"response",
	"{\"code\":250,\"enhanced_code\":{\"class\":2,\"subject\":1,"
	"\"detail\":5},\"content\":\"ok \\\"queued\\\"\",\"command\":\".\"}",
	"{\"code\":0,\"enhanced_code\":null,\"content\":\"\","
	"\"command\":null}"},
    {"peer_address", "{\"name\":\"mx.example.com.\",\"addr\":\"192.0.2.7\"}",
	"null"},
    {"timestamp", "1678069691", "0"},
    {"event_time", "\"2023-03-06T02:28:11.123Z\"",
	"\"1970-01-01T00:00:00.000Z\""},
    {"created", "1678069690", "0"},
    {"created_time", "\"2023-03-06T02:28:10.999Z\"",
	"\"1970-01-01T00:00:00.000Z\""},
    {"num_attempts", "3", "0"},
    {"bounce_classification", "\"InvalidRecipient\"", "\"Uncategorized\""},
    {"egress_pool", "\"pool0\"", "null"},
    {"egress_source", "\"ip-1\"", "null"},
    {"source_address",
	"{\"address\":\"10.0.0.1:53210\",\"protocol\":\"socks5\","
	"\"server\":\"192.168.1.1:5000\"}",
	"null"},
    {"feedback_report", "{}", "null"},
    {"meta", "{}", "{}"},
    {"headers", "{}", "{}"},
    {"delivery_protocol", "\"ESMTP\"", "null"},
    {"reception_protocol", "\"ESMTP\"", "null"},
    {"nodeid", "\"557f3ad4-2c8c-41ee-976e-782d7e12e173\"",
	"\"557f3ad4-2c8c-41ee-976e-782d7e12e173\""},
    {"tls_cipher", "\"TLS_AES_256_GCM_SHA384\"", "absent"},
    {"tls_protocol_version", "\"TLSv1.3\"", "absent"},
    {"tls_peer_subject_name",
	"[\"CN=mx.example.com\",\"O=Ex\\\\, Inc\",\"C=DE\"]", "absent"},
    {"provider_name", "\"example\"", "absent"},
    {"session_id", "\"9bcd689e\"", "absent"},
};

START_TEST(fields_have_the_types_that_consumers_expect)
{
	struct log_record r = full(), e = {0};

	ck_assert_str_eq(
	    json_of(value_get(parsed(&r, none, none), keys[_i].key)),
	    keys[_i].full);
	ck_assert_str_eq(
	    json_of(value_get(parsed(&e, none, none), keys[_i].key)),
	    keys[_i].empty);
}
END_TEST

START_TEST(no_field_is_without_its_row_here)
{
	struct log_record r = full();

	ck_assert_uint_eq(parsed(&r, none, none)->count, COUNT(keys));
}
END_TEST

START_TEST(several_recipients_are_an_array)
{
	struct log_record r = full();

	r.recipients = two;
	r.recipient_count = 2;
	ck_assert_str_eq(
	    json_of(value_get(parsed(&r, none, none), "recipient")),
	    "[\"bob@example.com\",\"eve@example.org\"]");
}
END_TEST

START_TEST(a_reply_of_several_lines_is_shown_in_one)
{
	struct log_record r = full();

	r.response.text = "one\ntwo";
	ck_assert_str_eq(
	    value_get(value_get(parsed(&r, none, none), "response"), "content")
		->s,
	    "one\\r\\ntwo");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_still_give_json)
{
	struct log_record r = full();

	r.sender = "\xff\x01\"@example.net";
	ck_assert_str_eq(value_get(parsed(&r, none, none), "sender")->s,
	    "\xef\xbf\xbd\x01\"@example.net");
}
END_TEST

#define NAMES(...)                                                             \
	{                                                                      \
		(const char *const[]){__VA_ARGS__},                            \
		    COUNT(((const char *const[]){__VA_ARGS__}))                \
	}

static const struct {
	const char *label;
	struct string_list_view names;
	const char *want;
} meta_cases[] = {
    {"none asked for", {0}, "{}"},
    {"exact and prefix", NAMES("x_*", "tenant"),
	"{\"tenant\":\"acme\",\"x_zone\":\"edge\",\"x_n\":[1,2],"
	"\"x_null\":null}"},
    {"absent ones are absent", NAMES("missing", "tenant"),
	"{\"tenant\":\"acme\"}"},
    {"case matters", NAMES("Tenant", "X_*"), "{}"},
    {"null is skipped by its exact name", NAMES("x_null"), "{}"},
    {"named twice, copied once", NAMES("tenant", "ten*"),
	"{\"tenant\":\"acme\"}"},
    {"a star is everything", NAMES("*"),
	"{\"tenant\":\"acme\",\"x_zone\":\"edge\",\"x_n\":[1,2],"
	"\"x_null\":null,\"other\":true}"},
};

START_TEST(meta_is_copied_by_exact_name_and_prefix)
{
	struct log_record r = full();
	struct value one[] = {
	    {.type = VALUE_INT, .i = 1}, {.type = VALUE_INT, .i = 2}};
	struct value list = {.type = VALUE_LIST, .count = 2, .items = one};
	struct value nil = {0}, yes = {.type = VALUE_BOOL, .b = true};
	struct meta *meta = meta_new();

	meta_set_string(meta, "tenant", "acme");
	meta_set_string(meta, "x_zone", "edge");
	meta_set(meta, "x_n", &list);
	meta_set(meta, "x_null", &nil);
	meta_set(meta, "other", &yes);
	r.meta = meta;
	ck_assert_msg(
	    strcmp(json_of(value_get(
		       parsed(&r, meta_cases[_i].names, none), "meta")),
		meta_cases[_i].want) == 0,
	    "%s", meta_cases[_i].label);
	meta_free(meta);
}
END_TEST

static const char block[] = "X-Zone: edge\r\n"
			    "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
			    "X-Long: one\r\n two\r\n"
			    "x-zone: inside\r\n"
			    "\r\n"
			    "X-Body: no\r\n";

static const struct {
	const char *label;
	struct string_list_view names;
	const char *want;
} header_cases[] = {
    {"none asked for", {0}, "{}"},
    {"one is text, decoded", NAMES("subject"),
	"{\"Subject\":\"gr\xc3\xbc\xc3\x9f"
	"e\"}"},
    {"several are an array, spelled as the first", NAMES("x-zone"),
	"{\"X-Zone\":[\"edge\",\"inside\"]}"},
    {"a prefix, unfolded", NAMES("X-L*"), "{\"X-Long\":\"one two\"}"},
    {"the body has none", NAMES("X-B*", "missing"), "{}"},
};

START_TEST(headers_are_copied_whatever_their_case)
{
	struct log_record r = full();

	r.header_block = block;
	r.header_len = sizeof block - 1;
	ck_assert_msg(
	    strcmp(json_of(value_get(
		       parsed(&r, none, header_cases[_i].names), "headers")),
		header_cases[_i].want) == 0,
	    "%s", header_cases[_i].label);
}
END_TEST

START_TEST(type_names_read_back)
{
	enum log_type type;

	ck_assert(log_type_parse(log_type_name((enum log_type)_i), &type));
	ck_assert_int_eq(type, _i);
	ck_assert(!log_type_parse("Any", &type));
}
END_TEST

START_TEST(the_manual_names_every_field)
{
	struct buf text = BUF_INIT;

	log_record_document(_i, &text);
	for (size_t i = 0; i < COUNT(keys); i++)
		ck_assert_ptr_nonnull(strstr(text.data, keys[i].key));
	buf_release(&text);
}
END_TEST

Suite *log_record_suite(void)
{
	Suite *suite = suite_create("log_record");
	TCase *tcase = tcase_create("json");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(
	    tcase, fields_have_the_types_that_consumers_expect, 0, COUNT(keys));
	tcase_add_test(tcase, no_field_is_without_its_row_here);
	tcase_add_test(tcase, several_recipients_are_an_array);
	tcase_add_test(tcase, a_reply_of_several_lines_is_shown_in_one);
	tcase_add_test(tcase, bytes_that_are_not_utf8_still_give_json);
	tcase_add_loop_test(tcase, meta_is_copied_by_exact_name_and_prefix, 0,
	    COUNT(meta_cases));
	tcase_add_loop_test(tcase, headers_are_copied_whatever_their_case, 0,
	    COUNT(header_cases));
	tcase_add_loop_test(tcase, type_names_read_back, 0, LOG_TYPE_COUNT);
	tcase_add_loop_test(tcase, the_manual_names_every_field, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "policy/queue_config.h"

#include "base/str.h"
#include "policy_test.h"
#include "test_values.h"

static const struct parse_case cases[] = {
    {"everything has a default", "{}", NULL},
    {"case 29: keys beside the one that decides are ignored",
	"{\"protocol\": {\"maildir_path\": \"/x\", \"nonsense\": 1}}", NULL},
    {"case 29: one has to decide", "{\"protocol\": {\"nonsense\": 1}}",
	"make_queue_config: protocol: invalid value: table {\"nonsense\":1}, "
	"expected one of smtp, maildir_path, custom_lua"},
    {"nothing decides nothing", "{\"protocol\": {}}",
	"protocol: invalid value"},
    {"case 29: protocol is spelled so", "{\"protokol\": {}}",
	"make_queue_config: unknown key \"protokol\" (did you mean "
	"\"protocol\"?)"},
    {"case 30: an address is required",
	"{\"protocol\": {\"smtp\": {\"mx_list\": [{\"name\": \"x\"}]}}}",
	"make_queue_config: protocol: smtp: mx_list: [1]: addr: required key "
	"is missing"},
    {"keys beside them are ignored",
	"{\"protocol\": {\"smtp\": {\"mx_list\": [{\"name\": \"x\","
	" \"addr\": \"10.0.0.1\", \"more\": 1}], \"more\": 1}}}",
	NULL},
    {"an address is not a name",
	"{\"protocol\": {\"smtp\": {\"mx_list\": [{\"name\": \"x\","
	" \"addr\": \"mail.example\"}]}}}",
	"mx_list: [1]: addr: invalid value: \"mail.example\""},
    {"a number is no host", "{\"protocol\": {\"smtp\": {\"mx_list\": [5]}}}",
	"mx_list: [1]: invalid type: integer 5"},
    {"smtp comes before maildir_path",
	"{\"protocol\": {\"maildir_path\": 5, \"smtp\": {}}}", NULL},
    {"a path is text", "{\"protocol\": {\"maildir_path\": 5}}",
	"make_queue_config: protocol: maildir_path: invalid type: integer 5, "
	"expected a string"},
    {"a template is one", "{\"protocol\": {\"maildir_path\": \"/m/{{ email\"}}",
	"make_queue_config: protocol: maildir_path: template: line 1, "
	"column 12: expected }}"},
    {"modes have a range",
	"{\"protocol\": {\"maildir_path\": \"/x\", \"dir_mode\": 4096}}",
	"protocol: dir_mode: 4096 is outside 0..4095"},
    {"fields in front are asked for or not",
	"{\"protocol\": {\"maildir_path\": \"/x\", \"return_path\": \"yes\"}}",
	"protocol: return_path: invalid value: string \"yes\", expected "},
    {"lines end in one of two ways",
	"{\"protocol\": {\"maildir_path\": \"/x\", \"line_endings\": \"lf\"}}",
	"protocol: line_endings: invalid value: string \"lf\", expected one of "
	"CRLF, LF"},
    {"custom_lua needs an event",
	"{\"protocol\": {\"custom_lua\": {\"batch_size\": 10}}}",
	"protocol: custom_lua: constructor: required key is missing"},
    {"a batch has a limit",
	"{\"protocol\": {\"custom_lua\": {\"constructor\": \"x\", "
	"\"batch_size\": 1001}}}",
	"protocol: custom_lua: batch_size: 1001 is outside 1..1000"},
    {"its keys are checked",
	"{\"protocol\": {\"custom_lua\": {\"constuctor\": \"x\"}}}",
	"protocol: custom_lua: unknown key \"constuctor\" (did you mean "
	"\"constructor\"?)"},
    {"xfer is refused", "{\"protocol\": {\"xfer\": {}}}",
	"make_queue_config: protocol: xfer: transfer between nodes is not "
	"supported"},
    {"a rate", "{\"max_message_rate\": \"10/s\"}", NULL},
    {"case 24: is a rate", "{\"max_message_rate\": \"0/s\"}",
	"max_message_rate: invalid value: rate \"0/s\""},
    {"tuning is ignored",
	"{\"strategy\": \"SkipList\", \"timerwheel_tick_interval\": \"1s\","
	" \"shrink_policy\": [{\"interval\": \"1m\", \"policy\":"
	" \"NoShrink\"}]}",
	NULL},
    {"but is tuning", "{\"strategy\": \"Fast\"}", "strategy: invalid value"},
    {"of the right sort", "{\"timerwheel_tick_interval\": \"5\"}",
	"timerwheel_tick_interval: invalid value"},
    {"all of it", "{\"shrink_policy\": [{\"interval\": \"1m\"}]}",
	"shrink_policy: [1]: policy: required key is missing"},
    {"names are exact", "{\"refresh_strategy\": \"ttl\"}",
	"refresh_strategy: invalid value: string \"ttl\", expected one of "
	"Ttl, Epoch"},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&queue_config_params, &cases[_i]);
}
END_TEST

static const struct {
	const char *table, *key, *want;
} readable[] = {
    {"{\"retry_interval\": \"20 mins\"}", "retry_interval",
	"\"20m\""},                       /* case 25 */
    {"{}", "max_age", "\"7days\""},       /* case 25 */
    {"{}", "max_retry_interval", "null"}, /* case 25 */
    {"{\"max_retry_interval\": 60}", "max_retry_interval", "\"1m\""},
    {"{}", "retry_interval", "\"20m\""},
    {"{}", "egress_pool", "null"},
    {"{}", "refresh_strategy", "\"Ttl\""},
    {"{}", "protocol",
	"{\"smtp\":{\"mx_list\":[],\"treat_mx_list_as_secure\":false}}"},
    {"{\"protocol\": {\"maildir_path\": \"/x\", \"file_mode\": 416}}",
	"protocol",
	"{\"maildir_path\":\"/x\",\"file_mode\":416,"
	"\"return_path\":false,\"delivered_to\":false,"
	"\"line_endings\":\"CRLF\"}"},
    {"{\"protocol\": {\"smtp\": {\"mx_list\": [\"a.example:26\","
     " {\"name\": \"b\", \"addr\": \"10.0.0.1:27\"}]}}}",
	"protocol",
	"{\"smtp\":{\"mx_list\":[\"a.example:26\",{\"name\":\"b\","
	"\"addr\":\"10.0.0.1:27\"}],\"treat_mx_list_as_secure\":false}}"},
};

START_TEST(reads_back)
{
	ck_assert_str_eq(read_back(&queue_config_params, readable[_i].table,
			     readable[_i].key),
	    readable[_i].want);
}
END_TEST

START_TEST(modes_are_the_umasks_unless_given)
{
	const struct queue_config *c = queue_config_defaults();

	ck_assert_int_eq(c->protocol.dir_mode, -1);
	c = parsed(&queue_config_params,
	    "{\"protocol\": {\"maildir_path\": \"/x\", \"dir_mode\": 0}}");
	ck_assert_int_eq(c->protocol.kind, PROTOCOL_MAILDIR);
	ck_assert_int_eq(c->protocol.dir_mode, 0);
	ck_assert_int_eq(c->protocol.file_mode, -1);
	ck_assert(!c->has_max_retry_interval);
}
END_TEST

/* Entries of mx_list. */
static const struct {
	const char *text;
	const char *name; /* NULL: refused */
	const char *host, *ip, *path;
	int port;
} entries[] = {
    {"mail.example", "mail.example", "mail.example", NULL, NULL, 0},
    {"Mail.Example.", "mail.example", "mail.example", NULL, NULL, 0},
    {"mail.example:2525", "mail.example", "mail.example", NULL, NULL, 2525},
    {"b\xc3\xbc.example", "xn--b-eha.example", "xn--b-eha.example", NULL, NULL,
	0},
    {"localhost", "localhost", "localhost", NULL, NULL, 0},
    {"10.0.0.1", "10.0.0.1", NULL, "10.0.0.1", NULL, 0},
    {"10.0.0.1:26", "10.0.0.1", NULL, "10.0.0.1", NULL, 26},
    {"[10.0.0.1]", "10.0.0.1", NULL, "10.0.0.1", NULL, 0},
    {"[10.0.0.1]:26", "10.0.0.1", NULL, "10.0.0.1", NULL, 26},
    {"[ipv6:2001:db8::1]", "2001:db8::1", NULL, "2001:db8::1", NULL, 0},
    {"[IPv6:2001:db8::1]", "2001:db8::1", NULL, "2001:db8::1", NULL, 0},
    {"[2001:db8::1]", "2001:db8::1", NULL, "2001:db8::1", NULL, 0},
    {"[2001:db8::1]:26", "2001:db8::1", NULL, "2001:db8::1", NULL, 26},
    {"2001:db8::1", "2001:db8::1", NULL, "2001:db8::1", NULL, 0},
    {"/run/mail.sock", "/run/mail.sock", NULL, NULL, "/run/mail.sock", 0},
    {"", NULL, NULL, NULL, NULL, 0},
    {"mail.example:", NULL, NULL, NULL, NULL, 0},
    {"mail.example:0", NULL, NULL, NULL, NULL, 0},
    {"mail.example:70000", NULL, NULL, NULL, NULL, 0},
    {"mail example", NULL, NULL, NULL, NULL, 0},
    {"10.0.0.300", NULL, NULL, NULL, NULL, 0},
    {"[10.0.0.1", NULL, NULL, NULL, NULL, 0},
    {"[mail.example]", NULL, NULL, NULL, NULL, 0},
    {"[10.0.0.1]x", NULL, NULL, NULL, NULL, 0},
    {"a..b", NULL, NULL, NULL, NULL, 0},
    {"a.b..", NULL, NULL, NULL, NULL, 0},
    /* Digits and dots of other scripts, which IDNA makes ours. */
    {"\xef\xbc\x91\xef\xbc\x90.0.0.1", NULL, NULL, NULL, NULL, 0},
};

START_TEST(parses_entries_of_mx_list)
{
	struct mx_entry e;
	struct err err = {0};
	bool ok = mx_entry_parse(entries[_i].text, arena, &e, &err);

	ck_assert_msg(ok == (entries[_i].name != NULL), "%s: %s",
	    entries[_i].text, err.text);
	if (!ok)
		return;
	ck_assert_str_eq(e.label, entries[_i].text);
	ck_assert_str_eq(e.name, entries[_i].name);
	ck_assert_pstr_eq(e.host, entries[_i].host);
	ck_assert_pstr_eq(e.path, entries[_i].path);
	ck_assert_int_eq(e.port, entries[_i].port);
	ck_assert_int_eq(e.ip.family != 0, entries[_i].ip != NULL);
	if (entries[_i].ip)
		ck_assert(ip_eq(&e.ip, ip(entries[_i].ip)));
}
END_TEST

START_TEST(a_table_names_its_address)
{
	const struct queue_config *c = parsed(&queue_config_params,
	    "{\"protocol\": {\"smtp\": {\"mx_list\": [{\"name\": \"spare\","
	    " \"addr\": \"192.0.2.9:26\"}]}}}");

	ck_assert_int_eq(c->protocol.mx_count, 1);
	ck_assert_str_eq(c->protocol.mx_list[0].name, "spare");
	ck_assert_str_eq(c->protocol.mx_list[0].label, "192.0.2.9:26");
	ck_assert_int_eq(c->protocol.mx_list[0].port, 26);
}
END_TEST

Suite *queue_config_suite(void)
{
	Suite *suite = suite_create("queue_config");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, parses_or_says_why_not, 0, COUNT(cases));
	tcase_add_loop_test(t, reads_back, 0, COUNT(readable));
	tcase_add_test(t, modes_are_the_umasks_unless_given);
	tcase_add_loop_test(t, parses_entries_of_mx_list, 0, COUNT(entries));
	tcase_add_test(t, a_table_names_its_address);
	suite_add_tcase(suite, t);
	return suite;
}

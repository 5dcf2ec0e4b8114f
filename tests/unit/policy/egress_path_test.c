#include "policy/egress_path.h"

#include "policy_test.h"
#include "test_values.h"

static const struct parse_case cases[] = {
    {"everything has a default", "{}", NULL},
    {"case 28: a limit may be text", "{\"connection_limit\": \"1_000\"}", NULL},
    {"with commas", "{\"connection_limit\": \"1,000\"}", NULL},
    {"and a scope", "{\"connection_limit\": \"local:5\"}", NULL},
    {"case 28: a limit of none", "{\"connection_limit\": 0}",
	"make_egress_path: connection_limit: 0 is less than 1"},
    {"also in text", "{\"connection_limit\": \"0\"}",
	"make_egress_path: connection_limit: 0 is less than 1"},
    {"a limit is a number", "{\"connection_limit\": \"many\"}",
	"connection_limit: invalid value: string \"many\""},
    {"and nothing behind it", "{\"connection_limit\": \"5x\"}",
	"connection_limit: invalid value: string \"5x\""},
    {"case 28: names are exact", "{\"enable_tls\": \"opportunistic\"}",
	"make_egress_path: enable_tls: invalid value: string "
	"\"opportunistic\", expected one of Disabled, Opportunistic, "
	"OpportunisticInsecure, Required, RequiredInsecure"},
    {"the default of MTA-STS is no mistake", "{\"enable_mta_sts\": true}",
	NULL},
    {"nor is doing without", "{\"enable_mta_sts\": false}", NULL},
    {"DANE", "{\"enable_dane\": true}", NULL},
    {"LMTP", "{\"use_lmtp\": true}", NULL},
    {"rates",
	"{\"max_message_rate\": \"10/s\", \"max_connection_rate\": \"1/h\", "
	"\"source_selection_rate\": \"5/min,max_burst=1\"}",
	NULL},
    {"a rate is a rate", "{\"max_message_rate\": \"10\"}",
	"max_message_rate: invalid value: rate \"10\""},
    {"a password needs a user",
	"{\"smtp_auth_plain_password\": {\"key_data\": \"x\"}}",
	"make_egress_path: smtp_auth_plain_username: required with "
	"smtp_auth_plain_password"},
    {"a certificate needs its key", "{\"tls_certificate\": \"/c.pem\"}",
	"make_egress_path: tls_private_key: required with tls_certificate"},
    {"and a key its certificate", "{\"tls_private_key\": \"/k.pem\"}",
	"make_egress_path: tls_certificate: required with tls_private_key"},
    {"TLS cannot be first and off",
	"{\"implicit_tls\": true, \"enable_tls\": \"Disabled\"}",
	"implicit_tls: contradicts enable_tls"},
    {"options of OpenSSL", "{\"openssl_options\": \"NO_TICKET|NO_TLSV1_2\"}",
	NULL},
    {"are known by name", "{\"openssl_options\": \"NO_TICKET|NO_TLS\"}",
	"openssl_options: invalid value: \"NO_TLS\""},
    {"no additional limits are none", "{\"additional_connection_limits\": {}}",
	NULL},
    {"some are some",
	"{\"additional_connection_limits\": {\"a\": 1, \"b\": \"1,000\"}}",
	NULL},
    {"none of them is zero", "{\"additional_connection_limits\": {\"a\": 0}}",
	"additional_connection_limits: a: "},
    {"they have names", "{\"additional_connection_limits\": [1]}",
	"additional_connection_limits: invalid type: "},
    {"rates have names as well",
	"{\"additional_message_rate_throttles\": {\"a\": \"1/s\"}, "
	"\"additional_source_selection_rates\": {\"b\": \"local:3/day\"}}",
	NULL},
    {"and the wrong one is named",
	"{\"additional_message_rate_throttles\": {\"a\": \"1/s\", "
	"\"b\": \"10\"}}",
	"additional_message_rate_throttles: b: invalid value: rate \"10\""},
    {"tuning is accepted", "{\"readyq_pool_name\": \"x\"}", NULL},
    {"if it could be meant", "{\"dispatcher_wakeup_strategy\": \"x\"}",
	"dispatcher_wakeup_strategy: invalid value"},
    {"an EHLO name is one word", "{\"ehlo_domain\": \"a b\"}",
	"ehlo_domain: invalid value: \"a b\""},
    {"nobody is prohibited", "{\"prohibited_hosts\": []}", NULL},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&egress_path_params, &cases[_i]);
}
END_TEST

START_TEST(defaults_are_those_of_the_language)
{
	const struct egress_path *p = egress_path_defaults();

	ck_assert_int_eq(p->connection_limit, 32);
	ck_assert_int_eq(p->max_deliveries_per_connection, 1024);
	ck_assert_int_eq(p->max_ready, 1024);
	ck_assert_int_eq(p->max_recipients_per_batch, 100);
	ck_assert_int_eq(p->smtp_port, 25);
	ck_assert_int_eq(p->enable_tls, TLS_OPPORTUNISTIC);
	ck_assert_int_eq(p->connect_timeout.ms, 60000);
	ck_assert_int_eq(p->starttls_timeout.ms, 5000);
	ck_assert_int_eq(p->idle_timeout.ms, 5000);
	ck_assert_int_eq(p->data_dot_timeout.ms, 300000);
	ck_assert_int_eq(p->consecutive_connection_failures_before_delay, 100);
	ck_assert(p->enable_pipelining && p->enable_rset);
	ck_assert(!p->ignore_8bit_checks && !p->use_lmtp);
	ck_assert_ptr_null(p->ehlo_domain);
	ck_assert_ptr_null(p->max_message_rate);
}
END_TEST

static const struct {
	const char *ip;
	bool prohibited;
} hosts[] = {
    {"127.0.0.1", true},
    {"127.8.9.10", true},
    {"::1", true},
    {"0.0.0.0", true},
    {"::", true},
    {"10.0.0.1", false},
    {"2001:db8::1", false},
};

START_TEST(mail_to_oneself_is_prohibited)
{
	ck_assert(cidr_list_contains(&egress_path_defaults()->prohibited_hosts,
		      ip(hosts[_i].ip)) == hosts[_i].prohibited);
}
END_TEST

START_TEST(absent_numbers_read_as_nil)
{
	ck_assert_str_eq(
	    read_back(&egress_path_params, "{}", "system_shutdown_timeout"),
	    "null");
	ck_assert_str_eq(
	    read_back(&egress_path_params, "{\"system_shutdown_timeout\": 0}",
		"system_shutdown_timeout"),
	    "\"0s\"");
}
END_TEST

Suite *egress_path_suite(void)
{
	Suite *suite = suite_create("egress_path");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, parses_or_says_why_not, 0, COUNT(cases));
	tcase_add_test(t, defaults_are_those_of_the_language);
	tcase_add_loop_test(t, mail_to_oneself_is_prohibited, 0, COUNT(hosts));
	tcase_add_test(t, absent_numbers_read_as_nil);
	suite_add_tcase(suite, t);
	return suite;
}

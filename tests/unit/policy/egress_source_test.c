#include "policy/egress_source.h"

#include "policy_test.h"
#include "test_values.h"

static const struct parse_case cases[] = {
    {"a name is enough", "{\"name\": \"ip-1\"}", NULL},
    {"case 14: a duration is text with units",
	"{\"name\": \"a\", \"ttl\": \"5 mins\"}", NULL},
    {"case 14: or seconds", "{\"name\": \"a\", \"ttl\": 90}", NULL},
    {"case 14: also parts of them", "{\"name\": \"a\", \"ttl\": 1.5}", NULL},
    {"case 14: or several groups", "{\"name\": \"a\", \"ttl\": \"1h 30m\"}",
	NULL},
    {"case 15: a number in text has no unit",
	"{\"name\": \"a\", \"ttl\": \"5\"}",
	"ttl: invalid value: duration \"5\""},
    {"case 15: no signs", "{\"name\": \"a\", \"ttl\": \"-5s\"}", "\"-5s\""},
    {"case 15: not empty", "{\"name\": \"a\", \"ttl\": \"\"}",
	"invalid value: duration \"\""},
    {"case 15: no fractions in text", "{\"name\": \"a\", \"ttl\": \"1.5h\"}",
	"\"1.5h\""},
    {"case 15: not negative", "{\"name\": \"a\", \"ttl\": -1}",
	"invalid value: duration -1"},
    {"a duration is no boolean", "{\"name\": \"a\", \"ttl\": true}",
	"ttl: invalid type: boolean true"},
    {"case 16: a name is required", "{}",
	"make_egress_source: name: required key is missing"},
    {"nil is absent", "{\"name\": null}",
	"make_egress_source: name: required key is missing"},
    {"case 17: unknown keys are errors", "{\"name\": \"a\", \"bogus\": 1}",
	"make_egress_source: unknown key \"bogus\""},
    {"even with nil", "{\"name\": \"a\", \"bogus\": null}",
	"make_egress_source: unknown key \"bogus\""},
    {"a slip is pointed out", "{\"name\": \"a\", \"sorce\": 1}",
	"make_egress_source: unknown key \"sorce\" (did you mean "
	"\"source_address\"?)"},
    {"so is half a key", "{\"name\": \"a\", \"remote\": 1}",
	"make_egress_source: unknown key \"remote\" (did you mean "
	"\"remote_port\"?)"},
    {"and letters swapped", "{\"name\": \"a\", \"elho_domain\": \"x\"}",
	"make_egress_source: unknown key \"elho_domain\" (did you mean "
	"\"ehlo_domain\"?)"},
    {"case 18: an address is one",
	"{\"name\": \"a\", \"source_address\": \"10.0.0.300\"}",
	"source_address: invalid value: string \"10.0.0.300\""},
    {"a suspension lasts",
	"{\"name\": \"a\", \"suspend_when_unplumbed\": "
	"{\"trigger\": {\"Threshold\": \"3/min\"}, \"duration\": 60}}",
	NULL},
    {"for some time",
	"{\"name\": \"a\", \"suspend_when_unplumbed\": "
	"{\"trigger\": \"Immediate\"}}",
	"suspend_when_unplumbed: duration: required key is missing"},
    {"from some time on",
	"{\"name\": \"a\", "
	"\"suspend_when_proxy_unhealthy\": {\"trigger\": \"Soon\", "
	"\"duration\": 1}}",
	"trigger: invalid value: string \"Soon\""},
    {"IPv6 is fine", "{\"name\": \"a\", \"source_address\": \"2001:db8::1\"}",
	NULL},
    {"case 19: text is no integer",
	"{\"name\": \"a\", \"remote_port\": \"25\"}",
	"make_egress_source: remote_port: invalid type: string \"25\", "
	"expected an integer"},
    {"case 19: ports have a range", "{\"name\": \"a\", \"remote_port\": 70000}",
	"make_egress_source: remote_port: 70000 is outside 1..65535"},
    {"case 19: and 0 is not in it", "{\"name\": \"a\", \"remote_port\": 0}",
	"make_egress_source: remote_port: 0 is outside 1..65535"},
    {"case 19: a port", "{\"name\": \"a\", \"remote_port\": 2525}", NULL},
    {"a float may be whole", "{\"name\": \"a\", \"remote_port\": 25.0}", NULL},
    {"or not", "{\"name\": \"a\", \"remote_port\": 25.5}",
	"remote_port: invalid value: number 25.5, expected an integer"},
    {"or out of this world", "{\"name\": \"a\", \"remote_port\": 1e300}",
	"remote_port: invalid value: number 1e+300"},
    {"a number is no text", "{\"name\": 5}",
	"make_egress_source: name: invalid type: integer 5, expected a "
	"string"},
    {"a NUL byte is not hidden", "{\"name\": \"a\\u0000b\"}",
	"name: invalid value"},
    {"an arrow in a name is refused", "{\"name\": \"a->b\"}",
	"make_egress_source: name: \"->\" may not stand in it"},
    {"a name is not empty", "{\"name\": \"\"}", "name: invalid value"},
    {"an EHLO name is one word",
	"{\"name\": \"a\", \"ehlo_domain\": \"a\\r\\nQUIT\"}",
	"make_egress_source: ehlo_domain: invalid value: \"a\\x0d\\x0aQUIT\", "
	"expected a name in ASCII"},
    {"and not empty", "{\"name\": \"a\", \"ehlo_domain\": \"\"}",
	"ehlo_domain: invalid value: \"\""},
    {"a proxy alone is ignored",
	"{\"name\": \"a\", \"ha_proxy_server\": \"10.0.0.1:5000\"}", NULL},
    {"its mistakes are mistakes",
	"{\"name\": \"a\", \"ha_proxy_server\": \"10.0.0.1\"}",
	"ha_proxy_server: invalid value"},
    {"an empty suspension has no time either",
	"{\"name\": \"a\", \"suspend_when_unplumbed\": {}}",
	"suspend_when_unplumbed: duration: required key is missing"},
    {"a list is no table", "[\"a\"]",
	"make_egress_source: invalid type: list [\"a\"], expected a table of "
	"parameters"},
    {"text neither", "\"a\"", "invalid type: string \"a\""},
    {"an empty list is an empty table", "[]",
	"make_egress_source: name: required key is missing"},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&egress_source_params, &cases[_i]);
}
END_TEST

START_TEST(keeps_what_was_given)
{
	const struct egress_source *s = parsed(&egress_source_params,
	    "{\"name\": \"ip-1\", \"source_address\": \"192.0.2.1\","
	    " \"ehlo_domain\": \"a.example\", \"remote_port\": 26,"
	    " \"ttl\": \"5m\"}");

	ck_assert_str_eq(s->name, "ip-1");
	ck_assert(ip_eq(s->source_address, ip("192.0.2.1")));
	ck_assert_str_eq(s->ehlo_domain, "a.example");
	ck_assert_int_eq(s->remote_port, 26);
	ck_assert_int_eq(s->ttl.ms, 300000);
}
END_TEST

START_TEST(unspecified_has_a_name_and_no_settings)
{
	const struct egress_source *s = egress_source_unspecified();

	ck_assert_str_eq(s->name, "unspecified");
	ck_assert_ptr_null(s->source_address);
	ck_assert_ptr_null(s->ehlo_domain);
	ck_assert_int_eq(s->remote_port, 0);
	ck_assert_ptr_eq(s, egress_source_unspecified());
}
END_TEST

Suite *egress_source_suite(void)
{
	Suite *suite = suite_create("egress_source");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, parses_or_says_why_not, 0, COUNT(cases));
	tcase_add_test(t, keeps_what_was_given);
	tcase_add_test(t, unspecified_has_a_name_and_no_settings);
	suite_add_tcase(suite, t);
	return suite;
}

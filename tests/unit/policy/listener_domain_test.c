#include "policy/listener_domain.h"

#include "policy_test.h"
#include "test_values.h"

static const struct parse_case cases[] = {
    {"everything has a default", "{}", NULL},
    {"case 20: a block has no bits beyond its length",
	"{\"relay_from\": [\"10.0.0.1/24\"]}", "10.0.0.0/24"},
    {"case 20: which is an invalid value",
	"{\"relay_from\": [\"10.0.0.1/24\"]}", "relay_from: invalid value: "},
    {"case 21: blocks and addresses of both families",
	"{\"relay_from\": [\"10.0.0.0/24\", \"::1/128\", \"192.0.2.7\"]}",
	NULL},
    {"case 21: four parts, always", "{\"relay_from\": [\"10/8\"]}", "\"10/8\""},
    {"all that is wrong is said at once",
	"{\"relay_from\": [\"x\", \"10.0.0.0/24\", \"10/8\"]}",
	"; invalid value: "},
    {"an entry is text", "{\"relay_from\": [5]}", "invalid type: integer 5"},
    {"a list is no text", "{\"relay_from\": \"10.0.0.1\"}",
	"relay_from: invalid type: string \"10.0.0.1\""},
    {"an empty table is an empty list", "{\"relay_from\": {}}", NULL},
    {"case 22: only true and false", "{\"relay_to\": \"yes\"}",
	"make_listener_domain: relay_to: invalid value: string \"yes\", "
	"expected true or false"},
    {"1 is not true", "{\"relay_to\": 1}", "relay_to: invalid type: integer 1"},
    {"case 23: a name", "{\"log_oob\": \"LogThenDrop\"}", NULL},
    {"case 23: names are exact", "{\"log_oob\": \"drop\"}",
	"make_listener_domain: log_oob: invalid value: string \"drop\", "
	"expected true, false, Ignore, LogThenRelay or LogThenDrop"},
    {"true is no name", "{\"log_arf\": \"true\"}", "log_arf: invalid value"},
    {"old policies have a ttl", "{\"ttl\": \"5 mins\"}", NULL},
    {"which is a duration nevertheless", "{\"ttl\": \"5\"}", "ttl: invalid"},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&listener_domain_params, &cases[_i]);
}
END_TEST

static const struct {
	const char *label, *table, *key, *want;
} readable[] = {
    {"case 23: reads as given", "{\"log_oob\": \"LogThenDrop\"}", "log_oob",
	"\"LogThenDrop\""},
    {"case 23: true stays true", "{\"log_oob\": true}", "log_oob", "true"},
    {"case 23: absent is Ignore", "{}", "log_oob", "\"Ignore\""},
    {"case 23: false is Ignore", "{\"log_oob\": false}", "log_oob",
	"\"Ignore\""},
    {"the other field is another field", "{\"log_oob\": true}", "log_arf",
	"\"Ignore\""},
    {"a boolean", "{\"relay_to\": true}", "relay_to", "true"},
    {"a default", "{}", "relay_to", "false"},
    {"a list", "{\"relay_from\": [\"10.0.0.0/24\", \"::1\"]}", "relay_from",
	"[\"10.0.0.0/24\",\"::1\"]"},
    {"no such key", "{}", "relay", "null"},
};

START_TEST(reads_back)
{
	ck_assert_msg(strcmp(read_back(&listener_domain_params,
				 readable[_i].table, readable[_i].key),
			  readable[_i].want) == 0,
	    "%s", readable[_i].label);
}
END_TEST

Suite *listener_domain_suite(void)
{
	Suite *suite = suite_create("listener_domain");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, parses_or_says_why_not, 0, COUNT(cases));
	tcase_add_loop_test(t, reads_back, 0, COUNT(readable));
	suite_add_tcase(suite, t);
	return suite;
}

#include "policy/suppression.h"

#include "base/str.h"
#include "base/xalloc.h"
#include "policy_test.h"
#include "test_values.h"

static const struct parse_case parse_cases[] = {
    {"nothing is enough", "{}", NULL},
    {"the example of the manual",
	"{\"rules\": [{\"record\": \"Bounce\", \"class\": "
	"[\"InvalidRecipient\"], \"count\": 1, \"keep\": \"90 days\"},"
	"{\"record\": \"Feedback\", \"keep\": \"forever\"},"
	"{\"record\": \"OOB\", \"code\": \"5.1.1\", \"count\": 2, \"within\": "
	"\"7 days\", \"keep\": \"30 days\"}], \"scope\": \"tenant\"}",
	NULL},
    {"no rules", "{\"rules\": []}", NULL},
    {"a time to keep has a unit",
	"{\"rules\": [{\"record\": \"OOB\", \"keep\": 3600}]}",
	"keep: invalid type: integer 3600"},
    {"an unknown key is named", "{\"ruels\": []}", "ruels"},
    {"an unknown key of a rule, too",
	"{\"rules\": [{\"record\": \"OOB\", \"clas\": \"x\"}]}",
	"rules: rule 1: "},
    {"records have names", "{\"rules\": [{\"record\": \"Delivery\"}]}",
	"Delivery"},
    {"a rule is about a record",
	"{\"rules\": [{\"record\": \"OOB\"}, {\"count\": 2}]}",
	"rules: rule 2: "},
    {"rules are tables", "{\"rules\": [5]}", "rules: rule 1: "},
    {"rules are a list", "{\"rules\": \"x\"}",
	"rules: invalid type: string \"x\", expected a list of rules"},
    {"codes have a form",
	"{\"rules\": [{\"record\": \"OOB\", \"code\": \"5.1\"}]}",
	"code: invalid value: string \"5.1\""},
    {"success is no code",
	"{\"rules\": [{\"record\": \"OOB\", \"code\": [\"550\", \"250\"]}]}",
	"code: invalid value: string \"250\""},
    {"complaints have no codes",
	"{\"rules\": [{\"record\": \"Feedback\", \"code\": \"550\"}]}", "code"},
    {"a count has bounds", "{\"rules\": [{\"record\": \"OOB\", \"count\": 0}]}",
	"count: 0 is outside 1..1000"},
    {"for ever is one word",
	"{\"rules\": [{\"record\": \"OOB\", \"keep\": \"for ever\"}]}",
	"keep: "},
    {"nothing is kept for no time",
	"{\"rules\": [{\"record\": \"OOB\", \"keep\": \"0s\"}]}", "keep: "},
    {"a class is text", "{\"rules\": [{\"record\": \"OOB\", \"class\": 5}]}",
	"class: invalid type"},
    {"an empty list of classes says nothing",
	"{\"rules\": [{\"record\": \"OOB\", \"class\": [\"\"]}]}",
	"class: invalid value"},
    {"scopes have names", "{\"scope\": \"tenants\"}", "tenants"},
    {"actions have names", "{\"action\": \"bounce\"}", "bounce"},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&suppression_params, &parse_cases[_i]);
}
END_TEST

static const struct {
	const char *label, *rules; /* NULL: those that are built in */
	enum suppression_record record;
	const char *class;
	int code, subject, detail; /* 0: no enhanced code */
	size_t marks;
} judged[] = {
    {"an unknown user", NULL, SUPPRESSION_BOUNCE, NULL, 550, 1, 1, 1},
    {"an unknown user of that class", NULL, SUPPRESSION_BOUNCE,
	"InvalidRecipient", 550, 1, 1, 2},
    {"a full mailbox", NULL, SUPPRESSION_BOUNCE, "QuotaIssues", 552, 2, 2, 0},
    {"a reply that says little", NULL, SUPPRESSION_BOUNCE, NULL, 550, 0, 0, 0},
    {"spam", NULL, SUPPRESSION_BOUNCE, "SpamBlock", 550, 7, 1, 0},
    {"a late bounce", NULL, SUPPRESSION_OOB, NULL, 550, 1, 1, 1},
    {"a complaint", NULL, SUPPRESSION_FEEDBACK, "abuse", 0, 0, 0, 1},
    {"no complaint", NULL, SUPPRESSION_FEEDBACK, "Not-Spam", 0, 0, 0, 0},
    {"DMARC's", NULL, SUPPRESSION_FEEDBACK, "auth-failure", 0, 0, 0, 0},
    {"asked for by name",
	"[{\"record\":\"Feedback\",\"class\":[\"not-spam\",\"abuse\"]}]",
	SUPPRESSION_FEEDBACK, "not-spam", 0, 0, 0, 1},
    {"letter case of classes",
	"[{\"record\":\"Bounce\",\"class\":\"uncategorized\"}]",
	SUPPRESSION_BOUNCE, NULL, 500, 0, 0, 1},
    {"all keys must fit",
	"[{\"record\":\"Bounce\",\"class\":\"BadDomain\",\"code\":\"5xx\"}]",
	SUPPRESSION_BOUNCE, "SpamBlock", 550, 0, 0, 0},
    {"5xx", "[{\"record\":\"Bounce\",\"code\":\"5xx\"}]", SUPPRESSION_BOUNCE,
	NULL, 554, 0, 0, 1},
    {"5.1.x", "[{\"record\":\"Bounce\",\"code\":\"5.1.x\"}]",
	SUPPRESSION_BOUNCE, NULL, 554, 1, 10, 1},
    {"5.1.x is not 5.7.1", "[{\"record\":\"Bounce\",\"code\":\"5.1.x\"}]",
	SUPPRESSION_BOUNCE, NULL, 554, 7, 1, 0},
    {"no rules", "[]", SUPPRESSION_BOUNCE, NULL, 550, 1, 1, 0},
};

START_TEST(a_record_matches_the_rules_that_fit)
{
	struct smtp_reply reply = {.code = judged[_i].code, .text = "no"};
	struct suppression_config config = {0};
	struct suppression_hit hit;
	char table[512] = "{}";
	struct value v;
	struct err err = {0};
	bool matches;

	if (judged[_i].subject) {
		reply.enhanced[0] = 5;
		reply.enhanced[1] = judged[_i].subject;
		reply.enhanced[2] = judged[_i].detail;
	}
	if (judged[_i].rules)
		(void)snprintf(
		    table, sizeof table, "{\"rules\":%s}", judged[_i].rules);
	v = json(table);
	ck_assert_msg(
	    param_parse(&suppression_params, &v, arena, &config, &err), "%s",
	    err.text);
	suppression_complete(&config, arena);
	matches = suppression_judge(&config, judged[_i].record,
	    judged[_i].class, judged[_i].code ? &reply : NULL, arena, &hit);
	ck_assert_msg(matches == (judged[_i].marks > 0), "%s: %d",
	    judged[_i].label, matches);
	ck_assert_int_eq(hit.mark_count, judged[_i].marks);
	if (matches)
		ck_assert(suppression_wants(&config, judged[_i].record));
}
END_TEST

START_TEST(a_rule_takes_its_scope_from_setup)
{
	struct suppression_config *config = parsed(&suppression_params,
	    "{\"scope\":\"global\",\"rules\":[{\"record\":\"OOB\"},"
	    "{\"record\":\"OOB\",\"scope\":\"tenant\",\"keep\":\"forever\"}]}");
	struct suppression_hit hit;

	suppression_complete(config, arena);
	ck_assert(suppression_judge(
	    config, SUPPRESSION_OOB, NULL, NULL, arena, &hit));
	ck_assert_int_eq(hit.mark_count, 2);
	ck_assert(hit.marks[0].all_tenants && !hit.marks[1].all_tenants);
	ck_assert_int_eq(hit.marks[0].keep_s, 90 * 86400);
	ck_assert_int_eq(hit.marks[1].keep_s, 0);
}
END_TEST

START_TEST(what_was_said_is_kept_in_part)
{
	struct suppression_config *config = parsed(&suppression_params,
	    "{\"rules\":[{\"record\":\"Bounce\",\"code\":\"5xx\"}]}");
	char text[2001];
	struct smtp_reply reply = {.code = 550, .text = text};
	struct suppression_hit hit;

	for (size_t i = 0; i < 1000; i++)
		memcpy(text + 2 * i, "\xc3\xbc", 2);
	text[2000] = '\0';
	suppression_complete(config, arena);
	ck_assert(suppression_judge(
	    config, SUPPRESSION_BOUNCE, NULL, &reply, arena, &hit));
	ck_assert_uint_le(strlen(hit.reason), 500);
	ck_assert(str_is_utf8(hit.reason, strlen(hit.reason)));
}
END_TEST

Suite *suppression_suite(void)
{
	Suite *suite = suite_create("suppression");
	TCase *t = tcase_create("suppression");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, parses_or_says_why_not, 0, COUNT(parse_cases));
	tcase_add_loop_test(
	    t, a_record_matches_the_rules_that_fit, 0, COUNT(judged));
	tcase_add_test(t, a_rule_takes_its_scope_from_setup);
	tcase_add_test(t, what_was_said_is_kept_in_part);
	suite_add_tcase(suite, t);
	return suite;
}

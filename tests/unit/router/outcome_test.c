#include "router/outcome.h"

#include "router_test.h"

static const struct {
	int code;
	enum outcome_kind want;
} codes[] = {
    {200, OUTCOME_DELIVERED},
    {250, OUTCOME_DELIVERED},
    {299, OUTCOME_DELIVERED},
    {354, OUTCOME_TRANSIENT},
    {400, OUTCOME_TRANSIENT},
    {421, OUTCOME_TRANSIENT},
    {451, OUTCOME_TRANSIENT},
    {500, OUTCOME_BOUNCED},
    {503, OUTCOME_TRANSIENT},
    {550, OUTCOME_BOUNCED},
    {556, OUTCOME_BOUNCED},
    {599, OUTCOME_BOUNCED},
    {0, OUTCOME_TRANSIENT},
    {100, OUTCOME_TRANSIENT},
    {999, OUTCOME_TRANSIENT},
};

/* Case 140. */
START_TEST(a_code_says_what_becomes_of_a_recipient)
{
	struct smtp_reply reply = {.code = codes[_i].code, .text = ""};

	ck_assert_msg(
	    outcome_classify(&reply) == codes[_i].want, "%d", codes[_i].code);
}
END_TEST

#define OK                                                                     \
	{                                                                      \
		.code = 250, .enhanced = {2, 0, 0}, .text = "ok",              \
		.command = "."                                                 \
	}
#define LATER                                                                  \
	{                                                                      \
		.code = 450, .text = "later", .command = "RCPT TO"             \
	}

static const struct {
	const char *label;
	struct smtp_reply replies[4];
	size_t groups[4];
} groupings[] = {
    {"all the same", {OK, OK, OK, OK}, {0, 0, 0, 0}},
    {"two of each", {OK, LATER, OK, LATER}, {0, 1, 0, 1}},
    {"another text is another record",
	{OK,
	    {.code = 250,
		.enhanced = {2, 0, 0},
		.text = "fine",
		.command = "."},
	    OK, OK},
	{0, 1, 0, 0}},
    {"another enhanced code, too",
	{OK, {.code = 250, .enhanced = {2, 1, 5}, .text = "ok", .command = "."},
	    OK, OK},
	{0, 1, 0, 0}},
    {"and another command",
	{LATER, {.code = 450, .text = "later", .command = "DATA"}, LATER,
	    {.code = 450, .text = "later"}},
	{0, 1, 0, 3}},
};

START_TEST(recipients_with_the_same_reply_share_a_record)
{
	struct delivery_recipient recipients[4] = {0};
	size_t groups[4];

	for (size_t i = 0; i < COUNT(recipients); i++)
		recipients[i].reply = groupings[_i].replies[i];
	outcome_group(recipients, COUNT(recipients), groups);
	for (size_t i = 0; i < COUNT(recipients); i++)
		ck_assert_msg(groups[i] == groupings[_i].groups[i],
		    "%s: %zu: %zu", groupings[_i].label, i, groups[i]);
}
END_TEST

Suite *outcome_suite(void)
{
	Suite *suite = suite_create("outcome");
	TCase *tc = tcase_create("outcome");

	tcase_add_loop_test(
	    tc, a_code_says_what_becomes_of_a_recipient, 0, COUNT(codes));
	tcase_add_loop_test(tc, recipients_with_the_same_reply_share_a_record,
	    0, COUNT(groupings));
	suite_add_tcase(suite, tc);
	return suite;
}

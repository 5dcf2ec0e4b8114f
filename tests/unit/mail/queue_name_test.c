/* queue_name_test.c - mail/queue_name.h */
#include "tests/unit/mail/mail_test.h"

#include "mail/queue_name.h"

static const struct {
	struct queue_name parts; /* campaign, tenant, domain, routing_domain */
	const char *text;
} composed[] = {
    {{"c", "t", "d.example", NULL}, "c:t@d.example"},
    {{NULL, "t", "d.example", NULL}, "t@d.example"},
    {{"c", NULL, "d.example", NULL}, "c:@d.example"},
    {{NULL, NULL, "d.example", NULL}, "d.example"},
    {{"", "", "d.example", ""}, "d.example"},
    {{"c", "t", "D.Example", "R.example"}, "c:t@d.example!R.example"},
    {{NULL, "T", "d.example", "r.example"}, "T@d.example!r.example"},
};

START_TEST(absent_parts_leave_no_trace)
{
	struct buf out = BUF_INIT;

	queue_name_compose(&out, &composed[_i].parts);
	ck_assert_str_eq(buf_str(&out), composed[_i].text);
	buf_release(&out);
}
END_TEST

static const struct {
	const char *text;
	struct queue_name want;
} parsed[] = {
    {"c:t@d!r", {"c", "t", "d", "r"}},
    {"t@d", {NULL, "t", "d", NULL}},
    {"c:@d", {"c", "", "d", NULL}},
    {"d", {NULL, NULL, "d", NULL}},
    {"d!r", {NULL, NULL, "d", "r"}},
    {"d:2025", {NULL, NULL, "d:2025", NULL}},
    {"t@d:2025!r:26", {NULL, "t", "d:2025", "r:26"}},
    {"a:b:c@d", {"a", "b:c", "d", NULL}},
    {"a@b@c!d!e", {NULL, "a", "b@c", "d!e"}},
    {"", {NULL, NULL, "", NULL}},
};

START_TEST(the_first_separator_counts)
{
	struct arena *arena = arena_new(0);
	struct queue_name got = queue_name_parse(parsed[_i].text, arena);

	ck_assert_pstr_eq(got.campaign, parsed[_i].want.campaign);
	ck_assert_pstr_eq(got.tenant, parsed[_i].want.tenant);
	ck_assert_pstr_eq(got.domain, parsed[_i].want.domain);
	ck_assert_pstr_eq(got.routing_domain, parsed[_i].want.routing_domain);
	arena_unref(arena);
}
END_TEST

TCase *queue_name_tests(void)
{
	TCase *tc = tcase_create("queue_name");

	tcase_add_loop_test(
	    tc, absent_parts_leave_no_trace, 0, COUNT(composed));
	tcase_add_loop_test(tc, the_first_separator_counts, 0, COUNT(parsed));
	return tc;
}

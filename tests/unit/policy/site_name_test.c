#include "policy/site_name.h"

#include "policy_test.h"
#include "test_values.h"

static const struct {
	const char *label;
	struct site_host hosts[6]; /* ends with a NULL name */
	const char *want;
} cases[] = {
    {"case 131: names that differ in one label",
	{{"mta7.am0.yahoodns.net", 1}, {"mta5.am0.yahoodns.net", 1},
	    {"mta6.am0.yahoodns.net", 1}},
	"(mta5|mta6|mta7).am0.yahoodns.net"},
    {"case 131: names of different length",
	{{"alt4.gmail-smtp-in.l.google.com", 40},
	    {"gmail-smtp-in.l.google.com", 5},
	    {"alt1.gmail-smtp-in.l.google.com", 10},
	    {"alt2.gmail-smtp-in.l.google.com", 20},
	    {"alt3.gmail-smtp-in.l.google.com", 30}},
	"(alt1|alt2|alt3|alt4)?.gmail-smtp-in.l.google.com"},
    {"one host is itself", {{"MX.Example.COM.", 10}}, "mx.example.com"},
    {"twice the same is once", {{"a.example", 10}, {"A.example.", 20}},
	"a.example"},
    {"preference orders", {{"a.example", 20}, {"b.example", 10}},
	"(b|a).example"},
    {"the longest may be alone", {{"x.a.example", 10}, {"a.example", 20}},
	"x?.a.example"},
    {"a port sticks to the last label", {{"mx.example.com:2025", 1}},
	"mx.example.com:2025"},
    {"also behind a dot", {{"mx.example.com.:2025", 1}}, "mx.example.com:2025"},
    {"nothing in common", {{"mx.a.org", 1}, {"mail.b.net", 1}},
	"(mail|mx).(b|a).(net|org)"},
    {"a null MX has no name", {{".", 0}}, ""},
    {"no hosts have none", {{NULL, 0}}, ""},
    {"an address is itself", {{"192.0.2.7", 1}}, "192.0.2.7"},
    {"of either family", {{"2001:DB8::1", 1}}, "2001:db8::1"},
};

START_TEST(names_the_site)
{
	size_t count = 0;

	while (count < 6 && cases[_i].hosts[count].name)
		count++;
	ck_assert_str_eq(
	    site_name(cases[_i].hosts, count, arena), cases[_i].want);
}
END_TEST

Suite *site_name_suite(void)
{
	Suite *suite = suite_create("site_name");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, names_the_site, 0, COUNT(cases));
	suite_add_tcase(suite, t);
	return suite;
}

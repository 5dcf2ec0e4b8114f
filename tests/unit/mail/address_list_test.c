/*
 * address_list_test.c - the addresses of a From, To or Cc field
 */
#include "base/buf.h"
#include "base/str.h"
#include "mail/address_list.h"
#include "tests/unit/mail/mail_test.h"

/* Mailboxes as group/name/email, one after the other. */
static const struct {
	const char *label, *value, *want;
} cases[] = {
    {"an address", " a@example.com", "//a@example.com "},
    {"with a name", "Ann Other <ann@example.com>",
	"/Ann Other/ann@example.com "},
    {"with a quoted name", "\"Other, Ann \\\"A\\\"\" <ann@example.com>",
	"/Other, Ann \"A\"/ann@example.com "},
    {"with an encoded name",
	"=?utf-8?q?J=C3=BCrgen?= =?utf-8?q?_M?= <j@example.com>",
	"/J\xC3\xBCrgen M/j@example.com "},
    {"several, folded", "a@x.test,\r\n\tB <b@y.test> ,c@z.test",
	"//a@x.test /B/b@y.test //c@z.test "},
    {"empty elements", ", a@x.test,, b@y.test ,", "//a@x.test //b@y.test "},
    {"comments", "(x (y)) a (z) @ (q) x.test (Ann)", "//a@x.test "},
    {"a group", "Friends: a@x.test, B <b@y.test>;, c@z.test",
	"Friends//a@x.test Friends/B/b@y.test //c@z.test "},
    {"an empty group", "undisclosed-recipients:;", "undisclosed-recipients// "},
    {"an empty group among others", "a@x.test, Nobody: ;, b@y.test",
	"//a@x.test Nobody// //b@y.test "},
    {"a route", "<@r.test,@s.test:a@x.test>", "//a@x.test "},
    {"a quoted local part", "\"a b\"@x.test", "//\"a b\"@x.test "},
    {"a literal", "a@[192.0.2.1]", "//a@[192.0.2.1] "},
    {"blanks around dots", "a . b @ x . test", "//a.b@x.test "},
    {"nothing", "  ", ""},

    {"words without an address", "Ann Other", "not a list of addresses: "},
    {"a word without a domain", "Ann",
	"not a list of addresses: an address has no domain"},
    {"two addresses without a comma", "a@x.test b@y.test",
	"not a list of addresses: "},
    {"two in brackets without a comma", "<a@x.test> <b@y.test>",
	"not a list of addresses: a comma is missing"},
    {"a bracket that stays open", "A <a@x.test",
	"not a list of addresses: an address in <> does not end"},
    {"a quote that stays open", "\"A <a@x.test>",
	"not a list of addresses: a quoted text does not end"},
    {"a comment that stays open", "a@x.test (b",
	"not a list of addresses: a comment does not end"},
    {"a group that stays open", "G: a@x.test",
	"not a list of addresses: a group does not end"},
    {"groups in groups", "G: H: a@x.test;;",
	"not a list of addresses: a group inside of a group"},
    {"nothing in brackets", "A <>",
	"not a list of addresses: an address is empty"},
    {"a closing bracket", "a@x.test>",
	"not a list of addresses: a comma is missing"},
};

START_TEST(a_field_has_addresses_or_an_error)
{
	struct arena *arena = arena_new(0);
	struct buf got = BUF_INIT;
	struct address_list list;
	struct err err = {0};

	if (address_list_parse(
		cases[_i].value, strlen(cases[_i].value), arena, &list, &err)) {
		for (size_t i = 0; i < list.count; i++) {
			const struct mailbox *m = &list.items[i];

			buf_addf(&got, "%s/%s/%s ", m->group ? m->group : "",
			    m->name, m->address.email ? m->address.email : "");
		}
		ck_assert_msg(str_eq(buf_str(&got), cases[_i].want), "%s: %s",
		    cases[_i].label, buf_str(&got));
	} else {
		ck_assert_msg(
		    *cases[_i].want && str_starts(err.text, cases[_i].want),
		    "%s: %s", cases[_i].label, err.text);
	}
	buf_release(&got);
	arena_unref(arena);
}
END_TEST

TCase *address_list_tests(void)
{
	TCase *tcase = tcase_create("address_list");

	tcase_add_loop_test(
	    tcase, a_field_has_addresses_or_an_error, 0, COUNT(cases));
	return tcase;
}

#include "mail/suppression.h"

#include "base/str.h"
#include "base/xalloc.h"
#include "mail_test.h"

static const struct {
	const char *text;
	const char *key; /* NULL: refused */
} cases[] = {
    {"bob@example.com", "bob@example.com"},
    {"Bob.Smith@EXAMPLE.com", "bob.smith@example.com"},
    {"<bob@example.com>", "bob@example.com"},
    {"\"Bob\"@example.com", "bob@example.com"},
    {"bob@b\xc3\xbc"
     "cher.example",
	"bob@xn--bcher-kva.example"},
    {"bob@[192.0.2.1]", "bob@[192.0.2.1]"},
    {"@Example.COM", "@example.com"},
    {"@b\xc3\xbc"
     "cher.example",
	"@xn--bcher-kva.example"},
    {"\"\"@example.com", "\"\"@example.com"},
    {"", NULL},
    {"@", NULL},
    {"<>", NULL},
    {"bob", NULL},
    {"postmaster", NULL},
    {"bob@", NULL},
    {"@a@b", NULL},
    {"bob@example.com, eve@example.com", NULL},
    {"bob@exa mple.com", NULL},
};

START_TEST(an_address_has_one_key_however_it_is_written)
{
	struct arena *arena = arena_new(0);
	struct err err = {0};
	const char *key = NULL;
	bool ok = suppression_key_parse(cases[_i].text, arena, &key, &err);

	ck_assert_msg(ok == (cases[_i].key != NULL), "%s: %s %s",
	    cases[_i].text, ok ? key : "", err.text);
	if (ok) {
		ck_assert_str_eq(key, cases[_i].key);
		ck_assert_int_eq(suppression_key_is_domain(key), *key == '@');
	} else
		ck_assert_msg(strstr(err.text, cases[_i].text), "%s", err.text);
	arena_unref(arena);
}
END_TEST

START_TEST(the_sender_learns_class_and_day_and_nothing_else)
{
	struct arena *arena = arena_new(0);
	const struct suppression_entry entry = {.address = "bob@example.com",
	    .class = "InvalidRecipient",
	    .record = "Bounce",
	    .reason = "550 of somebody else's mail",
	    .message = "0123456789abcdef0123456789abcdef",
	    .created_at = 1790000000};
	struct smtp_reply reply =
	    suppression_reply(arena, "Bob@example.com", &entry);
	struct buf text = BUF_INIT;

	smtp_reply_one_line(&text, &reply);
	ck_assert_str_eq(buf_str(&text),
	    "550 5.1.1 <Bob@example.com>: mail to this address is suppressed "
	    "since 2026-09-21 (InvalidRecipient)");
	buf_release(&text);
	arena_unref(arena);
}
END_TEST

TCase *suppression_tests(void)
{
	TCase *t = tcase_create("suppression");

	tcase_add_loop_test(
	    t, an_address_has_one_key_however_it_is_written, 0, COUNT(cases));
	tcase_add_test(t, the_sender_learns_class_and_day_and_nothing_else);
	return t;
}

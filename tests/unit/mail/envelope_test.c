/* envelope_test.c - mail/envelope.h */
#include "tests/unit/mail/mail_test.h"

#include "mail/envelope.h"

static const struct {
	const char *arg, *body;
	bool smtputf8;
	const char *ret, *envid, *auth;
	int64_t size;
} senders[] = {
    {"BODY=8BITMIME", "8BITMIME", false, NULL, NULL, NULL, -1},
    {"body=7bit", "7BIT", false, NULL, NULL, NULL, -1},
    {"BODY=9BIT", NULL, false, NULL, NULL, NULL, -1},
    {"BODY", NULL, false, NULL, NULL, NULL, -1},
    {"SMTPUTF8", NULL, true, NULL, NULL, NULL, -1},
    {"SMTPUTF8=1", NULL, false, NULL, NULL, NULL, -1},
    {"RET=hdrs", NULL, false, "HDRS", NULL, NULL, -1},
    {"RET=none", NULL, false, NULL, NULL, NULL, -1},
    {"ENVID=QQ+2B31", NULL, false, NULL, "QQ+2B31", NULL, -1},
    {"ENVID=a+b", NULL, false, NULL, NULL, NULL, -1},
    {"ENVID=", NULL, false, NULL, NULL, NULL, -1},
    {"AUTH=<>", NULL, false, NULL, NULL, "<>", -1},
    {"AUTH=e+3Dmc2@example.com", NULL, false, NULL, NULL, "e+3Dmc2@example.com",
	-1},
    {"SIZE=12345", NULL, false, NULL, NULL, NULL, 12345},
    {"SIZE=-5", NULL, false, NULL, NULL, NULL, -1},
    {"SIZE=99999999999999999999", NULL, false, NULL, NULL, NULL, INT64_MAX},
    {"SIZE=12x", NULL, false, NULL, NULL, NULL, -1},
    {"X-UNKNOWN=1", NULL, false, NULL, NULL, NULL, -1},
    {"", NULL, false, NULL, NULL, NULL, -1},
};

START_TEST(sender_parameters_are_kept_or_dropped)
{
	struct arena *arena = arena_new(0);
	char *args[] = {arena_strdup(arena, senders[_i].arg), NULL};
	struct envelope_sender s = {0};

	envelope_sender_args(&s, args, arena);
	ck_assert_pstr_eq(s.body, senders[_i].body);
	ck_assert(s.smtputf8 == senders[_i].smtputf8);
	ck_assert_pstr_eq(s.ret, senders[_i].ret);
	ck_assert_pstr_eq(s.envid, senders[_i].envid);
	ck_assert_pstr_eq(s.auth, senders[_i].auth);
	ck_assert_int_eq(s.size, senders[_i].size);
	arena_unref(arena);
}
END_TEST

START_TEST(all_at_once)
{
	char size[] = "SIZE=7", body[] = "BODY=8BITMIME", ret[] = "RET=FULL";
	char *args[] = {size, body, ret, NULL};
	struct arena *arena = arena_new(0);
	struct envelope_sender s = {0};

	envelope_sender_args(&s, args, arena);
	ck_assert_int_eq(s.size, 7);
	ck_assert_str_eq(s.body, "8BITMIME");
	ck_assert_str_eq(s.ret, "FULL");
	envelope_sender_args(&s, NULL, arena);
	ck_assert_int_eq(s.size, -1);
	ck_assert_ptr_null(s.body);
	arena_unref(arena);
}
END_TEST

static const struct {
	const char *arg, *notify, *orcpt;
} recipients[] = {
    {"NOTIFY=NEVER", "NEVER", NULL},
    {"NOTIFY=success,Failure", "SUCCESS,FAILURE", NULL},
    {"NOTIFY=SUCCESS,NEVER", NULL, NULL},
    {"NOTIFY=", NULL, NULL},
    {"ORCPT=rfc822;bob@example.com", NULL, "rfc822;bob@example.com"},
    {"ORCPT=utf-8;j\xc3\xbcrgen@example.com", NULL,
	"utf-8;j\xc3\xbcrgen@example.com"},
    {"ORCPT=rfc822;b+40x", NULL, "rfc822;b+40x"},
    {"ORCPT=rfc822;b=x", NULL, NULL},
    {"ORCPT=rfc822", NULL, NULL},
    {"ORCPT=;x", NULL, NULL},
    {"ORCPT=a b;x", NULL, NULL},
};

START_TEST(recipient_parameters_are_kept_or_dropped)
{
	struct arena *arena = arena_new(0);
	char *args[] = {arena_strdup(arena, recipients[_i].arg), NULL};
	struct envelope_recipient r = {0};

	envelope_recipient_args(&r, args, arena);
	ck_assert_pstr_eq(r.notify, recipients[_i].notify);
	ck_assert_pstr_eq(r.orcpt, recipients[_i].orcpt);
	arena_unref(arena);
}
END_TEST

TCase *envelope_tests(void)
{
	TCase *tc = tcase_create("envelope");

	tcase_add_loop_test(
	    tc, sender_parameters_are_kept_or_dropped, 0, COUNT(senders));
	tcase_add_test(tc, all_at_once);
	tcase_add_loop_test(
	    tc, recipient_parameters_are_kept_or_dropped, 0, COUNT(recipients));
	return tc;
}

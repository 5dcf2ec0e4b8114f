/*
 * sts_policy_test.c - net/sts_policy.h and net/tlsa.h: what others say of their
 * TLS
 */
#include "net/sts_policy.h"

#include "base/arena.h"
#include "net/tlsa.h"
#include "tests/unit/net/net_test.h"

#define HEAD "version: STSv1\r\nmode: enforce\r\nmax_age: 86400\r\n"

static const struct {
	const char *label, *text;
	int mode; /* -1: refused */
	const char *host;
	bool matches;
} policies[] = {
    {"a host by its name", HEAD "mx: mx.a.test\r\n", STS_ENFORCE, "mx.a.test",
	true},
    {"in any case", HEAD "mx: MX.a.test\r\n", STS_ENFORCE, "mx.A.test", true},
    {"and no other", HEAD "mx: mx.a.test\r\n", STS_ENFORCE, "mx2.a.test",
	false},
    {"a star is one label", HEAD "mx: *.a.test\r\n", STS_ENFORCE, "mx.a.test",
	true},
    {"not two", HEAD "mx: *.a.test\r\n", STS_ENFORCE, "b.mx.a.test", false},
    {"not none", HEAD "mx: *.a.test\r\n", STS_ENFORCE, "a.test", false},
    {"nor a part of one", HEAD "mx: *.a.test\r\n", STS_ENFORCE, ".a.test",
	false},
    {"line ends may be LF alone",
	"version: STSv1\nmode: testing\nmx: a\n"
	"max_age: 1",
	STS_TESTING, "a", true},
    {"unknown keys are skipped", HEAD "x: y\r\nmx: a\r\n", STS_ENFORCE, "a",
	true},
    {"none needs no host", "version: STSv1\nmode: none\nmax_age: 1\n", STS_NONE,
	"a", false},
    {"another version is none", "version: STSv2\nmode: none\nmax_age: 1\n", -1,
	NULL, false},
    {"a mode is needed", "version: STSv1\nmax_age: 1\n", -1, NULL, false},
    {"and one of three", "version: STSv1\nmode: maybe\nmax_age: 1\n", -1, NULL,
	false},
    {"an age is needed", "version: STSv1\nmode: none\n", -1, NULL, false},
    {"enforcing nothing is a mistake", HEAD, -1, NULL, false},
    {"a host has no path", HEAD "mx: a/../b\r\n", -1, NULL, false},
    {"a web page is no policy", "<html>\n", -1, NULL, false},
};

START_TEST(a_policy_says_which_hosts_or_is_refused)
{
	struct arena *arena = arena_new(0);
	struct sts_policy policy;
	struct err err = {0};
	bool ok = sts_policy_parse(
	    policies[_i].text, strlen(policies[_i].text), arena, &policy, &err);

	ck_assert_msg(ok == (policies[_i].mode >= 0), "%s: %s",
	    policies[_i].label, err.text);
	if (ok) {
		ck_assert_msg((int)policy.mode == policies[_i].mode, "%s",
		    policies[_i].label);
		ck_assert_msg(sts_policy_matches(&policy, policies[_i].host) ==
				  policies[_i].matches,
		    "%s", policies[_i].label);
	}
	arena_unref(arena);
}
END_TEST

static const struct {
	const char *text, *id; /* NULL: no record of ours */
} records[] = {
    {"v=STSv1; id=20160831085700Z;", "20160831085700Z"},
    {"v=STSv1;id=1", "1"},
    {"v=STSv1; x=y; id=2; id=3", "2"},
    {"v=STSv1;", NULL},
    {"v=STSv1; id=a-b;", NULL},
    {"v=STSv1; id=123456789012345678901234567890123;", NULL},
    {"v=STSv2; id=1;", NULL},
    {"id=1; v=STSv1;", NULL},
    {"v=spf1 -all", NULL},
    {"", NULL},
};

START_TEST(a_record_has_an_id_or_is_none)
{
	char id[STS_ID_MOST + 1] = "";
	bool ok =
	    sts_record_parse(records[_i].text, strlen(records[_i].text), id);

	ck_assert_msg(ok == (records[_i].id != NULL), "%s", records[_i].text);
	if (ok)
		ck_assert_str_eq(id, records[_i].id);
}
END_TEST

static const struct {
	const char *label;
	unsigned char usage, selector, matching;
	size_t len;
	bool usable;
} tlsas[] = {
    {"DANE-EE, SHA-256 of the key", 3, 1, 1, 32, true},
    {"DANE-TA, SHA-512 of the certificate", 2, 0, 2, 64, true},
    {"PKIX-TA", 0, 0, 1, 32, false},
    {"PKIX-EE", 1, 1, 1, 32, false},
    {"an unknown usage", 4, 1, 1, 32, false},
    {"an unknown selector", 3, 2, 1, 32, false},
    {"an unknown digest", 3, 1, 3, 32, false},
    {"a digest that is too short", 3, 1, 1, 31, false},
    {"or too long", 3, 1, 1, 33, false},
    {"in full, and no certificate", 3, 0, 0, 40, false},
};

START_TEST(a_tlsa_record_is_usable_or_not)
{
	unsigned char data[80] = {
	    tlsas[_i].usage, tlsas[_i].selector, tlsas[_i].matching};
	struct tlsa_record r;

	ck_assert_msg(
	    tlsa_parse(data, tlsas[_i].len + 3, &r) == tlsas[_i].usable, "%s",
	    tlsas[_i].label);
}
END_TEST

TCase *sts_policy_tests(void)
{
	TCase *tc = tcase_create("sts_policy");

	tcase_add_loop_test(
	    tc, a_policy_says_which_hosts_or_is_refused, 0, COUNT(policies));
	tcase_add_loop_test(
	    tc, a_record_has_an_id_or_is_none, 0, COUNT(records));
	tcase_add_loop_test(
	    tc, a_tlsa_record_is_usable_or_not, 0, COUNT(tlsas));
	return tc;
}

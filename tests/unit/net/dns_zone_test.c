/*
 * dns_zone_test.c - a resolver that knows what a text says, and nothing else
 */
#include "net/dns_zone.h"

#include "base/clock.h"
#include "base/str.h"
#include "net/mx.h"
#include "tests/unit/net/net_test.h"

static const char text[] =
    "; the DNS of a test\n"
    "$TTL 60\n"
    "example.org. 120 IN MX 20 mx2.example.org.\n"
    "             MX 10 MX1.example.org.\n"
    "             TXT \"v=spf1\" \" -all; all\" ; a comment\n"
    "mx1.example.org  A 192.0.2.1\n"
    "\n"
    "$ORIGIN example.net.\n"
    "@      SOA ns hostmaster ( 1 2\n"
    "           3 4 5 )\n"
    "@      IN 30 MX 5 mx\n"
    "mx     AAAA 2001:db8::1\n"
    "www    CNAME mx\n"
    "loop   CNAME loop\n"
    "*.wild A 192.0.2.9\n"
    "null   MX 0 .\n"
    "down   FAIL\n"
    "_25._tcp.mx TLSA 3 1 1 00 ffAB\n"
    "1.2.0.192.in-addr.arpa. PTR mx1.example.org.\n";

static const struct {
	const char *label, *name;
	enum dns_type type;
	enum dns_status status;
	size_t count;
	const char *first;
} cases[] = {
    {"order is that of the text", "example.org", DNS_MX, DNS_OK, 2,
	"mx2.example.org"},
    {"any case, trailing dot", "EXAMPLE.org.", DNS_MX, DNS_OK, 2,
	"mx2.example.org"},
    {"strings keep their semicolons", "example.org", DNS_TXT, DNS_OK, 1,
	"\6v=spf1\12 -all; all"},
    {"no such type", "example.org", DNS_A, DNS_OK, 0, NULL},
    {"no such name", "nowhere.example.org", DNS_A, DNS_NXDOMAIN, 0, NULL},
    {"a name between others", "_tcp.mx.example.net", DNS_A, DNS_OK, 0, NULL},
    {"names are relative to $ORIGIN", "example.net", DNS_MX, DNS_OK, 1,
	"mx.example.net"},
    {"an alias is followed", "www.example.net", DNS_AAAA, DNS_OK, 1,
	"2001:db8::1"},
    {"but not for ever", "loop.example.net", DNS_A, DNS_FAILED, 0, NULL},
    {"a wildcard stands for what is not there", "a.b.wild.example.net", DNS_A,
	DNS_OK, 1, "192.0.2.9"},
    {"and not for its parent", "wild.example.net", DNS_A, DNS_OK, 0, NULL},
    {"null MX", "null.example.net", DNS_MX, DNS_OK, 1, ""},
    {"a server that is down", "down.example.net", DNS_A, DNS_FAILED, 0, NULL},
    {"and what is below it", "x.down.example.net", DNS_A, DNS_FAILED, 0, NULL},
    {"TLSA is bytes", "_25._tcp.mx.example.net", DNS_TLSA, DNS_OK, 1, "\3\1\1"},
    {"names of addresses", "1.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, 1,
	"mx1.example.org"},
};

static struct resolver *resolver;
static struct arena *arena;

static struct dns_zone *zone_of(const char *lines)
{
	struct dns_zone *zone = dns_zone_new();
	struct err err = {0};

	ck_assert_msg(dns_zone_add_text(zone, lines, &err), "%s", err.text);
	return zone;
}

static void setup(void)
{
	struct resolver_options options = {.zone = zone_of(text)};
	struct err err = {0};

	resolver = resolver_start(&options, &err);
	ck_assert_msg(resolver != NULL, "%s", err.text);
	dns_zone_unref(options.zone);
	arena = arena_new(0);
}

static void teardown(void)
{
	resolver_stop(resolver);
	arena_unref(arena);
}

static const struct dns_answer *ask(const char *name, enum dns_type type)
{
	return resolver_ask_wait(
	    resolver, name, type, clock_now_ms() + 20000, arena);
}

static const char *first_of(const struct dns_answer *a, enum dns_type type)
{
	static char ip[IP_TEXT];

	if (a->count == 0)
		return NULL;
	if (type == DNS_A || type == DNS_AAAA)
		return ip_print(ip, &a->rows[0].ip);
	if (type == DNS_TXT || type == DNS_TLSA)
		return arena_strndup(arena, a->rows[0].data, a->rows[0].len);
	return a->rows[0].name;
}

START_TEST(the_text_is_all_there_is)
{
	const struct dns_answer *a = ask(cases[_i].name, cases[_i].type);
	const char *first = first_of(a, cases[_i].type);

	ck_assert_msg(a->status == cases[_i].status, "%s: status %d",
	    cases[_i].label, (int)a->status);
	ck_assert_msg(a->count == cases[_i].count, "%s: %zu rows",
	    cases[_i].label, a->count);
	if (!cases[_i].first)
		return;
	/* TLSA has a zero in it. */
	ck_assert_msg(cases[_i].type == DNS_TLSA
			  ? strncmp(first, cases[_i].first, 3) == 0
			  : str_eq(first, cases[_i].first),
	    "%s: %s", cases[_i].label, first);
}
END_TEST

START_TEST(an_answer_says_what_its_name_is_an_alias_of)
{
	const struct dns_answer *a = ask("www.example.net", DNS_AAAA);

	ck_assert_str_eq(a->canonical, "mx.example.net");
	ck_assert_ptr_null(ask("mx.example.net", DNS_AAAA)->canonical);
	a = ask("www.example.net", DNS_CNAME);
	ck_assert_uint_eq(a->count, 1);
	ck_assert_str_eq(a->rows[0].name, "mx.example.net");
}
END_TEST

START_TEST(answers_last_as_long_as_the_text_says)
{
	int64_t now = clock_now_ms();
	const struct dns_answer *a = ask("example.net", DNS_MX);

	ck_assert_int_ge(a->expires_at, now + 30000);
	ck_assert_int_lt(a->expires_at, now + 60000);
	/* The smallest of all rows. */
	a = ask("example.org", DNS_MX);
	ck_assert_int_lt(a->expires_at, now + 90000);
}
END_TEST

START_TEST(another_zone_takes_its_place)
{
	struct dns_zone *zone = zone_of("mx1.example.org A 192.0.2.77\n");
	const struct dns_answer *a = ask("example.org", DNS_MX);

	resolver_set_zone(resolver, zone);
	dns_zone_unref(zone);
	/* What was answered stays good. */
	ck_assert_str_eq(a->rows[0].name, "mx2.example.org");
	ck_assert_int_eq(ask("example.org", DNS_MX)->status, DNS_OK);
	ck_assert_uint_eq(ask("example.org", DNS_MX)->count, 0);
	ck_assert_str_eq(
	    first_of(ask("mx1.example.org", DNS_A), DNS_A), "192.0.2.77");
	ck_assert_int_eq(ask("www.example.net", DNS_A)->status, DNS_NXDOMAIN);
}
END_TEST

static const struct {
	const char *text, *want;
} wrong[] = {
    {"a.test A\n", "line 1: A: expected an IPv4 address, got \"\""},
    {"\na.test A 1.2.3\n",
	"line 2: A: expected an IPv4 address, got \"1.2.3\""},
    {"a.test AAAA 1.2.3.4\n",
	"line 1: AAAA: expected an IPv6 address, got \"1.2.3.4\""},
    {"a.test MX mx.test\n",
	"line 1: MX: expected a preference and a name, got \"mx.test\""},
    {"a.test MX 70000 mx.test\n",
	"line 1: MX: expected a preference and a name, got \"70000 mx.test\""},
    {"a.test TXT \"open\n", "line 1: TXT: quotes do not match in \"\"open\""},
    {"a.test CNAME\n", "line 1: expected a name, got \"\""},
    {"a.test TLSA 3 1 xx\n",
	"line 1: TLSA: expected three numbers and hex digits, got \"3 1 xx\""},
    {"a.test LOC here\n",
	"line 1: record type \"LOC\" is not known here: A, AAAA, MX, TXT, PTR, "
	"CNAME, TLSA or FAIL"},
    {" A 1.2.3.4\n", "line 1: a record needs a name"},
    {"a.test 60 IN\n", "line 1: a record needs a type: NAME [TTL] TYPE DATA"},
    {"a.test SOA ( 1 2\n3\n", "line 1: a parenthesis is never closed"},
    {"$ORIGIN\n", "line 1: $ORIGIN needs a value"},
    {"$TTL soon\n", "line 1: $TTL: expected seconds"},
    {"$INCLUDE x\n", "line 1: $INCLUDE: not known here, only $ORIGIN and $TTL"},
};

START_TEST(what_is_wrong_is_said_with_its_line)
{
	struct dns_zone *zone = dns_zone_new();
	struct err err = {0};

	ck_assert(!dns_zone_add_text(zone, wrong[_i].text, &err));
	ck_assert_str_eq(err.text, wrong[_i].want);
	dns_zone_unref(zone);
}
END_TEST

TCase *dns_zone_tests(void)
{
	TCase *tc = tcase_create("dns_zone");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, the_text_is_all_there_is, 0, COUNT(cases));
	tcase_add_test(tc, an_answer_says_what_its_name_is_an_alias_of);
	tcase_add_test(tc, answers_last_as_long_as_the_text_says);
	tcase_add_test(tc, another_zone_takes_its_place);
	tcase_add_loop_test(
	    tc, what_is_wrong_is_said_with_its_line, 0, COUNT(wrong));
	return tc;
}

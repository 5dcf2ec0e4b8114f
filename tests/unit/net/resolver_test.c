/*
 * resolver_test.c - questions and answers, against a name server of the test
 */
#include "net/resolver.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "tests/unit/net/dns_stub.h"
#include "tests/unit/net/net_test.h"

static const struct dns_stub_row rows[] = {
    {"host.test", DNS_A, "192.0.2.1"},
    {"host.test", DNS_A, "192.0.2.2"},
    {"host.test", DNS_AAAA, "2001:db8::1"},
    {"mapped.test", DNS_AAAA, "::ffff:192.0.2.9"},
    {"alias.test", 5, "host.test"},
    {"mail.test", DNS_MX, "10 MX.Host.test"},
    {"mail.test", DNS_TXT, "v=spf1 -all"},
    {"odd.test", DNS_MX, "10 a\\b c.test"},
    {"broken.test", DNS_A, STUB_SERVFAIL},
    {"silent.test", DNS_A, STUB_SILENCE},
    {"1.2.0.192.in-addr.arpa", DNS_PTR, "nothing"},
};

static const struct {
	const char *label, *name;
	enum dns_type type;
	enum dns_status status;
	size_t count;
	const char *first; /* address, name or text; NULL: no row */
} cases[] = {
    {"addresses", "host.test", DNS_A, DNS_OK, 2, "192.0.2.1"},
    {"names in any case", "HOST.test", DNS_A, DNS_OK, 2, "192.0.2.1"},
    {"IPv6", "host.test", DNS_AAAA, DNS_OK, 1, "2001:db8::1"},
    {"a mapped address is IPv4", "mapped.test", DNS_AAAA, DNS_OK, 1,
	"192.0.2.9"},
    {"an alias is followed", "alias.test", DNS_A, DNS_OK, 2, "192.0.2.1"},
    {"MX names are lower case", "mail.test", DNS_MX, DNS_OK, 1, "mx.host.test"},
    {"odd bytes in names are escaped", "odd.test", DNS_MX, DNS_OK, 1,
	"a\\092b\\032c.test"},
    {"no such type is an empty answer", "host.test", DNS_MX, DNS_OK, 0, NULL},
    {"no such name", "nowhere.test", DNS_A, DNS_NXDOMAIN, 0, NULL},
    {"SERVFAIL may pass", "broken.test", DNS_A, DNS_FAILED, 0, NULL},
    {"what is no name may not be asked", "a..b", DNS_A, DNS_FAILED, 0, NULL},
};

static struct dns_stub *stub;
static struct resolver *resolver;
static struct arena *arena;

static void setup(void)
{
	struct resolver_options options = {.hosts_file = ""};
	struct err err = {0};

	stub = dns_stub_start(rows, COUNT(rows));
	options.forwarder = dns_stub_forwarder(stub);
	resolver = resolver_start(&options, &err);
	ck_assert_msg(resolver != NULL, "%s", err.text);
	arena = arena_new(0);
}

static void teardown(void)
{
	resolver_stop(resolver);
	dns_stub_stop(stub);
	arena_unref(arena);
}

START_TEST(answers_are_what_the_server_said)
{
	const struct dns_answer *a = resolver_ask_wait(resolver, cases[_i].name,
	    cases[_i].type, clock_now_ms() + 20000, arena);
	const char *label = cases[_i].label;
	char text[IP_TEXT];

	ck_assert_msg(a->status == cases[_i].status, "%s: status %d: %s", label,
	    a->status, a->why ? a->why : "");
	ck_assert_msg(
	    a->count == cases[_i].count, "%s: %zu rows", label, a->count);
	ck_assert_msg((a->status == DNS_OK) == !a->why, "%s: why", label);
	if (!cases[_i].first)
		return;
	if (a->rows[0].name)
		ck_assert_str_eq(a->rows[0].name, cases[_i].first);
	else
		ck_assert_str_eq(
		    ip_print(text, &a->rows[0].ip), cases[_i].first);
	ck_assert_int_gt(a->expires_at, clock_now_ms());
	ck_assert_int_le(a->expires_at, clock_now_ms() + 60000);
}
END_TEST

START_TEST(text_is_raw)
{
	const struct dns_answer *a = resolver_ask_wait(
	    resolver, "mail.test", DNS_TXT, clock_now_ms() + 20000, arena);

	ck_assert_uint_eq(a->count, 1);
	ck_assert_mem_eq(a->rows[0].data, "\013v=spf1 -all", 12);
}
END_TEST

START_TEST(a_server_that_is_silent_costs_no_more_than_the_deadline)
{
	int64_t began = clock_now_ms();
	const struct dns_answer *a = resolver_ask_wait(
	    resolver, "silent.test", DNS_A, began + 200, arena);

	ck_assert_int_eq(a->status, DNS_FAILED);
	ck_assert_ptr_nonnull(strstr(a->why, "silent.test"));
	ck_assert_int_lt(clock_now_ms() - began, 5000);
}
END_TEST

static atomic_int answered, well;

static void count(const struct dns_answer *a, void *ctx)
{
	(void)ctx;
	if (a->status == DNS_OK)
		atomic_fetch_add(&well, 1);
	atomic_fetch_add(&answered, 1);
}

/* 400 questions that nobody answers, and then one more. */
START_TEST(silent_names_do_not_keep_the_others_waiting)
{
	int64_t deadline = clock_now_ms() + 300;
	const struct dns_answer *a;

	for (int i = 0; i < 400; i++)
		resolver_ask(resolver, "silent.test", DNS_A, deadline, arena,
		    count, NULL);
	a = resolver_ask_wait(
	    resolver, "host.test", DNS_A, clock_now_ms() + 20000, arena);
	ck_assert_int_eq(a->status, DNS_OK);
	/* In order of asking: these 400 were answered before. */
	ck_assert_int_eq(atomic_load(&answered), 400);
}
END_TEST

START_TEST(stopping_answers_everybody)
{
	for (int i = 0; i < 200; i++)
		resolver_ask(resolver, i % 2 ? "silent.test" : "host.test",
		    DNS_A, clock_now_ms() + 600000, arena, count, NULL);
	resolver_stop(resolver);
	resolver = NULL;
	ck_assert_int_eq(atomic_load(&answered), 200);
}
END_TEST

static void write_hosts(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static bool resolves_to(struct resolver *r, const char *name, const char *want)
{
	const struct dns_answer *a =
	    resolver_ask_wait(r, name, DNS_A, clock_now_ms() + 20000, arena);
	char text[IP_TEXT];

	return a->count == 1 && str_eq(ip_print(text, &a->rows[0].ip), want);
}

START_TEST(a_hosts_file_is_read_and_read_again_when_it_changes)
{
	char path[] = "/tmp/penstock-hosts.XXXXXX";
	struct resolver_options options = {.hosts_file = path};
	int64_t until = clock_now_ms() + 20000;
	struct resolver *other;
	struct err err = {0};
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	write_hosts(path, "192.0.2.77 named.test\n");
	options.forwarder = dns_stub_forwarder(stub);
	other = resolver_start(&options, &err);
	ck_assert_ptr_nonnull(other);
	ck_assert(resolves_to(other, "named.test", "192.0.2.77"));
	write_hosts(path, "192.0.2.178 named.test\n");
	/* It looks once a second. */
	while (!resolves_to(other, "named.test", "192.0.2.178"))
		ck_assert_int_lt(clock_now_ms(), until);
	resolver_stop(other);
	(void)close(fd);
	(void)unlink(path);
}
END_TEST

START_TEST(a_forwarder_that_is_no_address_is_refused)
{
	struct resolver_options options = {.forwarder = "no address"};
	struct err err = {0};

	ck_assert_ptr_null(resolver_start(&options, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
}
END_TEST

TCase *resolver_tests(void)
{
	TCase *tc = tcase_create("resolver");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, answers_are_what_the_server_said, 0, COUNT(cases));
	tcase_add_test(tc, text_is_raw);
	tcase_add_test(
	    tc, a_server_that_is_silent_costs_no_more_than_the_deadline);
	tcase_add_test(tc, silent_names_do_not_keep_the_others_waiting);
	tcase_add_test(tc, stopping_answers_everybody);
	tcase_add_test(tc, a_hosts_file_is_read_and_read_again_when_it_changes);
	tcase_add_test(tc, a_forwarder_that_is_no_address_is_refused);
	return tc;
}

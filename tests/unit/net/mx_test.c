/*
 * mx_test.c - from a domain to hosts
 */
#include "net/mx.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "tests/unit/net/dns_stub.h"
#include "tests/unit/net/net_test.h"

static const struct dns_stub_row rows[] = {
    {"mail.test", DNS_MX, "20 b.mail.test"},
    {"mail.test", DNS_MX, "10 z.mail.test"},
    {"mail.test", DNS_MX, "20 A.mail.test"},
    {"a.mail.test", DNS_A, "192.0.2.1"},
    {"a.mail.test", DNS_AAAA, "2001:db8::1"},
    {"b.mail.test", DNS_A, "192.0.2.2"},
    {"b.mail.test", DNS_A, "192.0.2.3"},
    {"z.mail.test", DNS_A, "192.0.2.4"},
    {"implicit.test", DNS_A, "192.0.2.5"},
    {"alias.test", 5, "mail.test"},
    {"null.test", DNS_MX, "0 ."},
    {"null.test", DNS_A, "192.0.2.6"},
    {"mixed.test", DNS_MX, "0 ."},
    {"mixed.test", DNS_MX, "10 z.mail.test"},
    {"twice.test", DNS_MX, "20 z.mail.test"},
    {"twice.test", DNS_MX, "10 z.mail.test"},
    {"servfail.test", DNS_MX, STUB_SERVFAIL},
    {"nohosts.test", DNS_MX, "10 nowhere.test"},
    {"halfdead.test", DNS_MX, "10 dead.test"},
    {"halfdead.test", DNS_MX, "20 z.mail.test"},
    {"dead.test", DNS_A, STUB_SERVFAIL},
    {"dead.test", DNS_AAAA, STUB_SERVFAIL},
    {"alldead.test", DNS_MX, "10 dead.test"},
    {"empty.test", DNS_TXT, "no mail here"},
};

static const struct {
	const char *label, *domain;
	bool host_only;
	enum mx_status status;
	/* "preference name[:port]=address,address ..." */
	const char *hosts;
} cases[] = {
    {"by preference, then name; addresses IPv4 first", "mail.test", false,
	MX_OK,
	"10 z.mail.test=192.0.2.4 "
	"20 a.mail.test=192.0.2.1,2001:db8::1 "
	"20 b.mail.test=192.0.2.2,192.0.2.3"},
    {"letter case and a last dot do not matter", "Twice.TEST.", false, MX_OK,
	"10 z.mail.test=192.0.2.4"},
    {"without MX the domain is the host", "implicit.test", false, MX_OK,
	"1 implicit.test=192.0.2.5"},
    {"an alias of the domain is followed", "alias.test", false, MX_OK,
	"10 z.mail.test=192.0.2.4 "
	"20 a.mail.test=192.0.2.1,2001:db8::1 "
	"20 b.mail.test=192.0.2.2,192.0.2.3"},
    {"138: null MX", "null.test", false, MX_NULL, ""},
    {"null MX beside others is left out", "mixed.test", false, MX_OK,
	"10 z.mail.test=192.0.2.4"},
    {"NXDOMAIN is temporary", "nowhere.test", false, MX_TEMP, ""},
    {"SERVFAIL is temporary", "servfail.test", false, MX_TEMP, ""},
    {"hosts without addresses", "nohosts.test", false, MX_NO_HOSTS,
	"10 nowhere.test="},
    {"neither MX nor address", "empty.test", false, MX_NO_HOSTS,
	"1 empty.test="},
    {"a host that cannot be looked up stays, for the site name",
	"halfdead.test", false, MX_OK,
	"10 dead.test= 20 z.mail.test=192.0.2.4"},
    {"no host can be looked up", "alldead.test", false, MX_TEMP,
	"10 dead.test="},
    {"127: a port goes with every host", "twice.test:2525", false, MX_OK,
	"10 z.mail.test:2525=192.0.2.4"},
    {"a host, not its MX", "b.mail.test", true, MX_OK,
	"1 b.mail.test=192.0.2.2,192.0.2.3"},
    {"127: a host with a port", "b.mail.test:26", true, MX_OK,
	"1 b.mail.test:26=192.0.2.2,192.0.2.3"},
    {"a host that is not there", "nowhere.test", true, MX_NO_HOSTS,
	"1 nowhere.test="},
    {"a literal", "[192.0.2.9]", false, MX_OK, "1 192.0.2.9=192.0.2.9"},
    {"an IPv6 literal with a port", "[IPv6:2001:db8::9]:2525", false, MX_OK,
	"1 2001:db8::9:2525=2001:db8::9"},
    {"a bare address with a port", "127.0.0.1:2525", true, MX_OK,
	"1 127.0.0.1:2525=127.0.0.1"},
    {"a bare IPv6 address", "::1", true, MX_OK, "1 ::1=::1"},
    {"not a name", "a b.test", false, MX_TEMP, ""},
    {"not a port", "mail.test:70000", false, MX_TEMP, ""},
    {"not a literal", "[mail.test]", false, MX_TEMP, ""},
    {"nothing", "", false, MX_TEMP, ""},
};

static struct dns_stub *stub;
static struct resolver *resolver;
static struct inbox *answers;

struct answer {
	struct inbox_item item;
	struct mx_result *result;
};

static void teardown(void);
/* Instead of what the fixture has started, when it has. */
static void start(const struct dns_stub_row *table, size_t count)
{
	struct resolver_options options = {.hosts_file = ""};
	struct err err = {0};

	if (stub)
		teardown();
	stub = dns_stub_start(table, count);
	options.forwarder = dns_stub_forwarder(stub);
	resolver = resolver_start(&options, &err);
	ck_assert_msg(resolver != NULL, "%s", err.text);
	answers = inbox_new();
}

static void setup(void)
{
	start(rows, COUNT(rows));
}

static void teardown(void)
{
	resolver_stop(resolver);
	dns_stub_stop(stub);
	inbox_free(answers);
}

static void on_result(struct mx_result *result, void *ctx)
{
	struct answer *a = xcalloc(1, sizeof *a);

	(void)ctx;
	a->result = result;
	inbox_put(answers, &a->item);
}

static struct mx_result *take(void)
{
	struct inbox_item *item = inbox_take(answers, clock_now_ms() + 30000);
	struct mx_result *result;
	struct answer *a;

	ck_assert_ptr_nonnull(item);
	a = CONTAINER_OF(item, struct answer, item);
	result = a->result;
	free(a);
	return result;
}

static void print_hosts(struct buf *out, const struct mx_result *result)
{
	char text[IP_TEXT];

	for (size_t i = 0; i < result->count; i++) {
		const struct mx_host *h = &result->hosts[i];

		buf_addf(out, "%s%d %s", i ? " " : "", h->preference, h->name);
		if (h->port)
			buf_addf(out, ":%u", h->port);
		buf_addch(out, '=');
		for (size_t a = 0; a < h->address_count; a++)
			buf_addf(out, "%s%s", a ? "," : "",
			    ip_print(text, &h->addresses[a]));
	}
}

START_TEST(hosts_are_what_the_domain_says)
{
	int64_t deadline = clock_now_ms() + 20000;
	struct buf hosts = BUF_INIT;
	struct mx_result *result;

	if (cases[_i].host_only)
		mx_lookup_host(
		    resolver, cases[_i].domain, deadline, on_result, NULL);
	else
		mx_lookup(
		    resolver, cases[_i].domain, deadline, on_result, NULL);
	result = take();
	print_hosts(&hosts, result);
	ck_assert_msg(result->status == cases[_i].status, "%s: %d %s",
	    cases[_i].label, result->status, result->why);
	ck_assert_msg(str_eq(buf_str(&hosts), cases[_i].hosts), "%s: %s",
	    cases[_i].label, buf_str(&hosts));
	ck_assert((result->status == MX_OK) == !*result->why);
	ck_assert_int_gt(result->expires_at, 0);
	ck_assert_int_lt(result->expires_at, INT64_MAX);
	buf_release(&hosts);
	arena_unref(result->arena);
}
END_TEST

/* 1000 rows come by TCP; 100 hosts are looked up, the best ones. */
START_TEST(a_thousand_hosts_are_a_hundred)
{
	static struct dns_stub_row many[2000];
	static char text[1000][2][40];
	struct mx_result *result;

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(
		    text[i][0], 40, "%d h%03d.many.test", 1000 - i, i);
		(void)snprintf(text[i][1], 40, "h%03d.many.test", i);
		many[2 * i] =
		    (struct dns_stub_row){"many.test", DNS_MX, text[i][0]};
		many[2 * i + 1] =
		    (struct dns_stub_row){text[i][1], DNS_A, "192.0.2.1"};
	}
	start(many, COUNT(many));
	mx_lookup(
	    resolver, "many.test", clock_now_ms() + 30000, on_result, NULL);
	result = take();
	ck_assert_int_eq(result->status, MX_OK);
	ck_assert_uint_eq(result->count, 100);
	ck_assert_str_eq(result->hosts[0].name, "h999.many.test");
	ck_assert_str_eq(result->hosts[99].name, "h900.many.test");
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(result->hosts[i].address_count, 1);
	arena_unref(result->arena);
}
END_TEST

START_TEST(a_host_with_a_thousand_addresses_has_a_few)
{
	static struct dns_stub_row many[1001];
	static char text[1000][20];
	struct mx_result *result;

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(
		    text[i], 20, "192.0.%d.%d", i / 250, 1 + i % 250);
		many[i] = (struct dns_stub_row){"wide.test", DNS_A, text[i]};
	}
	many[1000] =
	    (struct dns_stub_row){"wide.test", DNS_AAAA, "2001:db8::1"};
	start(many, COUNT(many));
	mx_lookup(
	    resolver, "wide.test", clock_now_ms() + 30000, on_result, NULL);
	result = take();
	ck_assert_int_eq(result->status, MX_OK);
	ck_assert_uint_eq(result->count, 1);
	ck_assert_uint_eq(result->hosts[0].address_count, 64 + 1);
	arena_unref(result->arena);
}
END_TEST

/* Each of them in the middle of its questions. */
START_TEST(stopping_ends_every_lookup)
{
	for (int i = 0; i < 50; i++)
		mx_lookup(resolver, "mail.test", clock_now_ms() + 60000,
		    on_result, NULL);
	resolver_stop(resolver);
	resolver = NULL;
	for (int i = 0; i < 50; i++)
		arena_unref(take()->arena);
}
END_TEST

TCase *mx_tests(void)
{
	TCase *tc = tcase_create("mx");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, hosts_are_what_the_domain_says, 0, COUNT(cases));
	tcase_add_test(tc, stopping_ends_every_lookup);
	tcase_add_test(tc, a_thousand_hosts_are_a_hundred);
	tcase_add_test(tc, a_host_with_a_thousand_addresses_has_a_few);
	return tc;
}

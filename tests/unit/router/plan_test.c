#include "router/plan.h"

#include "base/arena.h"
#include "base/str.h"
#include "net/tls.h"
#include "router/router.h"
#include "router_test.h"

/* Hosts as "name preference[:port] ip,ip"; separated by ';'.  A path instead of
 * addresses begins with '/'. */
struct plan_case {
	const char *label, *hosts;
	bool is_list, is_exempt;
	enum ip_lookup_strategy strategy;
	int64_t remote_port;
	const char *prohibited, *skip; /* NULL: none; one block */
	const char *feed;              /* NULL: none */
	const char *want;              /* "name@ip:port ..." or "code x.y.z" */
};

#define LOCAL "192.0.2.1" /* the address of this machine */

static const struct plan_case cases[] = {
    {"preference decides", "b 20 192.0.2.20; a 10 192.0.2.10",
	.want = "a@192.0.2.10:25 "
		"b@192.0.2.20:25"},
    {"case 127: a list keeps its order and its ports",
	"z 0:2525 192.0.2.9; a 0 192.0.2.8", .is_list = true, .is_exempt = true,
	.want = "z@192.0.2.9:2525 a@192.0.2.8:25"},
    {"case 127: the source's port wins", "z 0:2525 192.0.2.9", .is_list = true,
	.remote_port = 26, .want = "z@192.0.2.9:26"},
    {"a unix socket has no port", "s 0 /run/lmtp; a 0 192.0.2.8",
	.is_list = true, .is_exempt = true,
	.want = "s@/run/lmtp "
		"a@192.0.2.8:25"},
    {"only IPv4", "a 10 192.0.2.10,2001:db8::1", .strategy = LOOKUP_V4_ONLY,
	.want = "a@192.0.2.10:25"},
    {"only IPv6", "a 10 192.0.2.10,2001:db8::1", .strategy = LOOKUP_V6_ONLY,
	.want = "a@2001:db8::1:25"},
    {"IPv6 first", "a 10 192.0.2.10,2001:db8::1", .strategy = LOOKUP_V6_THEN_V4,
	.want = "a@2001:db8::1:25 a@192.0.2.10:25"},
    {"no address of the family", "a 10 192.0.2.10", .strategy = LOOKUP_V6_ONLY,
	.want = "451 4.4.4"},
    {"case 137: one prohibited address is enough",
	"a 10 192.0.2.10; b 20 127.0.0.1", .prohibited = "127.0.0.0/8",
	.want = "550 5.4.4"},
    {"case 137: all are to be skipped", "a 10 192.0.2.10",
	.skip = "192.0.2.0/24", .want = "451 4.4.4"},
    {"some are to be skipped", "a 10 192.0.2.10; b 20 198.51.100.1",
	.skip = "192.0.2.0/24", .want = "b@198.51.100.1:25"},
    {"prohibited is asked before skipped", "a 10 192.0.2.10",
	.prohibited = "192.0.2.10", .skip = "192.0.2.10", .want = "550 5.4.4"},
    {"we are the only MX", "me 10 " LOCAL, .want = "554 5.4.6"},
    {"we are the backup: only better ones are tried",
	"a 10 192.0.2.10; me 20 " LOCAL "; w 30 192.0.2.30",
	.want = "a@192.0.2.10:25"},
    {"equal is not better", "a 20 192.0.2.10; me 20 " LOCAL,
	.want = "554 5.4.6"},
    {"the policy may name us", "me 0 " LOCAL, .is_list = true,
	.is_exempt = true, .want = "me@" LOCAL ":25"},
    {"so does a routing domain", "me 10 " LOCAL, .is_exempt = true,
	.want = "me@" LOCAL ":25"},
    {"but not a service that feeds us", "me 0 " LOCAL, .is_list = true,
	.is_exempt = true, .feed = LOCAL ":25", .want = "554 5.4.6"},
    {"another port does not feed us", "me 0:2525 " LOCAL, .is_list = true,
	.is_exempt = true, .feed = LOCAL ":25", .want = "me@" LOCAL ":2525"},
    {"a feed on every address", "me 0 " LOCAL, .is_list = true,
	.is_exempt = true, .feed = "0.0.0.0:25", .want = "554 5.4.6"},
    {"of a list only the feed goes", "me 0 " LOCAL "; a 0 192.0.2.10",
	.is_list = true, .is_exempt = true, .feed = LOCAL ":25",
	.want = "a@192.0.2.10:25"},
};

static bool is_local(const struct ip_addr *ip, void *ctx)
{
	char text[IP_TEXT];

	return str_eq(ip_print(text, ip), LOCAL);
}

/* Keeps the order: item n-1 is swapped with itself. */
static size_t pick_last(size_t n, void *ctx)
{
	return n - 1;
}

static void read_host(
    struct arena *arena, char *text, struct destination_host *host)
{
	char *save = NULL;
	char *name = strtok_r(text, " ", &save);
	char *preference = strtok_r(NULL, " ", &save);
	char *addresses = strtok_r(NULL, " ", &save);
	char *colon = strchr(preference, ':'), *one;
	struct ip_addr *ips = ARENA_ARRAY(arena, struct ip_addr, 8);

	host->name = name;
	host->preference = atoi(preference);
	host->port = colon ? (uint16_t)atoi(colon + 1) : 0;
	if (addresses[0] == '/') {
		host->path = addresses;
		return;
	}
	for (one = strtok_r(addresses, ",", &save); one;
	     one = strtok_r(NULL, ",", &save))
		ck_assert(ip_parse(one, &ips[host->address_count++]));
	host->addresses = ips;
}

static int by_preference(const void *a, const void *b)
{
	const struct destination_host *x = a, *y = b;

	return x->preference - y->preference;
}

static void read_hosts(
    struct arena *arena, const char *text, struct destination *d)
{
	char *copy = arena_strdup(arena, text), *save = NULL, *one;
	char *parts[8];
	size_t n = 0;

	d->hosts = ARENA_ARRAY(arena, struct destination_host, 8);
	for (one = strtok_r(copy, ";", &save); one;
	     one = strtok_r(NULL, ";", &save))
		parts[n++] = one;
	for (size_t i = 0; i < n; i++)
		read_host(arena, parts[i], &d->hosts[d->count++]);
	if (!d->is_list)
		qsort(d->hosts, d->count, sizeof d->hosts[0], by_preference);
}

static struct cidr_list one_block(struct arena *arena, const char *text)
{
	struct cidr *block = ARENA_NEW(arena, struct cidr);

	if (!text)
		return (struct cidr_list){0};
	ck_assert(cidr_parse(text, block, NULL));
	return (struct cidr_list){block, 1};
}

static const char *told(
    struct arena *arena, const struct candidate *c, size_t count)
{
	struct buf out = BUF_INIT;
	char ip[IP_TEXT];
	const char *text;

	for (size_t i = 0; i < count; i++) {
		buf_addf(&out, "%s%s@", i ? " " : "", c[i].name);
		if (c[i].path)
			buf_addstr(&out, c[i].path);
		else
			buf_addf(
			    &out, "%s:%u", ip_print(ip, &c[i].ip), c[i].port);
	}
	text = arena_strdup(arena, buf_str(&out));
	buf_release(&out);
	return text;
}

START_TEST(finds_the_candidates_or_says_why_not)
{
	const struct plan_case *t = &cases[_i];
	struct arena *arena = arena_new(0);
	struct destination d = {.site_name = "site",
	    .is_list = t->is_list,
	    .is_exempt = t->is_exempt};
	struct egress_path path = *egress_path_defaults();
	struct egress_source source = {
	    .name = "s", .remote_port = t->remote_port};
	struct router_feed feed = {0};
	struct plan_question q = {.destination = &d,
	    .path = &path,
	    .source = &source,
	    .is_local = is_local,
	    .feeds = &feed,
	    .pick = pick_last};
	struct candidate *candidates = NULL;
	struct smtp_reply refusal = {0};
	const char *got;
	size_t count = 0;

	read_hosts(arena, t->hosts, &d);
	path.prohibited_hosts = one_block(arena, t->prohibited);
	path.skip_hosts = one_block(arena, t->skip);
	path.ip_lookup_strategy = t->strategy;
	if (t->feed) {
		ck_assert(ip_port_parse(t->feed, &feed.ip, &feed.port));
		q.feed_count = 1;
	}
	if (plan_candidates(&q, arena, &candidates, &count, &refusal))
		got = told(arena, candidates, count);
	else
		got = arena_printf(arena, "%d %d.%d.%d", refusal.code,
		    refusal.enhanced[0], refusal.enhanced[1],
		    refusal.enhanced[2]);
	ck_assert_msg(str_eq(got, t->want), "%s: got \"%s\", want \"%s\"",
	    t->label, got, t->want);
	arena_unref(arena);
}
END_TEST

static const struct {
	const char *label;
	bool is_null;
	const char *why;
	int code; /* 0: not refused */
} refusals[] = {
    {"case 138: null MX", true, NULL, 556},
    {"nothing can be found", false, "SERVFAIL", 451},
    {"hosts are known", false, NULL, 0},
};

START_TEST(a_destination_without_hosts_refuses)
{
	struct arena *arena = arena_new(0);
	struct destination d = {
	    .is_null = refusals[_i].is_null, .why = refusals[_i].why};
	struct smtp_reply reply = {0};

	ck_assert_int_eq(
	    plan_refused(&d, arena, &reply), refusals[_i].code != 0);
	ck_assert_msg(reply.code == refusals[_i].code, "%s: %d",
	    refusals[_i].label, reply.code);
	arena_unref(arena);
}
END_TEST

static const struct {
	size_t queued;
	int64_t limit;
	size_t want;
} connections[] = {
    {0, 32, 0},
    {1, 32, 1},
    {2, 32, 2},
    {5, 32, 4},
    {200, 32, 32},
    {1000000, 32, 32},
    {1000000, 1, 1},
    {3, 1000, 3},
    {10, 0, 0},
};

START_TEST(connections_grow_with_the_queue_and_stay_within_limits)
{
	size_t got =
	    plan_connections(connections[_i].queued, connections[_i].limit);

	ck_assert_uint_eq(got, connections[_i].want);
}
END_TEST

START_TEST(more_mail_never_means_fewer_connections)
{
	size_t before = 0;

	for (size_t n = 0; n < 2000; n++) {
		size_t now = plan_connections(n, 50);

		ck_assert_uint_ge(now, before);
		before = now;
	}
}
END_TEST

static const struct {
	const char *path, *source, *want;
} names[] = {
    {"p", "s", "p"},
    {NULL, "s", "s"},
    {"p", NULL, "p"},
    {NULL, NULL, "host"},
};

/* Case 126. */
START_TEST(the_path_names_us_before_the_source_and_the_host)
{
	struct egress_path path = {.ehlo_domain = names[_i].path};
	struct egress_source source = {.ehlo_domain = names[_i].source};

	ck_assert_str_eq(
	    plan_ehlo_name(&path, &source, "host"), names[_i].want);
}
END_TEST

/* policy/ checks the words of openssl_options without knowing OpenSSL. */
START_TEST(openssl_knows_every_option_that_a_policy_may_name)
{
	for (size_t i = 0; egress_path_openssl_options[i]; i++) {
		const struct tls_profile_options options = {
		    .options = egress_path_openssl_options[i]};
		struct err err = {0};
		struct tls_profile *p = tls_profile_new(&options, &err);

		ck_assert_msg(p != NULL, "%s", err.text);
		tls_profile_unref(p);
	}
}
END_TEST

START_TEST(port_465_begins_with_tls)
{
	struct egress_path path = *egress_path_defaults();

	ck_assert(egress_path_implicit_tls(&path, 465));
	ck_assert(!egress_path_implicit_tls(&path, 25));
	path.enable_tls = TLS_DISABLED;
	ck_assert(!egress_path_implicit_tls(&path, 465));
}
END_TEST

START_TEST(a_plan_has_a_hundred_candidates_at_most)
{
	struct arena *arena = arena_new(0);
	struct egress_path path = *egress_path_defaults();
	struct destination d = {.count = 100, .site_name = "wide"};
	struct plan_question q = {.destination = &d,
	    .path = &path,
	    .source = egress_source_unspecified(),
	    .is_local = is_local,
	    .pick = pick_last};
	struct ip_addr *ips = ARENA_ARRAY(arena, struct ip_addr, 64);
	struct candidate *candidates;
	struct smtp_reply refusal;
	size_t count, used;

	for (int i = 0; i < 64; i++)
		ck_assert(
		    ip_parse(arena_printf(arena, "198.51.100.%d", i), &ips[i]));
	d.hosts = ARENA_ARRAY(arena, struct destination_host, d.count);
	for (size_t i = 0; i < d.count; i++)
		d.hosts[i] = (struct destination_host){.name = "h",
		    .preference = (int)i,
		    .addresses = ips,
		    .address_count = 64};
	used = arena_used(arena);
	ck_assert(plan_candidates(&q, arena, &candidates, &count, &refusal));
	ck_assert_uint_eq(count, DELIVERY_CANDIDATES_MOST);
	/* And keeps nothing of the others. */
	ck_assert_uint_lt(
	    arena_used(arena) - used, (count + 1) * sizeof *candidates);
	arena_unref(arena);
}
END_TEST

Suite *plan_suite(void)
{
	Suite *suite = suite_create("plan");
	TCase *tc = tcase_create("plan");

	tcase_add_loop_test(
	    tc, finds_the_candidates_or_says_why_not, 0, COUNT(cases));
	tcase_add_loop_test(
	    tc, a_destination_without_hosts_refuses, 0, COUNT(refusals));
	tcase_add_loop_test(tc,
	    connections_grow_with_the_queue_and_stay_within_limits, 0,
	    COUNT(connections));
	tcase_add_test(tc, a_plan_has_a_hundred_candidates_at_most);
	tcase_add_test(tc, more_mail_never_means_fewer_connections);
	tcase_add_loop_test(tc,
	    the_path_names_us_before_the_source_and_the_host, 0, COUNT(names));
	tcase_add_test(tc, openssl_knows_every_option_that_a_policy_may_name);
	tcase_add_test(tc, port_465_begins_with_tls);
	suite_add_tcase(suite, tc);
	return suite;
}

/* ip_test.c - base/ip.h */
#include "tests/unit/base/base_test.h"

#include "base/arena.h"
#include "base/ip.h"

static const struct {
	const char *text, *want; /* NULL: refused */
} addresses[] = {
    {"10.0.0.1", "10.0.0.1"},
    {"::1", "::1"},
    {"2001:DB8::1", "2001:db8::1"},
    {"::ffff:192.0.2.7", "192.0.2.7"},
    {"::ffff:c000:207", "192.0.2.7"},
    {"10.0.0", NULL},
    {"10.0.0.01", NULL},
    {"10.0.0.256", NULL},
    {"10.0.0.1 ", NULL},
    {"fe80::1%eth0", NULL},
    {"[::1]", NULL},
    {"", NULL},
};

START_TEST(addresses_have_one_spelling)
{
	struct ip_addr ip;
	char text[IP_TEXT];

	ck_assert_msg(ip_parse(addresses[_i].text, &ip) == !!addresses[_i].want,
	    "%s", addresses[_i].text);
	if (addresses[_i].want)
		ck_assert_str_eq(ip_print(text, &ip), addresses[_i].want);
}
END_TEST

START_TEST(sockaddr_and_back)
{
	static const char *const texts[] = {"192.0.2.7", "2001:db8::7"};
	struct sockaddr_storage ss;
	struct sockaddr un = {.sa_family = AF_UNIX};
	struct ip_addr ip, back;
	uint16_t port = 0;

	for (size_t i = 0; i < COUNT(texts); i++) {
		ck_assert(ip_parse(texts[i], &ip));
		ck_assert_uint_gt(ip_to_sockaddr(&ip, 2525, &ss), 0);
		ck_assert(ip_from_sockaddr(
		    (const struct sockaddr *)&ss, &back, &port));
		ck_assert(ip_eq(&ip, &back));
		ck_assert_uint_eq(port, 2525);
	}
	ck_assert(!ip_from_sockaddr(&un, &back, NULL));
	ck_assert_int_eq(back.family, 0);
	ck_assert_uint_eq(ip_to_sockaddr(&back, 1, &ss), 0);
}
END_TEST

START_TEST(special_addresses_are_known)
{
	struct ip_addr ip;

	ck_assert(ip_parse("127.9.9.9", &ip) && ip_is_loopback(&ip));
	ck_assert(ip_parse("::1", &ip) && ip_is_loopback(&ip));
	ck_assert(ip_parse("128.0.0.1", &ip) && !ip_is_loopback(&ip));
	ck_assert(ip_parse("0.0.0.0", &ip) && ip_is_any(&ip));
	ck_assert(ip_parse("::", &ip) && ip_is_any(&ip));
	ip = (struct ip_addr){0};
	ck_assert(!ip_is_any(&ip) && !ip_is_loopback(&ip));
}
END_TEST

static const struct {
	const char *text, *want;
} ports[] = {
    {"10.0.0.1:25", "10.0.0.1:25"},
    {"[2001:db8::1]:25", "[2001:db8::1]:25"},
    {"127.0.0.1:0", "127.0.0.1:0"},
    {"10.0.0.1", NULL},
    {"10.0.0.1:", NULL},
    {"10.0.0.1:65536", NULL},
    {"10.0.0.1:-1", NULL},
    {"2001:db8::1:25", NULL},
    {"[10.0.0.1]:25", NULL},
    {"[::1:25", NULL},
    {"mx.example.com:25", NULL},
};

START_TEST(a_port_belongs_to_it)
{
	struct ip_addr ip;
	char text[ENDPOINT_TEXT];
	uint16_t port;

	ck_assert_msg(
	    ip_port_parse(ports[_i].text, &ip, &port) == !!ports[_i].want, "%s",
	    ports[_i].text);
	if (ports[_i].want)
		ck_assert_str_eq(
		    ip_port_print(text, &ip, port), ports[_i].want);
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	const char *path, *host;
	bool is_ip;
	int port;
} endpoints[] = {
    {"10.0.0.1:5000", true, NULL, "10.0.0.1", true, 5000},
    {"[::1]:5000", true, NULL, "::1", true, 5000},
    {"proxy.example.com:1080", true, NULL, "proxy.example.com", false, 1080},
    {"/run/proxy.sock", true, "/run/proxy.sock", NULL, false, 0},
    {"proxy.example.com", false},
    {"proxy:0", false},
    {"10.0.0:25", false},
    {"10.0.0.300:25", false},
    {"::1:25", false},
    {"pro xy:25", false},
    {"a..b:25", false},
    {"run/proxy.sock", false},
    {"", false},
};

START_TEST(endpoints_are_addresses_names_or_paths)
{
	struct arena *arena = arena_new(0);
	struct endpoint e;
	struct err err = {0};
	bool ok = endpoint_parse(endpoints[_i].text, arena, &e, &err);

	ck_assert_msg(ok == endpoints[_i].ok, "%s", endpoints[_i].text);
	if (ok) {
		ck_assert_pstr_eq(e.path, endpoints[_i].path);
		ck_assert_pstr_eq(e.host, endpoints[_i].host);
		ck_assert((e.ip.family != 0) == endpoints[_i].is_ip);
		ck_assert_int_eq(e.port, endpoints[_i].port);
	} else {
		ck_assert_ptr_nonnull(strstr(err.text, "invalid endpoint"));
	}
	arena_unref(arena);
}
END_TEST

TCase *ip_tests(void)
{
	TCase *tc = tcase_create("ip");

	tcase_add_loop_test(
	    tc, addresses_have_one_spelling, 0, COUNT(addresses));
	tcase_add_test(tc, sockaddr_and_back);
	tcase_add_test(tc, special_addresses_are_known);
	tcase_add_loop_test(tc, a_port_belongs_to_it, 0, COUNT(ports));
	tcase_add_loop_test(
	    tc, endpoints_are_addresses_names_or_paths, 0, COUNT(endpoints));
	return tc;
}

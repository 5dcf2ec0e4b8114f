/*
 * local_addr_test.c - are we the MX?
 */
#include "net/local_addr.h"

#include "tests/unit/net/net_test.h"

static const struct {
	const char *address;
	bool ours;
} cases[] = {
    {"127.0.0.1", true},
    {"0.0.0.0", true},
    {"::", true},
    {"127.0.0.99", false},
    {"192.0.2.1", false},
    {"2001:db8::1", false},
};

START_TEST(knows_the_addresses_of_this_machine)
{
	struct local_addr *local = local_addr_new();
	struct ip_addr ip;

	ck_assert(ip_parse(cases[_i].address, &ip));
	ck_assert_msg(local_addr_has(local, &ip) == cases[_i].ours, "%s",
	    cases[_i].address);
	local_addr_free(local);
}
END_TEST

TCase *local_addr_tests(void)
{
	TCase *tc = tcase_create("local_addr");

	tcase_add_loop_test(tc, knows_the_addresses_of_this_machine, 0,
	    sizeof cases / sizeof cases[0]);
	return tc;
}

/* cidr_test.c - base/cidr.h */
#include "tests/unit/base/base_test.h"

#include "base/cidr.h"

static const struct {
	const char *text, *want; /* printed, or part of the error */
	bool ok;
} blocks[] = {
    {"10.0.0.0/8", "10.0.0.0/8", true},
    {"192.0.2.7", "192.0.2.7", true},
    {"192.0.2.7/32", "192.0.2.7", true},
    {"0.0.0.0/0", "0.0.0.0/0", true},
    {"::/0", "::/0", true},
    {"::1/128", "::1", true},
    {"2001:db8::/32", "2001:db8::/32", true},
    {"::ffff:10.0.0.0/104", "10.0.0.0/8", true},
    {"any", "any", true},
    {"10.0.0.1/24", "did you mean 10.0.0.0/24?", false},
    {"10.0.0.255/25", "did you mean 10.0.0.128/25?", false},
    {"2001:db8::1/32", "did you mean 2001:db8::/32?", false},
    {"10/8", "four decimal parts", false},
    {"10.0.0.0/255.0.0.0", "length is not a number", false},
    {"10.0.0.0/33", "too large", false},
    {"10.0.0.0/", "length is not a number", false},
    {"10.0.0.0/08", "length is not a number", false},
    {"10.0.0.0/-1", "length is not a number", false},
    {"::/129", "too large", false},
    {"::ffff:0.0.0.0/90", "IPv4-mapped", false},
    {"10.0.0.0-10.0.0.9", "four decimal parts", false},
    {"Any", "four decimal parts", false},
    {"", "four decimal parts", false},
};

START_TEST(blocks_are_strict)
{
	struct cidr cidr;
	struct err err = {0};
	char text[IP_TEXT + 4];
	bool ok = cidr_parse(blocks[_i].text, &cidr, &err);

	ck_assert_msg(ok == blocks[_i].ok, "%s: %s", blocks[_i].text, err.text);
	if (ok)
		ck_assert_str_eq(cidr_print(text, &cidr), blocks[_i].want);
	else
		ck_assert_msg(
		    strstr(err.text, blocks[_i].want) != NULL, "%s", err.text);
}
END_TEST

static const struct {
	const char *block, *ip;
	bool inside;
} matches[] = {
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"10.0.0.128/25", "10.0.0.127", false},
    {"10.0.0.128/25", "10.0.0.128", true},
    {"0.0.0.0/0", "192.0.2.1", true},
    {"0.0.0.0/0", "::1", false},
    {"::/0", "192.0.2.1", false},
    {"10.0.0.0/8", "::ffff:10.1.1.1", true},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"any", "::1", true},
    {"any", "10.0.0.1", true},
};

START_TEST(matching_keeps_to_the_family)
{
	struct cidr cidr;
	struct ip_addr ip;

	ck_assert(cidr_parse(matches[_i].block, &cidr, NULL));
	ck_assert(ip_parse(matches[_i].ip, &ip));
	ck_assert_msg(cidr_contains(&cidr, &ip) == matches[_i].inside,
	    "%s in %s", matches[_i].ip, matches[_i].block);
}
END_TEST

START_TEST(the_longest_prefix_wins)
{
	static const char *const texts[] = {
	    "any", "0.0.0.0/0", "10.1.0.0/16", "10.0.0.0/8", "::/0"};
	struct cidr items[COUNT(texts)];
	struct cidr_list list = {items, COUNT(items)}, empty = {NULL, 0};
	struct ip_addr ip;

	for (size_t i = 0; i < COUNT(texts); i++)
		ck_assert(cidr_parse(texts[i], &items[i], NULL));
	ck_assert(ip_parse("10.1.2.3", &ip));
	ck_assert_int_eq(cidr_longest(items, COUNT(items), &ip), 2);
	ck_assert(ip_parse("10.2.2.3", &ip));
	ck_assert_int_eq(cidr_longest(items, COUNT(items), &ip), 3);
	ck_assert(ip_parse("192.0.2.1", &ip));
	ck_assert_int_eq(cidr_longest(items, COUNT(items), &ip), 1);
	ck_assert_int_eq(cidr_longest(items, 1, &ip), 0);
	ck_assert_int_eq(cidr_longest(items + 2, 3, &ip), -1);
	ck_assert(cidr_list_contains(&list, &ip));
	ck_assert(!cidr_list_contains(&empty, &ip));
}
END_TEST

/* A relay rule must not open to whoever has no address. */
START_TEST(no_address_is_in_no_block)
{
	struct cidr any;
	struct ip_addr none = {0};

	ck_assert(cidr_parse("any", &any, NULL));
	ck_assert(!cidr_contains(&any, &none));
	ck_assert(!cidr_contains(&any, NULL));
}
END_TEST

TCase *cidr_tests(void)
{
	TCase *tc = tcase_create("cidr");

	tcase_add_loop_test(tc, blocks_are_strict, 0, COUNT(blocks));
	tcase_add_loop_test(
	    tc, matching_keeps_to_the_family, 0, COUNT(matches));
	tcase_add_test(tc, the_longest_prefix_wins);
	tcase_add_test(tc, no_address_is_in_no_block);
	return tc;
}

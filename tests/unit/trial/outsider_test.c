/*
 * outsider_test.c - strangers come from beside every block, in every form
 */
#include "trial/outsider.h"

#include "base/str.h"
#include "tests/unit/trial/trial_test.h"

static const struct {
	const char *block;
	bool own;
} widths[] = {
    {"10.0.0.0/8", true},
    {"10.1.0.0/16", true},
    {"0.0.0.0/0", false},
    {"128.0.0.0/1", false},
    {"198.0.0.0/8", false},
    {"198.51.0.0/16", true},
    {"198.51.100.7", true},
    {"8.0.0.0/6", false}, /* wider than the private block in it */
    {"172.16.0.0/12", true},
    {"fd00::/8", true},
    {"2001:db8::/32", true},
    {"2000::/3", false},
    {"any", false},
};

START_TEST(a_block_is_somebodys_own_when_it_is_narrow)
{
	struct cidr block;
	struct err err = {0};

	ck_assert(cidr_parse(widths[_i].block, &block, &err));
	ck_assert_msg(
	    block_is_own(&block) == widths[_i].own, "%s", widths[_i].block);
}
END_TEST

static struct harvest h;
static struct dice dice;
static struct outsiders o;

static void setup(void)
{
	static const struct named_domain domains[] = {
	    {"example.com", true, true, false},
	    {"routed.test", true, true, true},
	    {"other.test", false, false, false},
	};

	dice.state = 7;
	harvest_text(&h,
	    "'example.com' 'routed.test' 'other.test' '192.0.2.0/25' "
	    "'203.0.113.128/25' '255.255.255.0/24' '0.0.0.0/0' "
	    "'2001:db8:1::/64' '10.255.0.0/16'",
	    true);
	o.arena = h.arena;
	o.dice = &dice;
	outsiders_trust(&o, &h.blocks);
	outsiders_make(&o, &h, domains, COUNT(domains));
}

static void teardown(void)
{
	outsiders_release(&o);
	harvest_release(&h);
}

static bool has(const struct words *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++)
		if (str_eq(words->items[i], word))
			return true;
	return false;
}

START_TEST(addresses_stand_beside_every_block_and_in_none)
{
	static const char *const want[] = {"192.0.1.255", "192.0.2.128",
	    "203.0.113.127", "203.0.114.0", "255.255.254.255",
	    "2001:db8:0:ffff:ffff:ffff:ffff:ffff",
	    "2001:db8:1:1::", "10.254.255.255", "11.0.0.0",
	    "::ffff:192.0.2.128", ""};

	for (size_t i = 0; i < COUNT(want); i++)
		ck_assert_msg(has(&o.addresses, want[i]), "%s", want[i]);
	ck_assert(!has(&o.addresses, "203.0.113.200"));
	for (size_t i = 0; i < o.addresses.count; i++) {
		struct ip_addr ip;

		if (ip_parse(o.addresses.items[i], &ip))
			ck_assert_msg(outsiders_is_outside(&o, &ip), "%s",
			    o.addresses.items[i]);
	}
}
END_TEST

START_TEST(recipients_have_every_form)
{
	const char *x = o.outside.items[0];
	const struct {
		const char *before, *between, *behind;
	} want[] = {
	    {"user@", x, ""},
	    {"user@", x, "."},
	    {"\"us er\"@", x, ""},
	    {"<@relay.example,@[127.0.0.1]:user@", x, ">"},
	    {"user%", x, "@example.com"},
	    {"\"user@", x, "\"@example.com"},
	    {"", x, "!user@example.com"},
	    {"\"\\\"user\\\"@", x, "\"@example.com"},
	    {"<@example.com:user@", x, ">"},
	    {"\"user@", x, "\""},
	    {"user@example.com.", x, ""},
	    {"user@notexample.com", "", ""},
	    {"user@examplexcom", "", ""},
	    {"user@[203.0.113.5]", "", ""},
	    {"user", "", ""},
	};

	for (size_t i = 0; i < COUNT(want); i++) {
		const char *text = arena_printf(h.arena, "%s%s%s",
		    want[i].before, want[i].between, want[i].behind);

		ck_assert_msg(has(&o.recipients, text), "%s", text);
	}
	/* The policy has allowed them there. */
	ck_assert(!has(
	    &o.recipients, arena_printf(h.arena, "user%%%s@routed.test", x)));
}
END_TEST

START_TEST(senders_and_names_are_borrowed)
{
	ck_assert(has(&o.senders, ""));
	ck_assert(has(&o.senders, "ann@example.com"));
	ck_assert(has(&o.senders, "ann@other.test"));
	ck_assert(has(&o.helos, "example.com"));
	ck_assert(has(&o.helos, "mx.example.com"));
	ck_assert(has(&o.helos, "[192.0.2.0]"));
	ck_assert(has(&o.names, "localhost"));
	ck_assert(has(&o.names, "notexample.com"));
	/* Whoever has that name in both directions of the DNS is it. */
	ck_assert(!has(&o.names, "example.com"));
}
END_TEST

START_TEST(a_seed_is_a_seed)
{
	struct dice a = {1}, b = {1}, c = {2};
	uint64_t first = dice_roll(&a);

	ck_assert_uint_eq(first, dice_roll(&b));
	ck_assert_uint_ne(first, dice_roll(&c));
	ck_assert_uint_ne(first, dice_roll(&a));
	ck_assert_ptr_null(dice_pick(&a, &(struct words){0}));
}
END_TEST

TCase *outsider_tests(void)
{
	TCase *tc = tcase_create("outsider");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, a_block_is_somebodys_own_when_it_is_narrow, 0, COUNT(widths));
	tcase_add_test(tc, addresses_stand_beside_every_block_and_in_none);
	tcase_add_test(tc, recipients_have_every_form);
	tcase_add_test(tc, senders_and_names_are_borrowed);
	tcase_add_test(tc, a_seed_is_a_seed);
	return tc;
}

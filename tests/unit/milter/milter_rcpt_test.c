/* milter_rcpt_test.c - the text by which the MTA knows a recipient */
#include "milter_test.h"

#include "milter/milter_session.h"

static const struct {
	const char *text, *want;
} routes[] = {
    {"<b@ours.test>", "<b@ours.test>"},
    {"b@ours.test", "b@ours.test"},
    {"<@relay.test:b@ours.test>", "<b@ours.test>"},
    {"<@a.test,@b.test:b@ours.test>", "<b@ours.test>"},
    {"@relay.test:x@src.test", "x@src.test"},
    {"<@[IPv6:::1]:b@ours.test>", "<b@ours.test>"},
    {"<@[IPv6:::1],@[10.0.0.1]:b@[IPv6:::2]>", "<b@[IPv6:::2]>"},
    {"<\"@a:b\"@ours.test>", "<\"@a:b\"@ours.test>"},
    {"<\"a b\"@ours.test>", "<\"a b\"@ours.test>"},
    {"<@broken>", "<@broken>"},
    {"<>", "<>"},
    {"", ""},
};

START_TEST(a_source_route_is_dropped_and_nothing_else)
{
	struct arena *arena = arena_new(0);

	ck_assert_str_eq(
	    rcpt_without_route(arena, routes[_i].text), routes[_i].want);
	arena_unref(arena);
}
END_TEST

TCase *rcpt_cases(void)
{
	TCase *tc = tcase_create("rcpt");

	tcase_add_loop_test(tc, a_source_route_is_dropped_and_nothing_else, 0,
	    (int)(sizeof routes / sizeof routes[0]));
	return tc;
}

#include "router/shares.h"

#include "router/router.h"
#include "router_test.h"

#define ALL ROUTER_LEASED_MOST
#define MOST 10000 /* connections */

static const struct {
	const char *label;
	enum standing standing;
	size_t bad, unknown, leased; /* messages held; recipients in all */
	size_t want;
} messages[] = {
    {"who answers gets what its path says", STANDING_GOOD, 0, 0, 100, SIZE_MAX},
    {"whatever the dead hold", STANDING_GOOD, ALL / 2, 0, ALL / 2, SIZE_MAX},
    {"less when little is left", STANDING_GOOD, 0, 0, ALL / 4 * 3, 256},
    {"and still some at the end", STANDING_GOOD, 0, 0, ALL - 1, 32},
    {"a new one gets a few", STANDING_NEW, 0, 0, 0, 20},
    {"fewer when many are new", STANDING_NEW, 0, ALL / 8, ALL / 8, 4},
    {"one", STANDING_NEW, 0, ALL / 4, ALL / 4, 1},
    {"none beyond their half", STANDING_NEW, 0, ALL / 2, ALL / 2, 0},
    {"a few although the dead have all of theirs", STANDING_NEW, ALL / 2, 0,
	ALL / 2, 20},
    {"a dead one gets one", STANDING_BAD, 0, 0, 0, 1},
    {"none beyond their quarter", STANDING_BAD, ALL / 4, 0, ALL / 4, 0},
    {"one although many are new", STANDING_BAD, 0, ALL / 2, ALL / 2, 1},
};

START_TEST(each_standing_has_a_share_of_leased_mail)
{
	const struct shares s = {.messages = {[STANDING_BAD] = messages[_i].bad,
				     [STANDING_NEW] = messages[_i].unknown}};

	ck_assert_uint_eq(
	    shares_messages(&s, messages[_i].standing, messages[_i].leased),
	    messages[_i].want);
}
END_TEST

static const struct {
	const char *label;
	enum standing standing;
	size_t bad, unknown, open;
	bool want;
} connections[] = {
    {"who answers may have the last", STANDING_GOOD, 0, 0, MOST - 1, true},
    {"but not more", STANDING_GOOD, 0, 0, MOST, false},
    {"a new one has room beside the dead", STANDING_NEW, MOST / 2, 0, MOST / 2,
	true},
    {"new ones have their quarter", STANDING_NEW, 0, MOST / 4, MOST / 4, false},
    {"and leave an eighth alone", STANDING_NEW, 0, 0, MOST / 8 * 7, false},
    {"a dead one is called", STANDING_BAD, 0, 0, 0, true},
    {"dead ones have their quarter", STANDING_BAD, MOST / 4, 0, MOST / 4,
	false},
    {"and leave a quarter alone", STANDING_BAD, 0, 0, MOST / 4 * 3, false},
};

START_TEST(each_standing_has_a_share_of_connections)
{
	const struct shares s = {
	    .connections = {[STANDING_BAD] = connections[_i].bad,
		[STANDING_NEW] = connections[_i].unknown}};

	ck_assert_int_eq(shares_may_open(&s, connections[_i].standing,
			     connections[_i].open, MOST),
	    connections[_i].want);
}
END_TEST

START_TEST(with_few_descriptors_each_standing_has_one_connection)
{
	const struct shares s = {0};

	for (int i = 0; i < STANDING_COUNT; i++)
		ck_assert(shares_may_open(&s, (enum standing)i, 0, 2));
}
END_TEST

static const struct {
	const char *label;
	size_t messages, connections, count;
	int64_t patience;
} waits[] = {
    {"all may wait as long as they like", ALL / 2, MOST / 2, 0, 0},
    {"too many messages", ALL / 2 + 3, 0, 3, 10000},
    {"too many connections", 0, MOST / 2 + 5, 5, 10000},
    {"both: the more of the two", ALL / 2 + 3, MOST / 2 + 5, 5, 10000},
    {"far too many", ALL / 4 * 3 + 1, 0, ALL / 4 + 1, 3000},
};

START_TEST(the_dead_are_given_up_when_they_hold_more_than_half)
{
	const struct shares s = {
	    .messages = {[STANDING_BAD] = waits[_i].messages},
	    .connections = {[STANDING_BAD] = waits[_i].connections}};
	size_t count;

	ck_assert_int_eq(
	    shares_patience_ms(&s, MOST, &count), waits[_i].patience);
	ck_assert_uint_eq(count, waits[_i].count);
}
END_TEST

static const struct {
	int64_t failures, limit, want;
} rests[] = {
    {1, 100, 0},
    {2, 100, 0},
    {3, 100, 1000},
    {100, 100, 1000},
    {101, 100, 1000},
    {102, 100, 2000},
    {106, 100, 32000},
    {107, 100, 60000},
    {INT64_MAX, 100, 60000},
    {1, 0, 1000},
    {1, INT64_MAX - 1, 0},
};

START_TEST(a_site_rests_the_longer_the_more_often_it_failed)
{
	ck_assert_int_eq(shares_rest_ms(rests[_i].failures, rests[_i].limit),
	    rests[_i].want);
}
END_TEST

Suite *shares_suite(void)
{
	Suite *suite = suite_create("router/shares");
	TCase *tc = tcase_create("shares");

	tcase_add_loop_test(
	    tc, each_standing_has_a_share_of_leased_mail, 0, COUNT(messages));
	tcase_add_loop_test(tc, each_standing_has_a_share_of_connections, 0,
	    COUNT(connections));
	tcase_add_test(
	    tc, with_few_descriptors_each_standing_has_one_connection);
	tcase_add_loop_test(tc,
	    the_dead_are_given_up_when_they_hold_more_than_half, 0,
	    COUNT(waits));
	tcase_add_loop_test(tc,
	    a_site_rests_the_longer_the_more_often_it_failed, 0, COUNT(rests));
	suite_add_tcase(suite, tc);
	return suite;
}

/* free_space_test.c - floors of file systems */
#include "base/free_space.h"

#include "base_test.h"

static const struct {
	const char *label, *dir;
	struct free_floors floors;
	const char *want; /* NULL: enough */
} cases[] = {
    {"nothing is demanded", "/", {{0, 0}, {0, 0}}, NULL},
    {"nothing, of everything", "/", {{0, 100}, {0, 100}}, NULL},
    {"whatever is less: bytes", "/", {{1, 100}, {0, 0}}, NULL},
    {"whatever is less: a part", "/", {{INT64_MAX, 0.000001}, {0, 0}}, NULL},
    {"all of it", "/", {{INT64_MAX, 100}, {0, 0}}, " KiB are to be kept"},
    {"a number above all", "/", {{INT64_MAX - 1, 100}, {0, 0}}, "/: "},
    {"a directory that is not there", "/no/such/place",
	{{INT64_MAX, 100}, {INT64_MAX, 100}}, NULL},
    {"what is no directory at all", "/dev/null/x",
	{{INT64_MAX, 100}, {INT64_MAX, 100}}, "/dev/null/x: "},
};

START_TEST(what_is_left_is_held_against_the_floors)
{
	struct err err = {0};
	bool enough = free_space_enough(cases[_i].dir, &cases[_i].floors, &err);

	ck_assert_msg(
	    enough == !cases[_i].want, "%s: %s", cases[_i].label, err.text);
	if (!cases[_i].want)
		return;
	ck_assert_msg(strstr(err.text, cases[_i].want), "%s: %s",
	    cases[_i].label, err.text);
	ck_assert_int_eq(err.class, ERR_TEMP);
}
END_TEST

TCase *free_space_tests(void)
{
	TCase *t = tcase_create("free_space");

	tcase_add_loop_test(
	    t, what_is_left_is_held_against_the_floors, 0, COUNT(cases));
	return t;
}

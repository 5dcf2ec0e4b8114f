/* map_test.c - base/map.h */
#include "tests/unit/base/base_test.h"

#include "base/map.h"
#include "base/xalloc.h"

START_TEST(finds_what_was_put)
{
	struct map *map = map_new();
	char one[] = "1", two[] = "2", key[] = "a";

	ck_assert_ptr_null(map_get(map, "a"));
	ck_assert_ptr_null(map_remove(map, "a"));
	ck_assert_ptr_null(map_put(map, key, one));
	*key = 'x'; /* keys are copied */
	ck_assert_ptr_eq(map_put(map, "a", two), one);
	ck_assert_ptr_eq(map_get(map, "a"), two);
	ck_assert_uint_eq(map_count(map), 1);
	ck_assert_ptr_eq(map_remove(map, "a"), two);
	ck_assert_uint_eq(map_count(map), 0);
	map_free(map, NULL);
	map_free(NULL, free);
}
END_TEST

START_TEST(keeps_the_order_through_growth_and_holes)
{
	struct map *map = map_new();
	const char *key;
	char name[24];
	void *value;
	size_t pos = 0;
	int want = 1;

	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof name, "key-%d", i);
		ck_assert_ptr_null(map_put(map, name, xstrdup(name)));
		if (i % 2 == 0) {
			free(map_remove(map, name));
		}
	}
	ck_assert_uint_eq(map_count(map), 2500);
	while (map_each(map, &pos, &key, &value)) {
		(void)snprintf(name, sizeof name, "key-%d", want);
		ck_assert_str_eq(key, name);
		ck_assert_str_eq(value, name);
		want += 2;
	}
	ck_assert_int_eq(want, 5001);
	map_free(map, free);
}
END_TEST

START_TEST(what_was_just_returned_may_be_removed)
{
	struct map *map = map_new();
	const char *key;
	char name[24];
	size_t pos = 0, seen = 0;

	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		(void)map_put(map, name, map);
	}
	while (map_each(map, &pos, &key, NULL)) {
		(void)snprintf(name, sizeof name, "%s", key);
		ck_assert_ptr_eq(map_remove(map, name), map);
		seen++;
	}
	ck_assert_uint_eq(seen, 100);
	ck_assert_uint_eq(map_count(map), 0);
	map_free(map, NULL);
}
END_TEST

/* Marks of removed entries must not fill the table. */
START_TEST(coming_and_going_does_not_make_it_grow)
{
	struct map *map = map_new();
	char name[24];

	for (int i = 0; i < 200000; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		(void)map_put(map, name, map);
		(void)snprintf(name, sizeof name, "%d", i - 10);
		(void)map_remove(map, name);
	}
	ck_assert_uint_eq(map_count(map), 10);
	ck_assert_ptr_eq(map_get(map, "199999"), map);
	ck_assert_ptr_null(map_get(map, "199989"));
	map_free(map, NULL);
}
END_TEST

TCase *map_tests(void)
{
	TCase *tc = tcase_create("map");

	tcase_add_test(tc, finds_what_was_put);
	tcase_add_test(tc, keeps_the_order_through_growth_and_holes);
	tcase_add_test(tc, what_was_just_returned_may_be_removed);
	tcase_add_test(tc, coming_and_going_does_not_make_it_grow);
	return tc;
}

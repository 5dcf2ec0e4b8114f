#include "router/record_memory.h"

#include "base/arena.h"
#include "base/json.h"
#include "policy/egress_path.h"
#include "policy/queue_config.h"
#include "router_test.h"

static struct arena *arena;

static void setup(void)
{
	arena = arena_new(0);
}

static void teardown(void)
{
	arena_unref(arena);
}

static struct value value_of(const char *json)
{
	struct value v;
	struct err err = {0};

	ck_assert(json_parse(json, strlen(json), arena, &v, &err));
	return v;
}

static struct record_ref *find(
    struct record_memory *m, int64_t generation, const char *json)
{
	struct value v = value_of(json);

	return record_memory_find(m, generation, &egress_path_params, &v);
}

static void keep(struct record_memory *m, struct record_ref *ref, int times)
{
	struct value v = value_of("{\"a\":1,\"b\":[\"x\",{}]}");

	while (times-- > 0)
		record_memory_keep(m, 1, &egress_path_params, &v, ref);
}

START_TEST(what_came_twice_is_found_and_only_that)
{
	struct record_memory *m = record_memory_new();
	struct record_ref *ref = record_builtin(egress_path_defaults()), *got;
	struct value v = value_of("{\"a\":1,\"b\":[\"x\",{}]}");

	keep(m, ref, 1);
	ck_assert_ptr_null(find(m, 1, "{\"a\":1,\"b\":[\"x\",{}]}"));
	keep(m, ref, 1);
	got = find(m, 1, "{\"a\":1,\"b\":[\"x\",{}]}");
	ck_assert_ptr_eq(got, ref);
	record_unref(got);
	ck_assert_ptr_null(find(m, 1, "{\"a\":2,\"b\":[\"x\",{}]}"));
	ck_assert_ptr_null(find(m, 1, "{\"a\":1,\"b\":[\"y\",{}]}"));
	ck_assert_ptr_null(find(m, 2, "{\"a\":1,\"b\":[\"x\",{}]}"));
	ck_assert_ptr_null(record_memory_find(m, 1, &queue_config_params, &v));
	record_unref(ref);
	record_memory_free(m);
}
END_TEST

START_TEST(ten_thousand_others_leave_no_more_than_a_table)
{
	struct record_memory *m = record_memory_new();
	struct record_ref *ref = record_builtin(egress_path_defaults());

	for (int i = 0; i < 10000; i++) {
		struct value v = value_of(arena_printf(arena, "{\"a\":%d}", i));

		record_memory_keep(m, 1, &egress_path_params, &v, ref);
		ck_assert_ptr_null(
		    record_memory_find(m, 1, &egress_path_params, &v));
	}
	ck_assert_int_eq(ref->refs, 1);
	record_unref(ref);
	record_memory_free(m);
}
END_TEST

Suite *record_memory_suite(void)
{
	Suite *suite = suite_create("router/record_memory");
	TCase *tc = tcase_create("record_memory");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_came_twice_is_found_and_only_that);
	tcase_add_test(tc, ten_thousand_others_leave_no_more_than_a_table);
	suite_add_tcase(suite, tc);
	return suite;
}

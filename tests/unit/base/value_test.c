/* value_test.c - base/value.h */
#include "tests/unit/base/base_test.h"

#include <math.h>

#include "base/json.h"
#include "base/value.h"

static const struct {
	const char *a, *b;
	bool equal;
} pairs[] = {
    {"null", "null", true},
    {"1", "1.0", true},
    {"1", "true", false},
    {"1", "\"1\"", false},
    {"[]", "{}", true},
    {"[1]", "[1]", true},
    {"[1,2]", "[2,1]", false},
    {"{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", true},
    {"{\"a\":1}", "{\"b\":1}", false},
    {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
    {"\"x\"", "\"y\"", false},
};

START_TEST(equality_is_about_content)
{
	struct arena *arena = arena_new(0);
	struct value a, b;

	ck_assert(
	    json_parse(pairs[_i].a, strlen(pairs[_i].a), arena, &a, NULL));
	ck_assert(
	    json_parse(pairs[_i].b, strlen(pairs[_i].b), arena, &b, NULL));
	ck_assert(value_eq(&a, &b) == pairs[_i].equal);
	ck_assert(value_eq(&b, &a) == pairs[_i].equal);
	arena_unref(arena);
}
END_TEST

START_TEST(a_copy_does_not_need_the_original)
{
	static const char text[] = "{\"a\":[1,\"x\\u0000y\",null],\"b\":{}}";
	struct arena *first = arena_new(0), *second = arena_new(0);
	struct value v, copy;
	struct buf out = BUF_INIT;

	ck_assert(json_parse(text, strlen(text), first, &v, NULL));
	v.kind = arena_strdup(first, "make_thing");
	copy = value_copy(second, &v);
	arena_unref(first);
	json_write(&out, &copy);
	ck_assert_str_eq(buf_str(&out), text);
	ck_assert_str_eq(copy.kind, "make_thing");
	ck_assert_uint_eq(value_get(&copy, "a")->items[1].len, 3);
	ck_assert_ptr_null(value_get(&copy, "c"));
	ck_assert_ptr_null(value_get(value_get(&copy, "a"), "c"));
	ck_assert_str_eq(value_type_name(copy.type), "map");
	buf_release(&out);
	arena_unref(second);
}
END_TEST

static const struct {
	double n;
	bool fits;
	int64_t want;
} numbers[] = {
    {0, true, 0},
    {-0.0, true, 0},
    {550, true, 550},
    {450.5, false, 0},
    {-0x1p63, true, INT64_MIN},
    {0x1p63, false, 0},
    {0x1.fffffffffffffp62, true, INT64_MAX - 1023},
    {1e300, false, 0},
    {-1e300, false, 0},
    {INFINITY, false, 0},
    {-INFINITY, false, 0},
    {NAN, false, 0},
};

START_TEST(a_number_is_an_integer_when_it_is_one)
{
	struct value v = {.type = VALUE_NUMBER, .n = numbers[_i].n};
	int64_t got = 0;

	ck_assert(value_to_int(&v, &got) == numbers[_i].fits);
	ck_assert_int_eq(got, numbers[_i].want);
}
END_TEST

START_TEST(what_is_no_number_is_no_integer)
{
	struct value i = {.type = VALUE_INT, .i = INT64_MIN};
	struct value s = {.type = VALUE_STRING, .s = "1", .len = 1};
	int64_t got = 0;

	ck_assert(value_to_int(&i, &got) && got == INT64_MIN);
	ck_assert(!value_to_int(&s, &got));
}
END_TEST

TCase *value_tests(void)
{
	TCase *tc = tcase_create("value");

	tcase_add_loop_test(tc, equality_is_about_content, 0, COUNT(pairs));
	tcase_add_loop_test(
	    tc, a_number_is_an_integer_when_it_is_one, 0, COUNT(numbers));
	tcase_add_test(tc, what_is_no_number_is_no_integer);
	tcase_add_test(tc, a_copy_does_not_need_the_original);
	return tc;
}

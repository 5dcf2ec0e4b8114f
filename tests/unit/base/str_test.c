/* str_test.c - base/str.h */
#include "tests/unit/base/base_test.h"

#include "base/str.h"

static const struct {
	const char *text;
	bool ok;
	int64_t n;
} integers[] = {
    {"0", true, 0},
    {"-0", true, 0},
    {"007", true, 7},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"99999999999999999999", false, 0},
    {"", false, 0},
    {"-", false, 0},
    {"+1", false, 0},
    {"1 ", false, 0},
    {" 1", false, 0},
    {"0x1", false, 0},
};

START_TEST(an_integer_is_a_whole_one)
{
	int64_t n = -99;

	ck_assert_msg(str_to_int(integers[_i].text, &n) == integers[_i].ok,
	    "%s", integers[_i].text);
	if (integers[_i].ok)
		ck_assert_int_eq(n, integers[_i].n);
}
END_TEST

static const struct {
	const char *label, *text;
	size_t step;
} characters[] = {
    {"ASCII", "a", 1},
    {"two bytes", "\xc3\xa4", 2},
    {"three bytes", "\xe2\x82\xac", 3},
    {"four bytes", "\xf0\x9f\x98\x80", 4},
    {"the last one", "\xf4\x8f\xbf\xbf", 4},
    {"beyond the last", "\xf4\x90\x80\x80", 0},
    {"a surrogate", "\xed\xa0\x80", 0},
    {"an overlong slash", "\xc0\xaf", 0},
    {"an overlong euro", "\xf0\x82\x82\xac", 0},
    {"a lone follower", "\x80", 0},
    {"cut short", "\xe2\x82", 0},
    {"not followed", "\xe2\x82g", 0},
};

START_TEST(utf8_is_checked_strictly)
{
	const char *text = characters[_i].text;

	ck_assert_msg(str_utf8_step(text, strlen(text)) == characters[_i].step,
	    "%s", characters[_i].label);
	ck_assert(str_is_utf8(text, strlen(text)) == (characters[_i].step > 0));
}
END_TEST

static const struct {
	const char *a, *b;
	unsigned most, want;
} distances[] = {
    {"", "", 3, 0},
    {"kitten", "sitting", 3, 3},
    {"kitten", "sitting", 2, 3},
    {"max_age", "maxage", 2, 1},
    {"ab", "ba", 2, 2},
    {"a", "abcdef", 2, 3},
    {"abc", "xyz", 1, 2},
};

START_TEST(the_distance_is_cut_off)
{
	ck_assert_uint_eq(
	    str_distance(distances[_i].a, distances[_i].b, distances[_i].most),
	    distances[_i].want);
}
END_TEST

START_TEST(letter_case_is_ascii_only)
{
	char s[] = "AbC\xc3\x84";

	ck_assert(str_case_eq("Postmaster", "pOSTMASTER"));
	ck_assert(!str_case_eq("abc", "abcd"));
	ck_assert(!str_case_eq("\xc3\x84", "\xc3\xa4"));
	ck_assert(str_case_eq(NULL, NULL) && !str_case_eq("", NULL));
	ck_assert(str_eq(NULL, NULL) && !str_eq(NULL, ""));
	ck_assert(str_ncase_eq("X-a", "x-B", 2));
	ck_assert_str_eq(str_lower(s), "abc\xc3\x84");
	ck_assert(str_starts("abc", "ab") && !str_starts("a", "ab"));
	ck_assert(str_ends("abc", "bc") && !str_ends("c", "bc"));
	ck_assert(str_is_ascii("abc", 3) && !str_is_ascii("\x80", 1));
}
END_TEST

START_TEST(a_copy_always_ends)
{
	char out[4];

	ck_assert(str_copy(out, sizeof out, "abc"));
	ck_assert(!str_copy(out, sizeof out, "abcd"));
	ck_assert_str_eq(out, "abc");
}
END_TEST

TCase *str_tests(void)
{
	TCase *tc = tcase_create("str");

	tcase_add_loop_test(tc, an_integer_is_a_whole_one, 0, COUNT(integers));
	tcase_add_loop_test(tc, utf8_is_checked_strictly, 0, COUNT(characters));
	tcase_add_loop_test(tc, the_distance_is_cut_off, 0, COUNT(distances));
	tcase_add_test(tc, letter_case_is_ascii_only);
	tcase_add_test(tc, a_copy_always_ends);
	return tc;
}

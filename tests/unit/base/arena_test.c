/* arena_test.c - base/arena.h, base/xalloc.h */
#include "tests/unit/base/base_test.h"

#include <stdint.h>

#include "base/arena.h"
#include "base/xalloc.h"

/* One check for all of them: Check writes a line for each. */
static bool all_are(const unsigned char *p, size_t size, unsigned char byte)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != byte)
			return false;
	return true;
}

START_TEST(memory_is_zeroed_aligned_and_apart)
{
	static const size_t sizes[] = {
	    0, 1, 15, 16, 17, 600, 1024, 5000, 70000};
	struct arena *arena = arena_new(0);
	unsigned char *p[COUNT(sizes) * 20];
	size_t used = 0;

	for (size_t i = 0; i < COUNT(p); i++) {
		size_t size = sizes[i % COUNT(sizes)];

		p[i] = arena_alloc(arena, size);
		ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
		ck_assert(all_are(p[i], size, 0));
		memset(p[i], (int)(i + 1) & 0xff, size);
		used += size;
	}
	for (size_t i = 0; i < COUNT(p); i++)
		ck_assert(all_are(
		    p[i], sizes[i % COUNT(sizes)], (unsigned char)(i + 1)));
	ck_assert_uint_eq(arena_used(arena), used);
	arena_unref(arena);
}
END_TEST

START_TEST(text_is_copied_and_printed)
{
	struct arena *arena = arena_new(1);
	char *s;

	ck_assert_str_eq(arena_strdup(arena, "abc"), "abc");
	ck_assert_ptr_null(arena_strdup(arena, NULL));
	ck_assert_str_eq(arena_strndup(arena, "abc", 2), "ab");
	ck_assert_str_eq(arena_printf(arena, "%s-%d", "x", 7), "x-7");
	s = arena_printf(arena, "%1000d", 7);
	ck_assert_uint_eq(strlen(s), 1000);
	arena_unref(arena);
	arena_unref(NULL);
}
END_TEST

START_TEST(lives_until_the_last_reference_goes)
{
	struct arena *arena = arena_new(0);
	char *s = arena_strdup(arena, "still here");

	ck_assert_ptr_eq(arena_ref(arena), arena);
	arena_unref(arena);
	ck_assert_str_eq(s, "still here");
	arena_unref(arena);
}
END_TEST

START_TEST(copies_end_where_they_should)
{
	char *s = xstrndup("abc", 10), *t = xstrndup("abc", 2);
	char *u = xasprintf("%d%%", 5);

	ck_assert_str_eq(s, "abc");
	ck_assert_str_eq(t, "ab");
	ck_assert_str_eq(u, "5%");
	free(s);
	free(t);
	free(u);
}
END_TEST

TCase *arena_tests(void)
{
	TCase *tc = tcase_create("arena");

	tcase_add_test(tc, memory_is_zeroed_aligned_and_apart);
	tcase_add_test(tc, text_is_copied_and_printed);
	tcase_add_test(tc, lives_until_the_last_reference_goes);
	tcase_add_test(tc, copies_end_where_they_should);
	return tc;
}

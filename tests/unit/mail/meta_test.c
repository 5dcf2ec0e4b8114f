/* meta_test.c - mail/meta.h */
#include "tests/unit/mail/mail_test.h"

#include "mail/meta.h"

START_TEST(null_is_stored_and_not_a_string)
{
	struct meta *meta = meta_new();
	struct value nil = {.type = VALUE_NIL};

	ck_assert_ptr_null(meta_get(meta, "a"));
	meta_set(meta, "a", &nil);
	ck_assert_ptr_nonnull(meta_get(meta, "a"));
	ck_assert_int_eq(meta_get(meta, "a")->type, VALUE_NIL);
	ck_assert_ptr_null(meta_get_string(meta, "a"));
	meta_set_string(meta, "a", "x");
	ck_assert_str_eq(meta_get_string(meta, "a"), "x");
	meta_unset(meta, "a");
	ck_assert_ptr_null(meta_get(meta, "a"));
	meta_unset(meta, "a");
	meta_free(meta);
	meta_free(NULL);
}
END_TEST

START_TEST(json_goes_round)
{
	static const char text[] =
	    "{\"t\":\"x\",\"n\":null,\"l\":[1,{\"a\":true}],\"d\":1.5}";
	struct err err = {0};
	struct meta *meta = meta_parse_json(text, strlen(text), &err), *copy;
	struct buf out = BUF_INIT;

	ck_assert_msg(meta != NULL, "%s", err.text);
	copy = meta_copy(meta);
	meta_free(meta);
	meta_write_json(copy, &out);
	ck_assert_str_eq(buf_str(&out), text);
	meta_free(copy);
	buf_release(&out);
}
END_TEST

START_TEST(the_same_names_and_values_are_the_same)
{
	struct meta *a = meta_new(), *b;

	meta_set_string(a, "x", "1");
	b = meta_copy(a);
	ck_assert(meta_same(a, b));
	meta_set(b, "x", &(struct value){.type = VALUE_INT, .i = 1});
	ck_assert(!meta_same(a, b));
	meta_set_string(b, "x", "1");
	ck_assert(meta_same(a, b));
	meta_set_string(b, "y", "");
	ck_assert(!meta_same(a, b));
	meta_free(a);
	meta_free(b);
}
END_TEST

START_TEST(only_an_object_is_metadata)
{
	struct err err = {0};

	ck_assert_ptr_null(meta_parse_json("[]", 2, &err));
	ck_assert_ptr_null(meta_parse_json("{", 1, &err));
	ck_assert_int_eq(err.class, ERR_PERM);
}
END_TEST

TCase *meta_tests(void)
{
	TCase *tc = tcase_create("meta");

	tcase_add_test(tc, null_is_stored_and_not_a_string);
	tcase_add_test(tc, json_goes_round);
	tcase_add_test(tc, the_same_names_and_values_are_the_same);
	tcase_add_test(tc, only_an_object_is_metadata);
	return tc;
}

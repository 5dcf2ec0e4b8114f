/* base64_test.c - base/base64.h */
#include "tests/unit/base/base_test.h"

#include "base/base64.h"

/* RFC 4648, 10 */
static const struct {
	const char *plain, *encoded;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

START_TEST(encodes_and_decodes)
{
	struct buf out = BUF_INIT;

	buf_addstr(&out, ">");
	base64_encode(&out, vectors[_i].plain, strlen(vectors[_i].plain));
	ck_assert_str_eq(buf_str(&out) + 1, vectors[_i].encoded);
	buf_reset(&out);
	ck_assert(base64_decode(
	    &out, vectors[_i].encoded, strlen(vectors[_i].encoded)));
	ck_assert_str_eq(buf_str(&out), vectors[_i].plain);
	buf_release(&out);
}
END_TEST

static const char *const broken[] = {"Z", "Zg", "Zg=", "Zg===", "Zg==Zg==", "=",
    "Zm9v=", "Zm9v====", "Z-8=", "Zm8=x"};

START_TEST(refuses_what_is_left_over)
{
	struct buf out = BUF_INIT;

	ck_assert_msg(!base64_decode(&out, broken[_i], strlen(broken[_i])),
	    "%s", broken[_i]);
	buf_release(&out);
}
END_TEST

START_TEST(all_bytes_and_folds_survive)
{
	struct buf text = BUF_INIT, out = BUF_INIT;
	unsigned char all[256];

	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (unsigned char)i;
	base64_encode(&text, all, sizeof all);
	ck_assert(base64_decode(&out, text.data, 76));
	ck_assert(base64_decode(&out, "\r\n\t ", 4));
	ck_assert(base64_decode(&out, text.data + 76, text.len - 76));
	ck_assert_uint_eq(out.len, sizeof all);
	ck_assert_mem_eq(out.data, all, sizeof all);
	buf_release(&text);
	buf_release(&out);
}
END_TEST

TCase *base64_tests(void)
{
	TCase *tc = tcase_create("base64");

	tcase_add_loop_test(
	    tc, encodes_and_decodes, 0, sizeof vectors / sizeof vectors[0]);
	tcase_add_loop_test(
	    tc, refuses_what_is_left_over, 0, sizeof broken / sizeof broken[0]);
	tcase_add_test(tc, all_bytes_and_folds_survive);
	return tc;
}

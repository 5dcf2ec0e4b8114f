/* content_test.c - mail/content.h */
#include "tests/unit/mail/mail_test.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xalloc.h"
#include "mail/content.h"

#define HEAD "Subject: x\r\n\r\n"

static const struct {
	const char *label, *text;
	size_t len;                 /* 0: strlen */
	struct content_facts facts; /* without size */
} cases[] = {
    {"an ordinary message", "Subject: x\r\nTo: y\r\n\r\nbody\r\n", 0,
	{.header_size = 21, .longest_line = 10}},
    {"no body", "Subject: x\r\n", 0, {.header_size = 12, .longest_line = 10}},
    {"nothing", "", 0, {.header_size = 0}},
    {"no header", "\r\nbody\r\n", 0, {.header_size = 2, .longest_line = 4}},
    {"no line end at all", "Subject: x", 0,
	{.header_size = 10, .longest_line = 10}},
    {"8 bit in the body", HEAD "\xc3\xa4\r\n", 0,
	{.header_size = 14, .longest_line = 10, .has_8bit = true}},
    {"8 bit in the header", "Subject: \xc3\xa4\r\n\r\nx\r\n", 0,
	{.header_size = 15,
	    .longest_line = 11,
	    .has_8bit = true,
	    .header_has_8bit = true}},
    {"a bare LF", HEAD "a\nb\r\n", 0,
	{.header_size = 14, .longest_line = 10, .has_bare_cr_or_lf = true}},
    {"a bare CR", HEAD "a\rb\r\n", 0,
	{.header_size = 14, .longest_line = 10, .has_bare_cr_or_lf = true}},
    {"CR CR LF", HEAD "a\r\r\n", 0,
	{.header_size = 14, .longest_line = 10, .has_bare_cr_or_lf = true}},
    {"a CR at the end", HEAD "a\r", 0,
	{.header_size = 14, .longest_line = 10, .has_bare_cr_or_lf = true}},
    {"LF only", "A: b\n\nc\n", 0,
	{.header_size = 6, .longest_line = 4, .has_bare_cr_or_lf = true}},
    {"a NUL", HEAD "a\0b\r\n", sizeof HEAD - 1 + 5,
	{.header_size = 14, .longest_line = 10, .has_nul = true}},
    {"received twice",
	"Received: a\r\n b\r\nRECEIVED: c\r\nReceived-SPF: d\r\n\r\n"
	"Received: e\r\n",
	0, {.header_size = 49, .longest_line = 15, .received_headers = 2}},
    {"a long last line", HEAD "0123456789abcdef", 0,
	{.header_size = 14, .longest_line = 16}},
};

static void check_facts(
    const char *label, const struct content *c, struct content_facts want)
{
	const struct content_facts *got = content_facts(c);

	ck_assert_msg(got->size == want.size &&
			  got->header_size == want.header_size &&
			  got->has_8bit == want.has_8bit &&
			  got->header_has_8bit == want.header_has_8bit &&
			  got->has_bare_cr_or_lf == want.has_bare_cr_or_lf &&
			  got->has_nul == want.has_nul &&
			  got->longest_line == want.longest_line &&
			  got->received_headers == want.received_headers,
	    "%s: size %lld header %lld longest %lld received %d 8bit %d/%d "
	    "bare %d nul %d",
	    label, (long long)got->size, (long long)got->header_size,
	    (long long)got->longest_line, got->received_headers, got->has_8bit,
	    got->header_has_8bit, got->has_bare_cr_or_lf, got->has_nul);
}

/* Every size of chunk, in memory and spilt: the facts and bytes are the same.
 */
START_TEST(facts_do_not_depend_on_chunks)
{
	size_t len = cases[_i].len ? cases[_i].len : strlen(cases[_i].text);
	struct content_facts want = cases[_i].facts;
	struct err err = {0};
	char back[256];

	want.size = (int64_t)len;
	for (size_t chunk = 1; chunk <= len + 1; chunk++) {
		for (int64_t spill_at = 0; spill_at < 40; spill_at += 13) {
			struct content_builder *b = content_builder_new(
			    "/tmp", spill_at ? spill_at : 1000);
			struct content *c;

			for (size_t i = 0; i < len; i += chunk)
				ck_assert(content_builder_add(b,
				    cases[_i].text + i,
				    len - i < chunk ? len - i : chunk, &err));
			ck_assert_int_eq(content_builder_size(b), (int64_t)len);
			c = content_builder_finish(b, &err);
			ck_assert_msg(c != NULL, "%s", err.text);
			check_facts(cases[_i].label, c, want);
			ck_assert(content_read(c, 0, back, len, &err));
			ck_assert_mem_eq(back, cases[_i].text, len);
			content_unref(c);
		}
	}
}
END_TEST

START_TEST(bytes_make_content_too)
{
	size_t len = cases[_i].len ? cases[_i].len : strlen(cases[_i].text);
	struct content_facts want = cases[_i].facts;
	struct content *c = content_from_bytes(cases[_i].text, len);

	want.size = (int64_t)len;
	check_facts(cases[_i].label, c, want);
	ck_assert_mem_eq(content_bytes(c), cases[_i].text, len);
	ck_assert_ptr_eq(content_ref(c), c);
	content_unref(c);
	content_unref(c);
	content_unref(NULL);
}
END_TEST

static long resident_pages(void)
{
	long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	ck_assert_int_eq(fscanf(f, "%ld %ld", &size, &resident), 2);
	(void)fclose(f);
	return resident;
}

START_TEST(a_large_message_does_not_fill_memory)
{
	enum { CHUNK = 65535, CHUNKS = 640 }; /* as libmilter gives it */
	struct content_builder *b = content_builder_new("/tmp", 1 << 20);
	char *chunk = xmalloc(CHUNK), back[100], want[100];
	long before = resident_pages(), page = sysconf(_SC_PAGESIZE);
	struct err err = {0};
	struct content *c;

	for (int i = 0; i < CHUNK; i++)
		chunk[i] = (char)(i % 78 == 76   ? '\r'
				  : i % 78 == 77 ? '\n'
						 : 'a' + i % 13);
	for (int i = 0; i < CHUNKS; i++)
		ck_assert_msg(
		    content_builder_add(b, chunk, CHUNK, &err), "%s", err.text);
	c = content_builder_finish(b, &err);
	ck_assert_ptr_null(content_bytes(c));
	ck_assert_int_eq(content_facts(c)->size, (int64_t)CHUNK * CHUNKS);
#ifndef ENABLE_SANITIZER
	ck_assert_int_lt((resident_pages() - before) * page, 8 << 20);
#else
	(void)before;
	(void)page;
#endif
	for (int64_t at = 0; at < (int64_t)CHUNK * (CHUNKS - 1); at += 999983) {
		ck_assert(content_read(c, at, back, sizeof back, &err));
		for (size_t i = 0; i < sizeof want; i++)
			want[i] = chunk[(size_t)(at + (int64_t)i) % CHUNK];
		ck_assert_mem_eq(back, want, sizeof want);
	}
	content_unref(c);
	free(chunk);
}
END_TEST

START_TEST(a_disk_that_refuses_is_temporary)
{
	struct content_builder *b = content_builder_new("/nonexistent", 10);
	struct err err = {0};

	ck_assert(content_builder_add(b, "12345", 5, &err));
	ck_assert(!content_builder_add(b, "67890", 5, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	content_builder_free(b);
	content_builder_free(NULL);
}
END_TEST

START_TEST(a_full_disk_is_temporary)
{
	struct content_builder *b = content_builder_new("/tmp", 0);
	struct rlimit before, small;
	char block[200] = {0};
	struct err err = {0};
	struct content *c;
	bool added;

	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 100;
	/* Check writes files too: no assertions meanwhile. */
	(void)setrlimit(RLIMIT_FSIZE, &small);
	added = content_builder_add(b, block, sizeof block, &err);
	c = content_builder_finish(b, &err);
	(void)setrlimit(RLIMIT_FSIZE, &before);
	ck_assert(added);
	ck_assert_ptr_null(c);
	ck_assert_int_eq(err.class, ERR_TEMP);
}
END_TEST

TCase *content_tests(void)
{
	TCase *tc = tcase_create("content");

	tcase_add_loop_test(tc, facts_do_not_depend_on_chunks, 0, COUNT(cases));
	tcase_add_loop_test(tc, bytes_make_content_too, 0, COUNT(cases));
	tcase_add_test(tc, a_large_message_does_not_fill_memory);
	tcase_add_test(tc, a_disk_that_refuses_is_temporary);
	tcase_add_test(tc, a_full_disk_is_temporary);
	return tc;
}

/* fd_test.c - base/fd.h */
#include "tests/unit/base/base_test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

START_TEST(directories_are_made_with_their_parents)
{
	struct stat st;
	struct err err = {0};
	char path[128], file[160];

	(void)snprintf(path, sizeof path, "%s/a/b//c", scratch_dir());
	ck_assert_msg(fd_make_dirs(path, 0700, &err), "%s", err.text);
	ck_assert_msg(fd_make_dirs(path, 0700, &err), "%s", err.text);
	ck_assert(stat(path, &st) == 0 && S_ISDIR(st.st_mode));
	ck_assert(fd_sync_dir(path, &err));
	ck_assert(path_join(file, sizeof file, path, "x", &err));
	ck_assert_int_eq(close(creat(file, 0600)), 0);
	ck_assert(!fd_make_dirs(file, 0700, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "create directory"));
	ck_assert(!fd_sync_dir("/nonexistent/x", &err));
}
END_TEST

START_TEST(a_file_is_read_whole_or_not_at_all)
{
	struct err err = {0};
	size_t len = 0;
	char *text;

	text = fd_read_file("/proc/self/status", 1 << 20, &len, &err);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(strlen(text), len);
	free(text);
	ck_assert_ptr_null(fd_read_file("/proc/self/status", 10, &len, &err));
	ck_assert_int_eq(err.class, ERR_PERM);
	ck_assert_ptr_null(fd_read_file("/nonexistent", 10, &len, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
}
END_TEST

START_TEST(an_unlinked_file_leaves_nothing_behind)
{
	const char *dir = scratch_dir();
	struct err err = {0};
	char back[4] = "";
	int fd = fd_unlinked(dir, &err);

	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert(fd_write_all(fd, "abc", 3, "it", &err));
	ck_assert_int_eq(pread(fd, back, 3, 0), 3);
	ck_assert_str_eq(back, "abc");
	ck_assert_int_eq(rmdir(dir), 0); /* it is empty */
	(void)close(fd);
	ck_assert_int_lt(fd_unlinked("/nonexistent", &err), 0);
	ck_assert(!fd_write_all(-1, "abc", 3, "it", &err));
	ck_assert_str_eq(err.text, "write it: Bad file descriptor");
}
END_TEST

static const struct {
	const char *path, *dir;
} dirs[] = {
    {"a", "."}, {"/a", "/"}, {"a/b", "a"}, {"/a/b/c", "/a/b"}, {"/", "/"}};

START_TEST(every_path_has_a_directory)
{
	char out[16];

	ck_assert(path_dir(out, sizeof out, dirs[_i].path, NULL));
	ck_assert_str_eq(out, dirs[_i].dir);
}
END_TEST

START_TEST(paths_are_joined_or_too_long)
{
	struct err err = {0};
	char out[8];

	ck_assert(path_join(out, sizeof out, "abc", "def", &err));
	ck_assert_str_eq(out, "abc/def");
	ck_assert(path_join(out, sizeof out, "ab/", "def", &err));
	ck_assert_str_eq(out, "ab/def");
	ck_assert(!path_join(out, sizeof out, "abcd", "def", &err));
	ck_assert_int_eq(err.class, ERR_PERM);
	ck_assert(!path_dir(out, sizeof out, "/a/b/c/d/e", &err));
}
END_TEST

START_TEST(random_numbers_keep_their_bounds)
{
	char one[65], two[65];
	bool seen[3] = {false};

	random_hex(one, 32);
	random_hex(two, 32);
	ck_assert_uint_eq(strlen(one), 64);
	ck_assert_uint_eq(strspn(one, "0123456789abcdef"), 64);
	ck_assert_str_ne(one, two);
	for (int i = 0; i < 300; i++)
		seen[random_between(-1, 1) + 1] = true;
	ck_assert(seen[0] && seen[1] && seen[2]);
	ck_assert_int_eq(random_between(5, 5), 5);
	(void)random_between(INT64_MIN, INT64_MAX);
}
END_TEST

TCase *fd_tests(void)
{
	TCase *tc = tcase_create("fd");

	tcase_add_test(tc, directories_are_made_with_their_parents);
	tcase_add_test(tc, a_file_is_read_whole_or_not_at_all);
	tcase_add_test(tc, an_unlinked_file_leaves_nothing_behind);
	tcase_add_loop_test(tc, every_path_has_a_directory, 0, COUNT(dirs));
	tcase_add_test(tc, paths_are_joined_or_too_long);
	tcase_add_test(tc, random_numbers_keep_their_bounds);
	return tc;
}

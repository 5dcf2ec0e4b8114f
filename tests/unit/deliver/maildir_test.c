/*
 * maildir_test.c - messages into directories
 */
#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "deliver/deliver.h"
#include "tests/unit/deliver/deliver_test.h"

static char scratch[64], root[96];
static struct buf stored;
static struct err err;

static const char *const pieces[] = {"X-A: 1\r\n", "\r\nbody\r\n"};
static const size_t lengths[] = {8, 8};

static void setup(void)
{
	(void)snprintf(scratch, sizeof scratch, "/tmp/penstock-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
	(void)snprintf(root, sizeof root, "%s/d.example/u", scratch);
}

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void teardown(void)
{
	buf_release(&stored);
	(void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct maildir_job job_for(int dir_mode, int file_mode)
{
	return (struct maildir_job){.root = root,
	    .dir_mode = dir_mode,
	    .file_mode = file_mode,
	    .pieces = pieces,
	    .lengths = lengths,
	    .piece_count = COUNT(pieces)};
}

static int mode_of(const char *path)
{
	struct stat st;

	ck_assert_msg(stat(path, &st) == 0, "%s", path);
	return (int)(st.st_mode & 07777);
}

static int files_in(const char *sub)
{
	char path[128];
	struct dirent *entry;
	int n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof path, "%s/%s", root, sub);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	(void)closedir(dir);
	return n;
}

START_TEST(c147_a_message_is_one_file_in_new)
{
	struct maildir_job job = job_for(-1, -1);
	size_t len;
	char *data;

	ck_assert_msg(maildir_deliver(&job, &stored, &err), "%s", err.text);
	ck_assert_int_eq(files_in("new"), 1);
	ck_assert_int_eq(files_in("tmp"), 0);
	ck_assert_int_eq(files_in("cur"), 0);
	data = fd_read_file(buf_str(&stored), 100, &len, &err);
	ck_assert_ptr_nonnull(data);
	ck_assert_str_eq(data, "X-A: 1\r\n\r\nbody\r\n");
	ck_assert_ptr_nonnull(strstr(buf_str(&stored), ",S=16"));
	free(data);
}
END_TEST

START_TEST(c148_modes_are_exact_under_any_umask)
{
	struct maildir_job job = job_for(0750, 0640);
	char path[128];

	(void)umask(077);
	ck_assert_msg(maildir_deliver(&job, &stored, &err), "%s", err.text);
	ck_assert_int_eq(mode_of(buf_str(&stored)), 0640);
	(void)snprintf(path, sizeof path, "%s/new", root);
	ck_assert_int_eq(mode_of(path), 0750);
	ck_assert_int_eq(mode_of(root), 0750);
	(void)snprintf(path, sizeof path, "%s/d.example", scratch);
	ck_assert_int_eq(mode_of(path), 0750);
}
END_TEST

START_TEST(directories_that_exist_keep_their_mode)
{
	struct maildir_job job = job_for(0700, -1);
	char path[128];

	(void)snprintf(path, sizeof path, "%s/d.example", scratch);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(path, 0711), 0);
	ck_assert(maildir_deliver(&job, &stored, &err));
	ck_assert_int_eq(mode_of(path), 0711);
}
END_TEST

START_TEST(names_differ)
{
	struct maildir_job job = job_for(-1, -1);

	for (int i = 0; i < 50; i++) {
		buf_reset(&stored);
		ck_assert(maildir_deliver(&job, &stored, &err));
	}
	ck_assert_int_eq(files_in("new"), 50);
}
END_TEST

static int64_t read_some(void *ctx, void *out, size_t size)
{
	int64_t *left = ctx, n;

	if (*left < 0)
		return -1;
	n = *left < (int64_t)size ? *left : (int64_t)size;
	memset(out, 'x', (size_t)n);
	*left -= n;
	return n;
}

START_TEST(content_may_be_read_in_pieces)
{
	struct maildir_job job = job_for(-1, -1);
	int64_t left = 200000;

	job.read = read_some;
	job.ctx = &left;
	ck_assert(maildir_deliver(&job, &stored, &err));
	ck_assert_ptr_nonnull(strstr(buf_str(&stored), ",S=200016"));
}
END_TEST

/* Written in these pieces, is that what the file has? */
static void check_lf(
    const char *const *in, const size_t *len, size_t count, const char *want)
{
	struct maildir_job job = job_for(-1, -1);
	char size_text[32];
	size_t size;
	char *data;

	job.pieces = in;
	job.lengths = len;
	job.piece_count = count;
	job.lf = true;
	buf_reset(&stored);
	ck_assert_msg(maildir_deliver(&job, &stored, &err), "%s", err.text);
	data = fd_read_file(buf_str(&stored), 400000, &size, &err);
	ck_assert_ptr_nonnull(data);
	ck_assert_uint_eq(size, strlen(want));
	ck_assert_mem_eq(data, want, size);
	(void)snprintf(size_text, sizeof size_text, ",S=%zu", strlen(want));
	ck_assert_ptr_nonnull(strstr(buf_str(&stored), size_text));
	free(data);
}

/* Also where a line's end lies across two pieces, and at the end of all. */
START_TEST(lines_end_in_lf_on_request_and_what_stands_alone_stays)
{
	static const char *const split[] = {
	    "a: 1\r\nb\r", "\n", "\r\r\nc\rd\ne\r", "", "f\r\n\r"};
	size_t len[5];

	for (size_t i = 0; i < COUNT(split); i++)
		len[i] = strlen(split[i]);
	check_lf(split, len, COUNT(split), "a: 1\nb\n\r\nc\rd\ne\rf\n\r");
}
END_TEST

/* The buffers' sizes make no difference, wherever they end. */
START_TEST(lf_in_large_content)
{
	enum { MANY = 200000 };
	char *in = malloc(MANY + 1), *want = malloc(MANY + 1);
	const char *const piece = in;
	size_t n = 0, len = MANY;

	ck_assert(in && want);
	for (size_t i = 0; i < MANY; i++)
		in[i] = "x\r\ny\r\r\nzz"[(i + (size_t)_i) % 9];
	in[MANY] = '\0';
	for (size_t i = 0; i < MANY; i++)
		if (in[i] != '\r' || in[i + 1] != '\n')
			want[n++] = in[i];
	want[n] = '\0';
	check_lf(&piece, &len, 1, want);
	free(in);
	free(want);
}
END_TEST

START_TEST(content_that_cannot_be_read_leaves_nothing)
{
	struct maildir_job job = job_for(-1, -1);
	int64_t left = -1;

	job.read = read_some;
	job.ctx = &left;
	ck_assert(!maildir_deliver(&job, &stored, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert_int_eq(files_in("new"), 0);
	ck_assert_int_eq(files_in("tmp"), 0);
	ck_assert_uint_eq(stored.len, 0);
}
END_TEST

/* As a full disk or a quota would have it, in the middle of the file. */
START_TEST(c149_a_write_that_is_refused_leaves_nothing)
{
	struct maildir_job job = job_for(-1, -1);
	const struct rlimit small = {4096, RLIM_INFINITY};
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	int64_t left = 200000;
	bool ok;

	job.read = read_some;
	job.ctx = &left;
	job.lf = _i;
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ok = maildir_deliver(&job, &stored, &err);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert(!ok);
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert_ptr_nonnull(strstr(err.text, "write "));
	ck_assert_int_eq(files_in("new"), 0);
	ck_assert_int_eq(files_in("tmp"), 0);
	ck_assert_uint_eq(stored.len, 0);
}
END_TEST

START_TEST(c149_what_is_in_the_way_is_temporary)
{
	struct maildir_job job = job_for(-1, -1);
	char path[128];
	FILE *file;

	if (_i == 0)
		(void)snprintf(path, sizeof path, "%s/d.example", scratch);
	else
		(void)snprintf(
		    path, sizeof path, "%s/d.example/u/cur", scratch);
	if (_i == 1) {
		ck_assert(fd_make_dirs(root, 0755, &err));
	}
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fclose(file);
	ck_assert(!maildir_deliver(&job, &stored, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert_ptr_nonnull(strstr(err.text, path));
}
END_TEST

TCase *maildir_tests(void)
{
	TCase *tc = tcase_create("maildir");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, c147_a_message_is_one_file_in_new);
	tcase_add_test(tc, c148_modes_are_exact_under_any_umask);
	tcase_add_test(tc, directories_that_exist_keep_their_mode);
	tcase_add_test(tc, names_differ);
	tcase_add_test(tc, content_may_be_read_in_pieces);
	tcase_add_test(
	    tc, lines_end_in_lf_on_request_and_what_stands_alone_stays);
	tcase_add_loop_test(tc, lf_in_large_content, 0, 9);
	tcase_add_test(tc, content_that_cannot_be_read_leaves_nothing);
	tcase_add_loop_test(
	    tc, c149_a_write_that_is_refused_leaves_nothing, 0, 2);
	tcase_add_loop_test(tc, c149_what_is_in_the_way_is_temporary, 0, 2);
	return tc;
}

/* logs_test.c - the tests of logs/ */
#include "logs_test.h"

#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/xalloc.h"

char test_dir[PATH_MAX];

void make_test_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(test_dir, sizeof test_dir, "%s/penstock-logs.XXXXXX",
	    tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(test_dir));
}

static int remove_one(
    const char *path, const struct stat *st, int kind, struct FTW *where)
{
	return remove(path);
}

void remove_test_dir(void)
{
	(void)nftw(test_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool keep_line(const char *line, size_t len, void *ctx)
{
	struct lines *lines = ctx;

	*ARRAY_ADD(lines) = xstrndup(line, len);
	return true;
}

struct lines read_lines_of(const char *dir)
{
	struct lines lines = {0};
	struct err err = {0};

	if (access(dir, F_OK) == 0)
		ck_assert_msg(
		    log_read_dir(dir, keep_line, &lines, &err), "%s", err.text);
	return lines;
}

void free_lines(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->items[i]);
	ARRAY_FREE(lines);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct lines names_in(const char *dir)
{
	struct lines names = {0};
	struct dirent *entry;
	DIR *d = opendir(dir);

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d))) {
		if (entry->d_name[0] != '.')
			*ARRAY_ADD(&names) = xstrdup(entry->d_name);
	}
	(void)closedir(d);
	if (names.count)
		qsort(names.items, names.count, sizeof *names.items, by_name);
	return names;
}

bool is_writable(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	ck_assert(path_join(path, sizeof path, dir, name, NULL));
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_mode & S_IWUSR;
}

void limit_file_size(long bytes)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < 0 ? limit.rlim_max : (rlim_t)bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

int main(void)
{
	SRunner *runner = srunner_create(log_record_suite());
	int failed;

	diag_init("logs_test", true);
	srunner_add_suite(runner, log_segment_suite());
	srunner_add_suite(runner, log_setup_suite());
	srunner_add_suite(runner, log_stream_suite());
	srunner_add_suite(runner, log_writer_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

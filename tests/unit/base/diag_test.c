/* diag_test.c - base/diag.h */
#include "tests/unit/base/base_test.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"

static const struct {
	const char *in;
	size_t size;
	const char *out;
} quotes[] = {
    {"plain", 20, "plain"},
    {"a\"b\\c\n", 40, "a\\x22b\\x5cc\\x0a"},
    {"\xc3\xa4\xff", 20, "\xc3\xa4\\xff"},
    {"0123456789", 11, "0123456789"},
    {"0123456789", 10, "012345..."},
    {"\n\n\n", 12, "\\x0a\\x0a..."},
    {"\n\n", 9, "\\x0a\\x0a"},
    {"abcdef", 3, ".."},
    {"\xc2\x9b"
     "31m",
	20, "\\xc2\\x9b31m"}, /* CSI, which a terminal obeys */
    {"", 1, ""},
};

START_TEST(a_quoted_text_fits_and_is_one_line)
{
	char out[64];

	memset(out, 'X', sizeof out);
	diag_quote(out, quotes[_i].size, quotes[_i].in, strlen(quotes[_i].in));
	ck_assert_str_eq(out, quotes[_i].out);
	ck_assert_int_eq(out[quotes[_i].size], 'X');
}
END_TEST

static int from_child; /* what a child writes to its stderr */

static pid_t start_child(void)
{
	int fds[2];
	pid_t child;

	ck_assert_int_eq(pipe(fds), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		diag_init("prog", true);
		return 0;
	}
	(void)close(fds[1]);
	from_child = fds[0];
	return child;
}

static int hear_child(pid_t child, char *out, size_t size)
{
	size_t used = 0;
	ssize_t n;
	int status;

	do {
		n = read(from_child, out + used, size - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	out[used] = '\0';
	(void)close(from_child);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

START_TEST(a_line_says_who_and_how_bad)
{
	char out[1024];
	pid_t child = start_child();

	if (child == 0) {
		diag_debug("not shown");
		diag_info("id: key=%d", 5);
		diag_set_level(DIAG_WARN);
		diag_info("not shown");
		diag_warn("two\nlines\xc2\x9b\x9b \xc3\xa4");
		diag_set_level(DIAG_DEBUG);
		diag_debug("shown");
		diag_fatal(78, "the %s", "end");
	}
	ck_assert_int_eq(WEXITSTATUS(hear_child(child, out, sizeof out)), 78);
	ck_assert_str_eq(out,
	    "prog: info: id: key=5\nprog: warning: two lines    \xc3\xa4\n"
	    "prog: debug: shown\nprog: fatal: the end\n");
}
END_TEST

START_TEST(the_last_error_is_kept_where_lines_are_hidden)
{
	enum diag_level level = diag_level();
	char text[32], cut[6];

	diag_set_level(DIAG_FATAL);
	diag_forget_error();
	ck_assert_str_eq(diag_last_error(text, sizeof text), "");
	diag_error("first");
	diag_error("the %s", "second\nof two");
	diag_warn("no error");
	ck_assert_str_eq(
	    diag_last_error(text, sizeof text), "the second of two");
	ck_assert_str_eq(diag_last_error(cut, sizeof cut), "the s");
	diag_forget_error();
	ck_assert_str_eq(diag_last_error(text, sizeof text), "");
	diag_set_level(level);
}
END_TEST

START_TEST(a_thread_writes_everything_in_order)
{
	static const char *const together[] = {"one", "two\nlines", "three"};
	char out[4096], want[4096] = "", *end = want;
	pid_t child = start_child();

	if (child == 0) {
		diag_info_all(together, 1);
		diag_start_thread();
		diag_info_all(together, COUNT(together));
		diag_info_all(NULL, 0);
		for (int i = 0; i < 100; i++)
			diag_info("%d", i);
		diag_stop_thread();
		diag_info("direct");
		_exit(0);
	}
	end += snprintf(end, 200,
	    "prog: info: one\nprog: info: one\nprog: info: two lines\n"
	    "prog: info: three\n");
	for (int i = 0; i < 100; i++)
		end += snprintf(end, 40, "prog: info: %d\n", i);
	(void)snprintf(end, 40, "prog: info: direct\n");
	ck_assert_int_eq(hear_child(child, out, sizeof out), 0);
	ck_assert_str_eq(out, want);
}
END_TEST

/* Nobody reads.  O_NONBLOCK: writing does not wait, and we exit with 0 if all
 * that was taken are whole lines.  0: it does, and we panic. */
NORETURN static void fill_a_pipe(int flags)
{
	static char all[1 << 20];
	int fds[2];
	ssize_t len;

	if (pipe2(fds, flags) != 0 || dup2(fds[1], STDERR_FILENO) < 0)
		_exit(2);
	diag_start_thread();
	for (int i = 0; i < 4000; i++)
		diag_warn("line %06d, and what else there is to say", i);
	if (!flags)
		diag_panic("and nobody hears of it");
	diag_stop_thread();
	len = read(fds[0], all, sizeof all);
	/* A write that does not fit into the last page begins a page of its
	 * own: what is full may be filled only by half. */
	_exit(len > 32 * 1024 - PIPE_BUF && all[len - 1] == '\n' ? 0 : 1);
}

START_TEST(a_full_pipe_takes_whole_lines_or_none)
{
	char out[64];
	pid_t child = start_child();

	if (child == 0)
		fill_a_pipe(O_NONBLOCK);
	ck_assert_int_eq(hear_child(child, out, sizeof out), 0);
}
END_TEST

START_TEST(a_panic_ends_the_program_also_when_nobody_reads)
{
	char out[64];
	pid_t child = start_child();
	int status;

	if (child == 0)
		fill_a_pipe(0);
	status = hear_child(child, out, sizeof out);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

/* In place of libc's: one whose daemon never reads. */
void syslog(int priority, const char *fmt, ...) PRINTF_LIKE(2, 3);
void syslog(int priority, const char *fmt, ...)
{
	(void)priority;
	(void)fmt;
	for (;;)
		(void)pause();
}

/* NOLINTBEGIN(bugprone-reserved-identifier): what glibc calls it. */
void __syslog_chk(int priority, int flag, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void __syslog_chk(int priority, int flag, const char *fmt, ...)
{
	(void)flag;
	syslog(priority, "%s", fmt);
}
/* NOLINTEND(bugprone-reserved-identifier) */

START_TEST(a_panic_ends_the_program_also_when_syslog_is_stuck)
{
	char out[64];
	pid_t child = start_child();
	int status;

	if (child == 0) {
		diag_init("prog", false);
		if (_i)
			diag_start_thread();
		if (_i == 2)
			diag_warn("which keeps the thread");
		diag_panic("and nobody hears of it");
	}
	status = hear_child(child, out, sizeof out);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

START_TEST(a_panic_does_not_lose_what_led_to_it)
{
	char out[4096];
	pid_t child = start_child();
	int status;

	if (child == 0) {
		diag_start_thread();
		diag_info("before");
		invariant(1 + 1 == 3);
	}
	status = hear_child(child, out, sizeof out);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	ck_assert_ptr_nonnull(strstr(out, "prog: info: before\n"));
	ck_assert_ptr_nonnull(strstr(out, "prog: panic: "));
	ck_assert_ptr_nonnull(strstr(out, "invariant broken: 1 + 1 == 3\n"));
}
END_TEST

TCase *diag_tests(void)
{
	TCase *tc = tcase_create("diag");

	tcase_add_loop_test(
	    tc, a_quoted_text_fits_and_is_one_line, 0, COUNT(quotes));
	tcase_add_test(tc, a_line_says_who_and_how_bad);
	tcase_add_test(tc, the_last_error_is_kept_where_lines_are_hidden);
	tcase_add_test(tc, a_thread_writes_everything_in_order);
	tcase_add_test(tc, a_full_pipe_takes_whole_lines_or_none);
	tcase_add_test(tc, a_panic_does_not_lose_what_led_to_it);
	tcase_add_test(tc, a_panic_ends_the_program_also_when_nobody_reads);
	tcase_add_loop_test(
	    tc, a_panic_ends_the_program_also_when_syslog_is_stuck, 0, 3);
	tcase_set_timeout(tc, 60);
	return tc;
}

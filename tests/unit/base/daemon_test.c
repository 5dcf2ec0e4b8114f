/* daemon_test.c - base/daemon.h */
#include "tests/unit/base/base_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/daemon.h"
#include "base/fd.h"

/* The exit code of a process that goes into the background and there does
 * `then`. */
static int background(void (*then)(void))
{
	struct err err = {0};
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (!daemon_background(&err))
			_exit(99);
		then();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void be_ready(void)
{
	daemon_ready("here");
	_exit(7); /* nobody waits for us any more */
}

static void give_up(void)
{
	_exit(78);
}

static void crash(void)
{
	(void)kill(getpid(), SIGKILL);
}

static const struct {
	void (*then)(void);
	int code;
} verdicts[] = {{be_ready, 0}, {give_up, 78}, {crash, 128 + SIGKILL}};

START_TEST(the_parent_ends_with_the_verdict_of_the_child)
{
	ck_assert_int_eq(background(verdicts[_i].then), verdicts[_i].code);
}
END_TEST

START_TEST(systemd_is_told)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char path[100], got[200];
	socklen_t len;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof path, _i ? "@%s/n" : "%s/n", scratch_dir());
	memcpy(at.sun_path, path, strlen(path));
	if (_i)
		at.sun_path[0] = '\0';
	len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
	daemon_ready("serving");
	n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	ck_assert_str_eq(got, "READY=1\nSTATUS=serving");
	(void)close(fd);
}
END_TEST

START_TEST(signals_are_blocked)
{
	sigset_t now;

	daemon_block_signals();
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	ck_assert(sigismember(&now, SIGUSR1) && sigismember(&now, SIGTERM) &&
		  sigismember(&now, SIGHUP) && sigismember(&now, SIGPIPE));
	ck_assert(!sigismember(&now, SIGSEGV));
}
END_TEST

START_TEST(the_pid_is_written)
{
	struct err err = {0};
	char path[100], want[24], *got;

	(void)snprintf(path, sizeof path, "%s/pid", scratch_dir());
	ck_assert(daemon_write_pid(path, &err));
	got = fd_read_file(path, 100, NULL, &err);
	(void)snprintf(want, sizeof want, "%ld\n", (long)getpid());
	ck_assert_str_eq(got, want);
	free(got);
	ck_assert(!daemon_write_pid("/nonexistent/pid", &err));
}
END_TEST

START_TEST(nobody_stays_root)
{
	struct err err = {0};

	ck_assert(daemon_drop(NULL, NULL, &err));
	if (geteuid() != 0)
		return;
	ck_assert(!daemon_drop("no-such-user", NULL, &err));
	ck_assert_str_eq(err.text, "unknown user \"no-such-user\"");
	ck_assert(!daemon_drop("nobody:no-such-group", NULL, &err));
	ck_assert_str_eq(err.text, "unknown group \"no-such-group\"");
	ck_assert(!daemon_drop(NULL, "daemon", &err));
	ck_assert_str_eq(err.text, "group \"daemon\" needs a user, too");
	ck_assert_msg(daemon_drop("nobody", NULL, &err), "%s", err.text);
	ck_assert_uint_ne(geteuid(), 0);
	ck_assert_uint_ne(getgid(), 0);
	ck_assert_int_lt(setuid(0), 0);
}
END_TEST

static const char *warning_about(const char *path, const char *user)
{
	static char text[512];

	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t len;

	ck_assert_ptr_nonnull(f);
	(void)dup2(fileno(f), STDERR_FILENO);
	daemon_warn_of_owner(path, user);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	rewind(f);
	len = fread(text, 1, sizeof text - 1, f);
	text[len] = '\0';
	(void)fclose(f);
	return text;
}

START_TEST(root_says_when_it_makes_files_where_others_are_at_home)
{
	char dir[] = "/tmp/daemon-test-XXXXXX", name[64];
	const char *said;
	int fd;

	if (geteuid() != 0)
		return;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(name, sizeof name, "%s/queue.db", dir);
	ck_assert_str_eq(warning_about(name, NULL), "");
	/* Not there yet: its directory says whose it will be. */
	ck_assert_int_eq(chown(dir, 65534, 65534), 0);
	said = warning_about(name, NULL);
	ck_assert_ptr_nonnull(strstr(said, " belongs to user "));
	ck_assert_ptr_nonnull(strstr(said, "--user "));
	ck_assert_str_eq(warning_about(name, "root"), "");
	fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	ck_assert_str_eq(warning_about(name, NULL), "");
	ck_assert_int_eq(chown(name, 4711, 4711), 0);
	ck_assert_ptr_nonnull(strstr(warning_about(name, NULL), "4711"));
	(void)unlink(name);
	(void)rmdir(dir);
}
END_TEST

TCase *daemon_tests(void)
{
	TCase *tc = tcase_create("daemon");

	tcase_add_loop_test(tc, the_parent_ends_with_the_verdict_of_the_child,
	    0, COUNT(verdicts));
	tcase_add_loop_test(tc, systemd_is_told, 0, 2);
	tcase_add_test(tc, signals_are_blocked);
	tcase_add_test(tc, the_pid_is_written);
	tcase_add_test(tc, nobody_stays_root);
	tcase_add_test(
	    tc, root_says_when_it_makes_files_where_others_are_at_home);
	return tc;
}

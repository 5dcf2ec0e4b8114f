/*
 * daemon.c - what every daemon does before its work
 *
 * One fork: the child leaves the session of the terminal and keeps a pipe to
 * its parent until it is ready, so that what goes wrong while starting still
 * reaches the terminal and the exit code.  The working directory stays: paths
 * on the command line may be relative and are opened again on reload.
 */
#include "base/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/xalloc.h"

static int parent_fd = -1; /* a byte tells the waiting parent: ready */

void daemon_block_signals(void)
{
	static const int signals[] = {
	    SIGUSR1, SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < COUNT(signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void daemon_close_input(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)dup2(fd, STDIN_FILENO);
	if (fd != STDIN_FILENO)
		(void)close(fd);
}

static NORETURN void wait_for_child(int fd, pid_t child)
{
	char ready;
	ssize_t n;
	int status;

	do {
		n = read(fd, &ready, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EX_OK);
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			_exit(EX_OSERR);
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

bool daemon_background(struct err *err)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, ERR_TEMP, "pipe");
	(void)fflush(NULL);
	child = fork();
	if (child < 0) {
		(void)err_errno(err, ERR_TEMP, "fork");
		(void)close(fds[0]);
		(void)close(fds[1]);
		return false;
	}
	if (child > 0) {
		(void)close(fds[1]);
		wait_for_child(fds[0], child);
	}
	(void)close(fds[0]);
	parent_fd = fds[1];
	if (setsid() < 0)
		return err_errno(err, ERR_TEMP, "setsid");
	return true;
}

static void leave_terminal(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i <= 2; i++)
		(void)dup2(fd, i);
	if (fd > 2)
		(void)close(fd);
}

void daemon_ready(const char *status)
{
	char *state = xasprintf("READY=1\nSTATUS=%s", status ? status : "");
	char ready = 1;
	ssize_t ignored;

	daemon_notify(state);
	free(state);
	if (parent_fd < 0)
		return;
	leave_terminal();
	ignored = write(parent_fd, &ready, 1);
	(void)ignored;
	(void)close(parent_fd);
	parent_fd = -1;
}

/* sd_notify(3): one datagram; a name that begins with @ is abstract. */
void daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len;
	int fd;

	if (!path || (*path != '/' && *path != '@'))
		return;
	len = strlen(path);
	if (len >= sizeof to.sun_path)
		return;
	memcpy(to.sun_path, path, len);
	if (*path == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		(const struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		diag_warn("notify %s: %s", path, strerror(errno));
	(void)close(fd);
}

static bool find_group(const char *group, gid_t *gid, struct err *err)
{
	const struct group *gr;

	errno = 0;
	gr = getgrnam(group);
	if (!gr)
		return err_set(err, ERR_CONFIG, "unknown group \"%s\"", group);
	*gid = gr->gr_gid;
	return true;
}

/* user[:group] */
static const struct passwd *find_user(const char *user, struct err *err)
{
	size_t len = strcspn(user, ":");
	const struct passwd *pw = NULL;
	char name[64];

	if (len < sizeof name) {
		memcpy(name, user, len);
		name[len] = '\0';
		pw = getpwnam(name);
	}
	if (!pw)
		err_set(err, ERR_CONFIG, "unknown user \"%.*s\"",
		    len < 64 ? (int)len : 64, user);
	return pw;
}

bool daemon_give(const char *path, const char *user, struct err *err)
{
	const struct passwd *pw;

	if (!user || geteuid() != 0)
		return true;
	pw = find_user(user, err);
	if (!pw)
		return false;
	return chown(path, pw->pw_uid, (gid_t)-1) == 0 ||
	       err_errno(err, ERR_CONFIG, "give %s to %s", path, pw->pw_name);
}

bool daemon_drop(const char *user, const char *group, struct err *err)
{
	char name[64];
	const char *colon;
	const struct passwd *pw;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return true;
	if (!user)
		return !group || err_set(err, ERR_CONFIG,
				     "group \"%s\" needs a user, too", group);
	pw = find_user(user, err);
	if (!pw)
		return false;
	(void)str_copy(name, sizeof name, pw->pw_name);
	colon = strchr(user, ':');
	if (colon && !group)
		group = colon + 1;
	uid = pw->pw_uid;
	gid = pw->pw_gid;
	if (group && *group && !find_group(group, &gid, err))
		return false;
	if (initgroups(name, gid) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
		return err_errno(err, ERR_CONFIG, "become user %s", name);
	if (uid != 0 && setuid(0) == 0)
		return err_set(
		    err, ERR_CONFIG, "user %s could become root again", name);
	/* The kernel cleared it; a panic shall leave a core. */
	(void)prctl(PR_SET_DUMPABLE, 1);
	return true;
}

void daemon_warn_of_owner(const char *path, const char *user)
{
	const struct passwd *pw;
	struct stat st;
	char dir[4096], name[64];

	if (user || geteuid() != 0)
		return;
	/* Whoever needs what is not there says what is wrong with it. */
	if (stat(path, &st) < 0) {
		if (!path_dir(dir, sizeof dir, path, NULL) ||
		    stat(dir, &st) < 0)
			return;
		path = dir;
	}
	if (st.st_uid == 0)
		return;
	pw = getpwuid(st.st_uid);
	if (pw)
		(void)str_copy(name, sizeof name, pw->pw_name);
	else
		(void)snprintf(name, sizeof name, "%ld", (long)st.st_uid);
	diag_warn("%s belongs to user %s, who may not be able to use what root "
		  "makes there: start as that user, or with --user %s; should "
		  "root be meant, with --user root",
	    path, name, name);
}

bool daemon_write_pid(const char *path, struct err *err)
{
	char text[24];
	int fd, len;
	bool ok;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(err, ERR_CONFIG, "create %s", path);
	len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	ok = fd_write_all(fd, text, (size_t)len, path, err);
	(void)close(fd);
	return ok;
}

/*
 * control.c - the socket through which a running daemon is asked and told
 *
 * A thread has one conversation at a time: askers are operators and monitors,
 * and a slow one is cut off after CONVERSATION_MS, so the next is not kept
 * waiting for long.  The threads are woken by an eventfd to stop.
 */
#include "base/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/worker.h"
#include "base/xalloc.h"

#define REQUEST_MOST 4096
#define REPLY_MOST ((size_t)64 * 1024 * 1024)
#define CONVERSATION_MS 5000

struct control {
	char *path;
	int listen_fd, stop_fd;
	control_fn *serve;
	void *ctx;
	pthread_t threads[CONTROL_THREADS_MOST];
	unsigned count;
	atomic_uint left; /* threads that may still ask somebody */
};

/* Real time, not the tests': a test that makes a day pass does not mean us. */
static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool make_address(
    const char *path, struct sockaddr_un *out, struct err *err)
{
	size_t len = strlen(path);

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len >= sizeof out->sun_path)
		return err_set(err, ERR_CONFIG,
		    "%.200s: the path of a socket has at most %zu bytes, this "
		    "has %zu",
		    path, sizeof out->sun_path - 1, len);
	memcpy(out->sun_path, path, len + 1);
	return true;
}

/* False when the time is up or the peer is gone. */
static bool wait_fd(int fd, short events, int64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline - now_ms();
		int n;

		if (left <= 0)
			return false;
		n = poll(&pfd, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

static bool send_all(int fd, const char *p, size_t len, int64_t deadline)
{
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			if (!wait_fd(fd, POLLOUT, deadline))
				return false;
		} else if (n == 0 || errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* Reads up to a newline or the end; the line is left without it. */
static bool receive_line(
    int fd, struct buf *line, size_t most, int64_t deadline)
{
	char chunk[4096];

	for (;;) {
		const char *newline;
		ssize_t n;

		if (!wait_fd(fd, POLLIN, deadline))
			return false;
		n = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			return line->len > 0;
		newline = memchr(chunk, '\n', (size_t)n);
		if (newline)
			n = newline - chunk;
		if (line->len + (size_t)n > most)
			return false;
		buf_add(line, chunk, (size_t)n);
		if (newline)
			return true;
	}
}

static void converse(struct control *control, int fd)
{
	int64_t deadline = now_ms() + CONVERSATION_MS;
	struct buf request = BUF_INIT, reply = BUF_INIT;

	if (receive_line(fd, &request, REQUEST_MOST, deadline) &&
	    !memchr(buf_str(&request), '\0', request.len)) {
		if (request.len && request.data[request.len - 1] == '\r')
			request.data[--request.len] = '\0';
		control->serve(buf_str(&request), &reply, control->ctx);
		buf_addch(&reply, '\n');
		(void)send_all(
		    fd, reply.data, reply.len, now_ms() + CONVERSATION_MS);
	}
	buf_release(&request);
	buf_release(&reply);
}

static void serve_all(struct control *control)
{
	struct pollfd fds[2] = {
	    {.fd = control->listen_fd, .events = POLLIN},
	    {.fd = control->stop_fd, .events = POLLIN},
	};

	for (;;) {
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			diag_panic("control: poll: %s", strerror(errno));
		if (fds[1].revents)
			return;
		if (!fds[0].revents)
			continue;
		fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			converse(control, fd);
			(void)close(fd);
		} else if (errno == EMFILE || errno == ENFILE) {
			/* The asker stays in the backlog; do not spin. */
			(void)poll(&fds[1], 1, 100);
		}
	}
}

static void *run(void *ctx)
{
	struct control *control = ctx;

	serve_all(control);
	(void)atomic_fetch_sub(&control->left, 1);
	return NULL;
}

/* A socket file where nobody answers is left from a crash. */
static bool remove_stale(
    const char *path, const struct sockaddr_un *address, struct err *err)
{
	struct stat st;
	int fd, error;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return true;
		return err_errno(err, ERR_CONFIG, "%s", path);
	}
	if (!S_ISSOCK(st.st_mode))
		return err_set(
		    err, ERR_CONFIG, "%s is there and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, ERR_TEMP, "socket");
	error =
	    connect(fd, (const struct sockaddr *)address, sizeof *address) < 0
		? errno
		: 0;
	(void)close(fd);
	if (error == 0)
		return err_set(
		    err, ERR_CONFIG, "another process answers at %s", path);
	if (error != ECONNREFUSED) {
		errno = error;
		return err_errno(err, ERR_CONFIG,
		    "is %s left over, or does another process answer there?  "
		    "connect",
		    path);
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, ERR_CONFIG, "remove stale %s", path);
	return true;
}

static int listen_at(const char *path, struct err *err)
{
	struct sockaddr_un address;
	int fd;

	if (!make_address(path, &address, err) ||
	    !remove_stale(path, &address, err))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		(void)err_errno(err, ERR_TEMP, "socket");
		return -1;
	}
	/* The mode before bind(2) keeps it from being open to all for a
	 * moment; the one after it undoes a strict umask. */
	if (fchmod(fd, 0660) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
	    chmod(path, 0660) < 0 || listen(fd, 64) < 0) {
		(void)err_errno(err, ERR_CONFIG, "listen at %s", path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

struct control *control_start(const char *path, unsigned threads,
    control_fn *serve, void *ctx, struct err *err)
{
	struct control *control;
	int fd = listen_at(path, err);

	invariant(threads >= 1 && threads <= CONTROL_THREADS_MOST);
	if (fd < 0)
		return NULL;
	control = xcalloc(1, sizeof *control);
	control->path = xstrdup(path);
	control->listen_fd = fd;
	control->serve = serve;
	control->ctx = ctx;
	control->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->stop_fd < 0)
		diag_panic("eventfd: %s", strerror(errno));
	control->count = threads;
	atomic_init(&control->left, threads);
	for (unsigned i = 0; i < threads; i++)
		control->threads[i] =
		    worker_thread_start("control", run, control);
	return control;
}

static void tell_to_end(struct control *control)
{
	uint64_t one = 1;
	ssize_t ignored = write(control->stop_fd, &one, sizeof one);

	(void)ignored;
}

bool control_is_quiet(struct control *control, int wait_ms)
{
	tell_to_end(control);
	if (atomic_load(&control->left) > 0)
		(void)poll(NULL, 0, wait_ms);
	return atomic_load(&control->left) == 0;
}

void control_stop(struct control *control)
{
	if (!control)
		return;
	tell_to_end(control);
	for (unsigned i = 0; i < control->count; i++)
		(void)pthread_join(control->threads[i], NULL);
	(void)unlink(control->path);
	(void)close(control->listen_fd);
	(void)close(control->stop_fd);
	free(control->path);
	free(control);
}

bool control_ask(const char *path, const char *request, int64_t timeout_ms,
    struct buf *reply, struct err *err)
{
	int64_t deadline = now_ms() + timeout_ms;
	struct sockaddr_un address;
	bool answered = false;
	int fd;

	if (!make_address(path, &address, err))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, ERR_TEMP, "socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		(void)err_errno(err, ERR_TEMP, "connect to %s", path);
	else if (!send_all(fd, request, strlen(request), deadline) ||
		 !send_all(fd, "\n", 1, deadline) ||
		 !receive_line(fd, reply, REPLY_MOST, deadline))
		(void)err_set(err, ERR_TEMP, "no answer from %s", path);
	else
		answered = true;
	(void)close(fd);
	return answered;
}

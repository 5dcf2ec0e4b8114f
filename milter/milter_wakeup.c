/*
 * milter_wakeup.c - no session waits for a thread of libmilter
 *
 * The pool is in libmilter/worker.c of Sendmail 8.17: mi_start_session() and
 * mi_pool_controller() signal a condition while tm_nb_idle is positive, which
 * is lowered by the thread that wakes.  A thread that finishes looks for work
 * first, so one connection serves one session that was left.
 */
#include "milter/milter_wakeup.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"

#define LOOK_MS 50

struct milter_wakeup {
	struct service *service;
	const struct milter_socket *where;
	struct inbox *stop; /* nothing ever comes; closed at the end */
	pthread_t thread;
	bool failed; /* said so */
};

bool milter_wakeup_is_due(const struct service *service, int64_t *seen)
{
	int64_t returned = atomic_load(&service->returned);
	bool due = atomic_load(&service->in_callback) > 0 && returned == *seen;

	*seen = returned;
	return due;
}

static bool knock(const struct milter_socket *where)
{
	struct sockaddr_storage inet;
	struct sockaddr_un path = {.sun_family = AF_UNIX};
	const void *to = &path;
	socklen_t len = sizeof path;
	bool ok;
	int fd;

	if (*where->path) {
		(void)str_copy(
		    path.sun_path, sizeof path.sun_path, where->path);
	} else {
		len = ip_to_sockaddr(&where->ip, where->port, &inet);
		to = &inet;
	}
	fd = socket(*where->path ? AF_UNIX : where->ip.family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	/* Too many that wait is as good: libmilter has to look at them. */
	ok = connect(fd, to, len) == 0 || errno == EINPROGRESS ||
	     errno == EAGAIN;
	(void)close(fd);
	return ok;
}

static void *run(void *ctx)
{
	struct milter_wakeup *w = ctx;
	int64_t seen = -1;

	for (;;) {
		(void)inbox_take(w->stop, clock_now_ms() + LOOK_MS);
		if (inbox_closed(w->stop))
			return NULL;
		if (!milter_wakeup_is_due(w->service, &seen) ||
		    knock(w->where) || w->failed)
			continue;
		w->failed = true;
		diag_warn("socket: %s: cannot connect to it (%s): a session "
			  "may have to wait for another's policy event",
		    w->where->spec, strerror(errno));
	}
}

struct milter_wakeup *milter_wakeup_start(
    struct service *service, const struct milter_socket *where)
{
	struct milter_wakeup *w = xcalloc(1, sizeof *w);

	w->service = service;
	w->where = where;
	w->stop = inbox_new();
	w->thread = worker_thread_start("wakeup", run, w);
	return w;
}

void milter_wakeup_stop(struct milter_wakeup *wakeup)
{
	inbox_close(wakeup->stop);
	(void)pthread_join(wakeup->thread, NULL);
	inbox_free(wakeup->stop);
	free(wakeup);
}

/*
 * queue_lock.c - who may write the queue now, and who has it open
 *
 * The timed wait.  Polling with F_OFD_SETLK would lose against a neighbour
 * that asks more often, and leaves the lock idle between two looks; the
 * kernel's own wait, F_OFD_SETLKW, has no timeout.  So: ask once without
 * waiting, which is all there is in the usual case.  Then wait in the kernel
 * with a POSIX timer that sends this thread, and no other (SIGEV_THREAD_ID), a
 * real-time signal when the time is over; its handler does nothing, fcntl
 * returns EINTR.  A signal that comes just before fcntl begins to wait would
 * be lost, so the timer repeats every 20 ms until it is disarmed.  The signal
 * is blocked everywhere except around this wait: it cannot disturb anything
 * else, and a late one only makes the next wait look at its clock once more.
 *
 * The kernel wakes all who wait for a byte and the quickest gets it.  At the
 * writer's byte at most one waits, because it holds the turnstile.  At the
 * turnstile the holder of the writer lock is never among those that wait, so
 * two programs alternate.
 */
#include "queue/queue_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define AGAIN_NS (20 * 1000 * 1000)

static const struct queue_generation first_generation = {.current = 1};
static _Thread_local int held_here;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int wake_signal(void)
{
	return SIGRTMIN + 5;
}

static void wake_up(int signal)
{
	(void)signal;
}

static void install_once(void)
{
	struct sigaction action = {.sa_handler = wake_up};
	sigset_t set;

	(void)sigemptyset(&action.sa_mask);
	/* No SA_RESTART: fcntl must come back. */
	(void)sigaction(wake_signal(), &action, NULL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, wake_signal());
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int set_byte(int fd, int command, short type, off_t byte)
{
	struct flock lock = {
	    .l_type = type,
	    .l_whence = SEEK_SET,
	    .l_start = byte,
	    .l_len = 1,
	};

	return fcntl(fd, command, &lock);
}

static int64_t real_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum queue_lock_result wait_in_kernel(
    int fd, off_t byte, int64_t wait_ms, struct err *err)
{
	struct sigevent event = {
	    .sigev_notify = SIGEV_THREAD_ID,
	    .sigev_signo = wake_signal(),
	    .sigev_notify_thread_id = (pid_t)syscall(SYS_gettid),
	};
	struct itimerspec when = {
	    .it_value = {wait_ms / 1000, wait_ms % 1000 * 1000000 + 1},
	    .it_interval = {0, AGAIN_NS},
	};
	enum queue_lock_result result = LOCK_BUSY;
	int64_t until = real_ms() + wait_ms;
	sigset_t wake, before;
	timer_t timer;

	(void)sigemptyset(&wake);
	(void)sigaddset(&wake, wake_signal());
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0) {
		err_errno(err, ERR_TEMP, "make a timer for the writer lock");
		return LOCK_FAILED;
	}
	(void)timer_settime(timer, 0, &when, NULL);
	(void)pthread_sigmask(SIG_UNBLOCK, &wake, &before);
	for (;;) {
		if (set_byte(fd, F_OFD_SETLKW, F_WRLCK, byte) == 0) {
			result = LOCK_TAKEN;
			break;
		}
		if (errno != EINTR) {
			err_errno(err, ERR_TEMP, "wait for the writer lock");
			result = LOCK_FAILED;
			break;
		}
		if (real_ms() >= until)
			break;
	}
	/* Blocked again before the timer goes: nothing can be left over that
	 * would interrupt somebody else. */
	(void)sigaddset(&before, wake_signal());
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)timer_delete(timer);
	return result;
}

static enum queue_lock_result take_byte(
    int fd, off_t byte, int64_t deadline, struct err *err)
{
	int64_t wait_ms;

	if (set_byte(fd, F_OFD_SETLK, F_WRLCK, byte) == 0)
		return LOCK_TAKEN;
	if (errno != EAGAIN && errno != EACCES) {
		err_errno(err, ERR_TEMP, "take the writer lock");
		return LOCK_FAILED;
	}
	wait_ms = deadline - clock_now_ms();
	if (wait_ms <= 0)
		return LOCK_BUSY;
	return wait_in_kernel(fd, byte, wait_ms, err);
}

bool queue_lock_open(struct queue_lock *lock, const char *path, struct err *err)
{
	char name[4096];
	struct stat db;
	int fd, len;

	*lock = (struct queue_lock){.fd = -1};
	(void)pthread_once(&once, install_once);
	len = snprintf(name, sizeof name, "%s-writer", path);
	if (len < 0 || (size_t)len >= sizeof name)
		return err_set(err, ERR_CONFIG, "the queue's name is too long");
	fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
		if (fd >= 0) {
			/* Now, so that it has its block on the disk. */
			lock->fd = fd;
			if (!queue_lock_write(lock, &first_generation, err)) {
				queue_lock_close(lock);
				return false;
			}
			(void)fchmod(fd, 0660);
			if (geteuid() == 0 && stat(path, &db) == 0 &&
			    fchown(fd, db.st_uid, db.st_gid) < 0)
				diag_warn("%s: cannot give it the owner of the "
					  "queue",
				    name);
		} else if (errno == EEXIST)
			fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0)
		return err_errno(err,
		    errno == EACCES || errno == ENOENT ? ERR_CONFIG : ERR_TEMP,
		    "open %s", name);
	lock->fd = fd;
	return true;
}

void queue_lock_close(struct queue_lock *lock)
{
	if (lock->held)
		queue_lock_give(lock);
	if (lock->fd >= 0)
		(void)close(lock->fd);
	lock->fd = -1;
}

enum queue_lock_result queue_lock_take(
    struct queue_lock *lock, int64_t deadline, struct err *err)
{
	enum queue_lock_result result;

	invariant(!lock->held);
	result = take_byte(lock->fd, QUEUE_LOCK_TURNSTILE, deadline, err);
	if (result != LOCK_TAKEN)
		return result;
	result = take_byte(lock->fd, QUEUE_LOCK_WRITER, deadline, err);
	(void)set_byte(lock->fd, F_OFD_SETLK, F_UNLCK, QUEUE_LOCK_TURNSTILE);
	if (result == LOCK_TAKEN) {
		lock->held = true;
		held_here++;
	}
	return result;
}

void queue_lock_give(struct queue_lock *lock)
{
	invariant(lock->held && held_here > 0);
	lock->held = false;
	held_here--;
	if (set_byte(lock->fd, F_OFD_SETLK, F_UNLCK, QUEUE_LOCK_WRITER) < 0)
		diag_panic("give the writer lock back: %s", strerror(errno));
}

bool queue_lock_held_here(void)
{
	return held_here > 0;
}

enum queue_lock_result queue_lock_byte(struct queue_lock *lock,
    enum queue_lock_byte byte, bool alone, struct err *err)
{
	if (set_byte(lock->fd, F_OFD_SETLK, alone ? F_WRLCK : F_RDLCK,
		(off_t)byte) == 0)
		return LOCK_TAKEN;
	if (errno == EAGAIN || errno == EACCES)
		return LOCK_BUSY;
	err_errno(err, ERR_TEMP, "lock the queue");
	return LOCK_FAILED;
}

void queue_lock_byte_give(struct queue_lock *lock, enum queue_lock_byte byte)
{
	(void)set_byte(lock->fd, F_OFD_SETLK, F_UNLCK, (off_t)byte);
}

bool queue_lock_byte_taken(
    const struct queue_lock *lock, enum queue_lock_byte byte)
{
	struct flock probe = {
	    .l_type = F_WRLCK,
	    .l_whence = SEEK_SET,
	    .l_start = (off_t)byte,
	    .l_len = 1,
	};

	return fcntl(lock->fd, F_OFD_GETLK, &probe) == 0 &&
	       probe.l_type != F_UNLCK;
}

bool queue_lock_read(const struct queue_lock *lock,
    struct queue_generation *out, struct err *err)
{
	ssize_t got = pread(lock->fd, out, sizeof *out, 0);

	if (got < 0)
		return err_errno(err, ERR_TEMP, "read the queue's lock file");
	if (got != sizeof *out)
		*out = first_generation;
	return true;
}

bool queue_lock_write(const struct queue_lock *lock,
    const struct queue_generation *generation, struct err *err)
{
	if (pwrite(lock->fd, generation, sizeof *generation, 0) !=
	    sizeof *generation)
		return err_errno(err, ERR_TEMP, "write the queue's lock file");
	return true;
}

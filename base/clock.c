/*
 * clock.c - the only source of time
 *
 * The test clock is an offset, so that time still passes by itself; it is read
 * from shared memory on each call, so that moving it needs no signal.
 */
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/diag.h"

static int64_t real_ms(clockid_t id)
{
	struct timespec now;

	(void)clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static _Atomic int64_t shift, wall_shift;

#ifdef ENABLE_DEVEL
static const _Atomic int64_t *test_offset;

static void map_test_offset(void)
{
	const char *path = getenv("PENSTOCK_CLOCK");
	struct stat st;
	void *p;
	int fd;

	if (!path || !*path)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		diag_fatal(
		    EX_CONFIG, "PENSTOCK_CLOCK: %s: %s", path, strerror(errno));
	if (st.st_size < (off_t)sizeof *test_offset)
		diag_fatal(EX_CONFIG, "PENSTOCK_CLOCK: %s: too short", path);
	p = mmap(NULL, sizeof *test_offset, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		diag_fatal(EX_CONFIG, "PENSTOCK_CLOCK: map %s: %s", path,
		    strerror(errno));
	(void)close(fd);
	test_offset = p;
}

static int64_t offset_ms(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, map_test_offset);
	return (test_offset ? atomic_load(test_offset) : 0) +
	       atomic_load_explicit(&shift, memory_order_relaxed);
}
#else
static int64_t offset_ms(void)
{
	return atomic_load_explicit(&shift, memory_order_relaxed);
}
#endif

int64_t clock_now_ms(void)
{
	return real_ms(CLOCK_MONOTONIC) + offset_ms();
}

int64_t clock_unix(void)
{
	return clock_unix_ms() / 1000;
}

int64_t clock_unix_ms(void)
{
	return real_ms(CLOCK_REALTIME) + offset_ms() +
	       atomic_load_explicit(&wall_shift, memory_order_relaxed);
}

void clock_shift(int64_t ms)
{
	atomic_fetch_add(&shift, ms);
}

void clock_shift_wall(int64_t ms)
{
	atomic_fetch_add(&wall_shift, ms);
}

struct timespec clock_timespec(int64_t deadline_ms)
{
	struct timespec until;
	int64_t left = 0;

	/* Kernel waits know nothing of the offset: wait for what remains. */
	if (__builtin_sub_overflow(deadline_ms, clock_now_ms(), &left))
		left = deadline_ms < 0 ? 0 : INT64_MAX / 2;
	if (left < 0)
		left = 0;
	/* A century is as good as for ever, and fits every time_t. */
	if (left > INT64_C(100) * 366 * 86400 * 1000)
		left = INT64_C(100) * 366 * 86400 * 1000;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(left / 1000);
	until.tv_nsec += (long)(left % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return until;
}

/* Not strftime(3): the names must not follow a locale. */
static void split(int64_t unix_seconds, struct tm *out)
{
	/* 0001-01-01 .. 9999-12-31, so that a year has at most four digits */
	const int64_t first = INT64_C(-62135596800),
		      last = INT64_C(253402300799);
	time_t t;

	if (unix_seconds < first)
		unix_seconds = first;
	if (unix_seconds > last)
		unix_seconds = last;
	t = (time_t)unix_seconds;
	(void)gmtime_r(&t, out);
}

static char *put(char *out, const char *s)
{
	size_t len = strlen(s);

	memcpy(out, s, len + 1);
	return out + len;
}

/* `width` decimal digits of n. */
static char *put_digits(char *out, int n, int width)
{
	for (int i = width; i-- > 0; n /= 10)
		out[i] = (char)('0' + n % 10);
	out[width] = '\0';
	return out + width;
}

static char *put_time(char *out, const struct tm *tm)
{
	out = put_digits(out, tm->tm_hour, 2);
	out = put_digits(put(out, ":"), tm->tm_min, 2);
	return put_digits(put(out, ":"), tm->tm_sec, 2);
}

char *clock_rfc5322(char out[40], int64_t unix_seconds)
{
	static const char days[7][4] = {
	    "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May",
	    "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm tm;
	char *p;

	split(unix_seconds, &tm);
	p = put(put(out, days[tm.tm_wday]), ", ");
	p = put_digits(p, tm.tm_mday, tm.tm_mday < 10 ? 1 : 2);
	p = put(put(put(p, " "), months[tm.tm_mon]), " ");
	p = put(put_digits(p, tm.tm_year + 1900, 4), " ");
	(void)put(put_time(p, &tm), " +0000");
	return out;
}

char *clock_rfc3339(char out[40], int64_t unix_ms)
{
	int64_t seconds = unix_ms / 1000;
	int ms = (int)(unix_ms % 1000);
	struct tm tm;
	char *p;

	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	split(seconds, &tm);
	p = put(put_digits(out, tm.tm_year + 1900, 4), "-");
	p = put(put_digits(p, tm.tm_mon + 1, 2), "-");
	p = put(put_digits(p, tm.tm_mday, 2), "T");
	p = put(put_time(p, &tm), ".");
	(void)put(put_digits(p, ms, 3), "Z");
	return out;
}

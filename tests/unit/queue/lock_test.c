/* lock_test.c - queue/queue_lock.h */
#include "tests/unit/queue/queue_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static void hold_for_us(long us)
{
	struct timespec end, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += us * 1000;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	do
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec < end.tv_sec ||
	       (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}

/* Both take it as often as they can until the first has had 400 turns. */
struct shared {
	atomic_int turns[2], inside, overlaps, ready;
	atomic_bool stop;
};

static void contend(const char *path, struct shared *shared, int who)
{
	struct queue_lock lock;

	ck_ok(queue_lock_open(&lock, path, &why));
	(void)atomic_fetch_add(&shared->ready, 1);
	while (atomic_load(&shared->ready) < 2)
		(void)usleep(100);
	while (!atomic_load(&shared->stop)) {
		if (queue_lock_take(&lock, clock_now_ms() + 10000, NULL) !=
		    LOCK_TAKEN) {
			(void)atomic_fetch_add(&shared->overlaps, 1000);
			break;
		}
		if (atomic_fetch_add(&shared->inside, 1) != 0)
			(void)atomic_fetch_add(&shared->overlaps, 1);
		hold_for_us(300);
		(void)atomic_fetch_sub(&shared->inside, 1);
		if (atomic_fetch_add(&shared->turns[who], 1) == 399)
			atomic_store(&shared->stop, true);
		queue_lock_give(&lock);
	}
	queue_lock_close(&lock);
}

START_TEST(two_processes_take_turns)
{
	const char *path = store_path();
	struct shared *shared = mmap(NULL, sizeof *shared,
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, a, b;
	pid_t child;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	child = fork();
	if (child == 0) {
		contend(path, shared, 1);
		_exit(0);
	}
	contend(path, shared, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(atomic_load(&shared->overlaps), 0);
	a = atomic_load(&shared->turns[0]);
	b = atomic_load(&shared->turns[1]);
	/* One to one but for the start and the scheduler; without the turnstile
	 * it is one to four and worse. */
	ck_assert_msg(a * 2 > b && b * 2 > a, "turns: %d and %d", a, b);
}
END_TEST

START_TEST(the_wait_ends_at_its_deadline)
{
	const char *path = store_path();
	struct queue_lock holder, waiter;
	int64_t before, took;

	ck_ok(queue_lock_open(&holder, path, &why));
	ck_ok(queue_lock_open(&waiter, path, &why));
	ck_assert_int_eq(queue_lock_take(&holder, 0, NULL), LOCK_TAKEN);
	ck_assert_int_eq(queue_lock_take(&waiter, 0, NULL), LOCK_BUSY);
	before = clock_now_ms();
	ck_assert_int_eq(
	    queue_lock_take(&waiter, before + 150, NULL), LOCK_BUSY);
	took = clock_now_ms() - before;
	ck_assert_msg(took >= 149 && took < 5000, "%lld ms", (long long)took);
	/* The turnstile was given back. */
	queue_lock_give(&holder);
	ck_assert_int_eq(queue_lock_take(&holder, 0, NULL), LOCK_TAKEN);
	queue_lock_close(&waiter);
	queue_lock_close(&holder);
}
END_TEST

struct waiting {
	struct queue_lock lock;
	enum queue_lock_result result;
	int64_t took_ms;
	atomic_bool started;
};

static void *wait_for_it(void *ctx)
{
	struct waiting *w = ctx;
	int64_t before = clock_now_ms();

	atomic_store(&w->started, true);
	w->result = queue_lock_take(&w->lock, before + 20000, NULL);
	w->took_ms = clock_now_ms() - before;
	if (w->result == LOCK_TAKEN)
		queue_lock_give(&w->lock);
	return NULL;
}

START_TEST(who_waits_is_woken_when_it_is_given_back)
{
	const char *path = store_path();
	struct queue_lock holder;
	struct waiting w = {.result = LOCK_FAILED};
	pthread_t thread;

	ck_ok(queue_lock_open(&holder, path, &why));
	ck_ok(queue_lock_open(&w.lock, path, &why));
	ck_assert_int_eq(queue_lock_take(&holder, 0, NULL), LOCK_TAKEN);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_it, &w), 0);
	while (!atomic_load(&w.started))
		(void)usleep(100);
	hold_for_us(50000);
	queue_lock_give(&holder);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(w.result, LOCK_TAKEN);
	ck_assert_msg(w.took_ms < 10000, "%lld ms", (long long)w.took_ms);
	queue_lock_close(&w.lock);
	queue_lock_close(&holder);
}
END_TEST

START_TEST(a_dead_process_holds_nothing)
{
	const char *path = store_path();
	struct queue_lock lock;
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (!queue_lock_open(&lock, path, NULL) ||
		    queue_lock_take(&lock, 0, NULL) != LOCK_TAKEN)
			_exit(1);
		(void)raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_ok(queue_lock_open(&lock, path, &why));
	ck_assert_int_eq(queue_lock_take(&lock, 0, NULL), LOCK_TAKEN);
	queue_lock_close(&lock);
}
END_TEST

START_TEST(the_lock_file_is_for_the_group)
{
	const char *path = store_path();
	struct queue_lock lock;
	struct stat st;
	char name[128];

	(void)umask(077);
	ck_ok(queue_lock_open(&lock, path, &why));
	(void)snprintf(name, sizeof name, "%s-writer", path);
	ck_assert_int_eq(stat(name, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0660);
	queue_lock_close(&lock);
}
END_TEST

TCase *lock_tests(void)
{
	TCase *t = tcase_create("lock");

	tcase_add_test(t, two_processes_take_turns);
	tcase_add_test(t, the_wait_ends_at_its_deadline);
	tcase_add_test(t, who_waits_is_woken_when_it_is_given_back);
	tcase_add_test(t, a_dead_process_holds_nothing);
	tcase_add_test(t, the_lock_file_is_for_the_group);
	return t;
}

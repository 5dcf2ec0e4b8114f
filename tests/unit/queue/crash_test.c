/*
 * crash_test.c - kill -9, small
 *
 * A child takes custody of messages, another leases and settles them; both are
 * killed at random.  What was acknowledged is in the queue or was delivered.
 */
#include "tests/unit/queue/queue_test.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#ifdef ENABLE_SANITIZER
#define KILLS 3
#else
#define KILLS 10
#endif

struct ledger {
	atomic_int acknowledged, delivered;
};

static void milter(const char *path, struct ledger *ledger)
{
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_writer *writer = queue_writer_start(queue, NULL);

	for (;;) {
		struct message *m = mail_to("bob@example.com", 3000);
		struct queue_intake intake = {.messages = &m, .count = 1};
		struct custody *c = custody_begin(writer, &intake);

		if (custody_wait(c, clock_now_ms() + 30000, NULL, NULL, NULL) ==
		    CUSTODY_COMMITTED)
			(void)atomic_fetch_add(&ledger->acknowledged, 1);
		custody_free(c);
		message_unref(m);
	}
}

static void router(const char *path, struct ledger *ledger)
{
	struct queue *queue = store_open(path, QUEUE_ROUTER);
	struct queue_conn *conn = store_connect(queue);

	for (;;) {
		struct arena *arena = arena_new(0);
		struct queue_leases leases =
		    lease_due(conn, 3, clock_unix(), arena);

		/* As the real one: delivered, then told to the queue. */
		(void)atomic_fetch_add(&ledger->delivered, (int)leases.count);
		settle(conn, &leases, VERDICT_DELIVERED, 0);
		if (!queue_checkpoint(conn, false, NULL))
			_exit(3);
		if (leases.count == 0)
			(void)usleep(1000);
		arena_unref(arena);
	}
}

static pid_t start(void (*run)(const char *, struct ledger *), const char *path,
    struct ledger *ledger)
{
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		run(path, ledger);
		_exit(0);
	}
	return child;
}

static void kill_it(pid_t child)
{
	int status;

	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	    "status %x", status);
}

START_TEST(kill_loses_nothing_that_was_acknowledged)
{
	const char *path = store_path();
	struct ledger *ledger = mmap(NULL, sizeof *ledger,
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t left;
	int acknowledged, delivered;
	pid_t m, r;

	ck_assert_ptr_ne(ledger, MAP_FAILED);
	queue_close(store_open(path, QUEUE_MILTER));
	m = start(milter, path, ledger);
	r = start(router, path, ledger);
	for (int i = 0; i < KILLS; i++) {
		int before = atomic_load(&ledger->acknowledged);
		int64_t deadline = clock_now_ms() + 20000;
		int more = (int)random_between(1, 12);

		while (atomic_load(&ledger->acknowledged) < before + more) {
			ck_assert_int_lt(clock_now_ms(), deadline);
			(void)usleep(500);
		}
		if (i % 2) {
			kill_it(m);
			m = start(milter, path, ledger);
		} else {
			kill_it(r);
			r = start(router, path, ledger);
		}
	}
	kill_it(m);
	kill_it(r);
	assert_sound(path);
	left = sql_int(path, "SELECT count(*) FROM recipient");
	acknowledged = atomic_load(&ledger->acknowledged);
	delivered = atomic_load(&ledger->delivered);
	/* Each may be a duplicate, none may be missing. */
	ck_assert_msg(delivered + left >= acknowledged,
	    "%d acknowledged, %d delivered, %lld left", acknowledged, delivered,
	    (long long)left);
	/* What a kill can duplicate is bounded: a session, or a lease of 3. */
	ck_assert_msg(delivered + left <= acknowledged + 3 * (KILLS + 2),
	    "%d acknowledged, %d delivered, %lld left", acknowledged, delivered,
	    (long long)left);
}
END_TEST

TCase *crash_tests(void)
{
	TCase *t = tcase_create("crash");

	tcase_add_test(t, kill_loses_nothing_that_was_acknowledged);
	return t;
}

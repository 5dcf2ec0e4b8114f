#include "router/queue_thread.h"

#include <dirent.h>
#include <unistd.h>

#include "queue/queue.h"
#include "router_test.h"

static char dir[64], path[80];
static struct queue *queue;
static struct loop *loop;
static struct queue_threads *threads;

/* What came back, in order: a letter for each job or trouble. */
static char story[64];
static int failures; /* of owed jobs, still to come */

struct job {
	struct queue_job job;
	char letter;
};

static void tell(char letter)
{
	size_t len = strlen(story);

	ck_assert_uint_lt(len + 1, sizeof story);
	story[len] = letter;
	story[len + 1] = '\0';
}

static void on_trouble(
    enum queue_trouble trouble, const struct err *err, void *ctx)
{
	static const char letters[] = {[QUEUE_STUCK] = '!',
	    [QUEUE_UNSTUCK] = '.',
	    [QUEUE_POISONED] = 'P',
	    [QUEUE_RECOVERED] = 'R',
	    [QUEUE_LOST] = 'L'};

	tell(letters[trouble]);
	if (trouble == QUEUE_UNSTUCK)
		loop_exit(loop);
}

static bool work(struct queue_job *job, struct queue_conn *conn)
{
	if (job->owed && failures > 0) {
		failures--;
		return err_set(&job->err, ERR_TEMP, "the disk is full");
	}
	return true;
}

static void done(struct loop_item *item)
{
	struct job *job = CONTAINER_OF(item, struct job, job.item);

	tell(job->job.ok ? job->letter : '-');
	if (job->letter == 'z')
		loop_exit(loop);
	free(job);
}

static void put(char letter, bool owed, bool fresh)
{
	struct job *job = calloc(1, sizeof *job);

	ck_assert_ptr_nonnull(job);
	job->letter = letter;
	job->job.item.run = done;
	job->job.work = work;
	job->job.owed = owed;
	job->job.fresh = fresh;
	queue_threads_write(threads, &job->job);
}

static void setup(void)
{
	struct queue_options options = {
	    .path = path, .program = QUEUE_ROUTER, .create = true};
	struct err err = {0};

	(void)snprintf(dir, sizeof dir, "/tmp/penstock-router.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/queue.db", dir);
	ck_assert_msg(queue_open(&queue, &options, &err), "%s", err.text);
	loop = loop_new();
	ck_assert_msg(
	    queue_threads_start(&threads, queue, loop, on_trouble, NULL, &err),
	    "%s", err.text);
	story[0] = '\0';
	failures = 0;
}

static void teardown(void)
{
	struct dirent *entry;
	char name[512];
	DIR *d;

	queue_threads_stop(threads);
	loop_free(loop);
	queue_close(queue);
	d = opendir(dir);
	while (d && (entry = readdir(d)) != NULL) {
		(void)snprintf(name, sizeof name, "%s/%s", dir, entry->d_name);
		(void)unlink(name);
	}
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

START_TEST(jobs_come_back_in_order)
{
	put('a', true, false);
	put('b', false, true);
	put('z', true, false);
	loop_run(loop);
	ck_assert_str_eq(story, "abz");
}
END_TEST

/* The outcome that fails is tried again before later ones, and nothing is
 * leased meanwhile. */
START_TEST(an_outcome_that_cannot_be_committed_is_kept_and_comes_first)
{
	failures = 2;
	put('a', true, false);
	put('b', true, false);
	put('c', false, true);
	loop_run(loop);
	ck_assert_str_eq(story, "!-ab.");
	put('c', false, true);
	put('z', true, false);
	loop_run(loop);
	ck_assert_str_eq(story, "!-ab.cz");
}
END_TEST

Suite *queue_thread_suite(void)
{
	Suite *suite = suite_create("queue_thread");
	TCase *tc = tcase_create("queue_thread");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, jobs_come_back_in_order);
	tcase_add_test(
	    tc, an_outcome_that_cannot_be_committed_is_kept_and_comes_first);
	suite_add_tcase(suite, tc);
	return suite;
}

/* queue_test.c - commands on a real queue, with no daemon running */
#include "cli_test.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "mail/message.h"
#include "queue/queue_writer.h"

static char dir[PATH_MAX], path[PATH_MAX], id[MESSAGE_ID_SIZE];

static int remove_one(
    const char *name, const struct stat *st, int kind, struct FTW *where)
{
	return remove(name);
}

static void teardown(void)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(
	    dir, sizeof dir, "%s/penstock-cli.XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert(path_join(path, sizeof path, dir, "queue.db", NULL));
}

static const char text[] = "Subject: hello\r\n\r\nbody \xff\r\n";

static struct message *new_message(void)
{
	struct message *m = message_new();
	struct envelope_recipient r = {0};

	ck_assert(address_parse(
	    "ann@example.net", 15, m->arena, &m->sender.address, NULL));
	ck_assert(
	    address_parse("bob@example.com", 15, m->arena, &r.address, NULL));
	*ARRAY_ADD(&m->recipients) = r;
	m->content = content_from_bytes(text, sizeof text - 1);
	message_prepend_header(m, "Received", "by us");
	return m;
}

/* A queue with one message, or none, and nobody who has it open. */
static void make_queue(bool with_message)
{
	struct queue_options options = {
	    .path = path,
	    .program = QUEUE_MILTER,
	    .create = true,
	    .free_floor_bytes = 1,
	    .free_floor_percent = 1,
	};
	struct queue *queue;
	struct queue_writer *writer;
	struct err err = {0};

	ck_assert_msg(queue_open(&queue, &options, &err), "%s", err.text);
	if (with_message) {
		struct message *m = new_message();
		struct queue_intake intake = {.messages = &m, .count = 1};
		struct custody *custody;

		writer = queue_writer_start(queue, &err);
		ck_assert_msg(writer, "%s", err.text);
		custody = custody_begin(writer, &intake);
		ck_assert_msg(custody_wait(custody, clock_now_ms() + 20000,
				  NULL, NULL, &err) == CUSTODY_COMMITTED,
		    "%s", err.text);
		custody_free(custody);
		(void)memcpy(id, m->id, sizeof id);
		message_unref(m);
		queue_writer_stop(writer);
	}
	queue_close(queue);
}

static void says(const char *want)
{
	ck_assert_msg(
	    strstr(out_written, want), "wanted %s, got %s", want, out_written);
}

START_TEST(an_empty_queue_is_listed_as_such)
{
	make_queue(false);
	ck_assert_int_eq(penstock("-q", path, "queue", NULL), EX_OK);
	ck_assert_str_eq(out_written, "Queue is empty.\n");
	ck_assert_int_eq(penstock("-q", path, "summary", NULL), EX_OK);
	ck_assert_str_eq(out_written, "Queue is empty.\n");
	ck_assert_int_eq(penstock("-q", path, "-j", "queue", NULL), EX_OK);
	ck_assert_str_eq(out_written, "");
}
END_TEST

START_TEST(a_message_is_found_by_what_is_known_of_it)
{
	static const struct {
		const char *option, *value;
		bool found;
	} cases[] = {
	    {"--domain", "example.com", true},
	    {"--domain", "example.net", false},
	    {"--sender", "ann@example.net", true},
	    {"--sender", "<>", false},
	    {"--recipient", "bob@example.com", true},
	    {"--recipient", "eve@example.com", false},
	    {"--queue", "example.com", true},
	    {"--tenant", "acme", false},
	    {"--campaign", "spring", false},
	    {"--state", "queued", true},
	    {"--state", "held", false},
	    {"--older-than", "1 hour", false},
	    {"--limit", "1", true},
	};

	make_queue(true);
	ck_assert_int_eq(penstock("-q", path, "queue", NULL), EX_OK);
	says("bob@example.com");
	says("1 message, 1 recipient.");
	for (size_t i = 0; i < COUNT(cases); i++) {
		ck_assert_int_eq(penstock("-q", path, "queue", cases[i].option,
				     cases[i].value, NULL),
		    EX_OK);
		ck_assert_msg(!strstr(out_written, id) == !cases[i].found,
		    "%s %s: %s", cases[i].option, cases[i].value, out_written);
	}
	ck_assert_int_eq(penstock("-q", path, "queue", id, NULL), EX_OK);
	says(id);
	id[12] = '\0';
	ck_assert_int_eq(penstock("-q", path, "queue", id, NULL), EX_OK);
	says("bob@example.com");
	ck_assert_int_eq(
	    penstock("-q", path, "queue", "ffffffff", NULL), EX_DATAERR);
	ck_assert_ptr_nonnull(
	    strstr(err_written, "no message \"ffffffff\" is in the queue"));
}
END_TEST

START_TEST(summary_counts_by_domain)
{
	make_queue(true);
	ck_assert_int_eq(penstock("-q", path, "summary", NULL), EX_OK);
	says("example.com");
	says("recipients in 1 domain.");
	ck_assert_int_eq(penstock("-q", path, "-j", "summary", NULL), EX_OK);
	says("\"domain\":\"example.com\"");
}
END_TEST

START_TEST(a_message_is_shown_in_full)
{
	make_queue(true);
	ck_assert_int_eq(penstock("-q", path, "show", id, NULL), EX_OK);
	says(id);
	says("ann@example.net");
	says("recipient bob@example.com");
	says("why:");
	ck_assert_int_eq(penstock("-q", path, "show", "-b", id, NULL), EX_OK);
	ck_assert_str_eq(out_written, "Received: by us\r\n"
				      "Subject: hello\r\n\r\nbody \xff\r\n");
	ck_assert_int_eq(
	    penstock("-q", path, "-j", "show", "-b", id, NULL), EX_OK);
	says("\"recipient_list\":[{");
	says("\"body\":\"Received: by us\\r\\n");
	ck_assert_int_eq(
	    penstock("-q", path, "show", "ffffffff", NULL), EX_DATAERR);
	ck_assert_ptr_nonnull(
	    strstr(err_written, "no message \"ffffffff\" is in the queue"));
}
END_TEST

START_TEST(status_works_with_the_daemons_stopped)
{
	make_queue(true);
	ck_assert_int_eq(
	    penstock("-q", path, "-c", "/nowhere/router.sock", "status", NULL),
	    EX_OK);
	says("penstock-router: no answer");
	says("1 queued, 0 being delivered, 0 held");
	says("its router:     none runs");
	ck_assert_int_eq(penstock("-q", path, "-c", "/nowhere/router.sock",
			     "-j", "status", NULL),
	    EX_OK);
	says("\"router\":null");
	says("\"queued\":1");
}
END_TEST

START_TEST(a_sound_queue_passes_its_check)
{
	make_queue(true);
	ck_assert_int_eq(
	    penstock("-q", path, "check", "--queue-integrity", NULL), EX_OK);
	says("queue.db: ok");
}
END_TEST

START_TEST(looking_leaves_the_file_as_it_was)
{
	struct stat before, after;

	make_queue(true);
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_int_eq(penstock("-q", path, "queue", NULL), EX_OK);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_int_eq(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
	ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}
END_TEST

START_TEST(a_file_that_is_not_ours_is_refused)
{
	struct err err = {0};
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert(fd_write_all(fd, text, sizeof text, path, &err));
	(void)close(fd);
	ck_assert_int_eq(penstock("-q", path, "queue", NULL), EX_DATAERR);
	ck_assert_ptr_nonnull(strstr(err_written, path));
}
END_TEST

START_TEST(a_file_that_may_not_be_read_says_who_may)
{
	if (geteuid() == 0) /* may read anything */
		return;
	make_queue(false);
	ck_assert_int_eq(chmod(path, 0), 0);
	ck_assert_int_eq(penstock("-q", path, "queue", NULL), EX_NOPERM);
	ck_assert_ptr_nonnull(strstr(err_written, "permission denied"));
}
END_TEST

Suite *queue_suite(void)
{
	Suite *suite = suite_create("queue");
	TCase *tcase = tcase_create("commands");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, an_empty_queue_is_listed_as_such);
	tcase_add_test(tcase, a_message_is_found_by_what_is_known_of_it);
	tcase_add_test(tcase, summary_counts_by_domain);
	tcase_add_test(tcase, a_message_is_shown_in_full);
	tcase_add_test(tcase, status_works_with_the_daemons_stopped);
	tcase_add_test(tcase, a_sound_queue_passes_its_check);
	tcase_add_test(tcase, looking_leaves_the_file_as_it_was);
	tcase_add_test(tcase, a_file_that_is_not_ours_is_refused);
	tcase_add_test(tcase, a_file_that_may_not_be_read_says_who_may);
	suite_add_tcase(suite, tcase);
	return suite;
}

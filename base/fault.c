/*
 * fault.c - places where a test may make a devel build die, stop or fail
 */
#include "base/fault.h"

#include "base/attr.h"

const struct fault_row fault_rows[] = {
    {"custody.before-commit", "the message is written, not committed"},
    {"custody.after-commit", "committed; the MTA has no answer yet"},
    {"custody.reply-before-commit",
	"the milter answers before COMMIT: a bug on purpose, to prove that the "
	"crash test sees it"},
    {"outcome.delete-before-reply",
	"the row is deleted before the remote's 250: a bug on purpose"},
    {"outcome.record-after-row",
	"the log record is written after the row goes: a bug on purpose"},
    {"outcome.before-commit", "delivered, the queue does not know yet"},
    {"outcome.after-record", "the log record is written, the row is there"},
    {"queue.commit-fails", "COMMIT returns an error"},
    {"queue.checkpoint", "a WAL checkpoint begins"},
    {"queue.chunk-written", "one of several chunks of content is written"},
    {"maildir.after-link", "the message is in new/, no outcome yet"},
    {"router.after-final-dot", "the final dot is sent, no reply yet"},
    {"report.looking", "one recipient that a report names is looked for"},
    {"intake.knows-few",
	"the router knows 40 scheduled queues at a time, not thousands"},
    {"order.step-done", "a step of an operator's order is committed"},
    {"log.before-write", "a log record is about to be written"},
    {"log.after-write", "a log record has been written"},
};
const size_t fault_row_count = COUNT(fault_rows);

#ifdef ENABLE_DEVEL
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"

enum action { ACTION_KILL, ACTION_STOP, ACTION_ERROR };
static const char *const action_names[] = {
    [ACTION_KILL] = "kill", [ACTION_STOP] = "stop", [ACTION_ERROR] = "error"};

#define ORDERS_MOST 16
static struct order {
	size_t row;
	int64_t nth; /* 0: every time */
	enum action action;
} orders[ORDERS_MOST];
static size_t order_count;
static atomic_llong passed[COUNT(fault_rows)];
static int log_fd = -1;

static size_t row_of(const char *name)
{
	for (size_t i = 0; i < COUNT(fault_rows); i++)
		if (strcmp(fault_rows[i].name, name) == 0)
			return i;
	diag_fatal(EX_SOFTWARE, "there is no fault point \"%s\"", name);
}

static void read_order(char *text)
{
	char *save = NULL, *name, *nth, *action;
	struct order *order = &orders[order_count];
	size_t i = COUNT(action_names);

	name = strtok_r(text, ":", &save);
	nth = strtok_r(NULL, ":", &save);
	action = strtok_r(NULL, ":", &save);
	if (!name || !nth || !action || !str_to_int(nth, &order->nth) ||
	    order->nth < 0 || order_count == ORDERS_MOST)
		diag_fatal(EX_SOFTWARE,
		    "PENSTOCK_FAULT: expected NAME:NTH:kill|stop|error[,...]");
	order->row = row_of(name);
	for (i = 0; i < COUNT(action_names); i++)
		if (strcmp(action_names[i], action) == 0)
			break;
	if (i == COUNT(action_names))
		diag_fatal(EX_SOFTWARE,
		    "PENSTOCK_FAULT: %s: unknown action \"%s\"", name, action);
	order->action = (enum action)i;
	order_count++;
}

static void read_environment(void)
{
	const char *spec = getenv("PENSTOCK_FAULT");
	const char *log = getenv("PENSTOCK_FAULT_LOG");
	char *copy, *save = NULL, *one;

	if (spec) {
		copy = xstrdup(spec);
		for (one = strtok_r(copy, ",", &save); one;
		     one = strtok_r(NULL, ",", &save))
			read_order(one);
		free(copy);
	}
	if (log) {
		log_fd =
		    open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
		if (log_fd < 0)
			diag_fatal(EX_SOFTWARE, "PENSTOCK_FAULT_LOG: %s: %s",
			    log, strerror(errno));
	}
}

bool fault_point(const char *name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	bool fail = false;
	size_t row;
	long long nth;

	(void)pthread_once(&once, read_environment);
	row = row_of(name);
	nth = atomic_fetch_add(&passed[row], 1) + 1;
	if (log_fd >= 0) {
		char line[80];
		int len = snprintf(line, sizeof line, "%s\n", name);
		ssize_t ignored = write(log_fd, line, (size_t)len);

		(void)ignored;
	}
	for (size_t i = 0; i < order_count; i++) {
		if (orders[i].row != row ||
		    (orders[i].nth != 0 && orders[i].nth != nth))
			continue;
		if (orders[i].action == ACTION_KILL)
			(void)kill(getpid(), SIGKILL);
		else if (orders[i].action == ACTION_STOP)
			/* raise, not kill: this thread goes no further. */
			(void)raise(SIGSTOP);
		else
			fail = true;
	}
	return fail;
}
#endif

/*
 * diag.c - lines for whoever runs the program
 *
 * A line is put together on the stack of whoever calls, then written at once,
 * or handed to the thread that diag_start_thread() made.  The inbox is made
 * once and never freed, so that a thread that is still about to put a line
 * while we stop meets memory that is there; its line may be lost, no more.
 */
#include "base/diag.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <syslog.h>
#include <unistd.h>

#include "base/inbox.h"
#include "base/str.h"
#include "base/terminal.h"
#include "base/worker.h"
#include "base/xalloc.h"

#define LINE_MAX_BYTES 8192
#define PANIC_SECONDS 2
#define QUEUE_MOST 4096 /* beyond it debug and info are dropped */

static const struct {
	const char *name;
	int priority;
} levels[] = {
    [DIAG_DEBUG] = {"debug", LOG_DEBUG},
    [DIAG_INFO] = {"info", LOG_INFO},
    [DIAG_WARN] = {"warning", LOG_WARNING},
    [DIAG_ERROR] = {"error", LOG_ERR},
    [DIAG_FATAL] = {"fatal", LOG_CRIT},
};
static const char panic_name[] = "panic";

struct line {
	struct inbox_item item;
	enum diag_level level;
	char text[];
};

static char program[64] = "penstock";
static atomic_bool to_stderr = true;
static atomic_int least_level = DIAG_INFO;

static struct inbox *lines;
static pthread_t thread;
static atomic_bool threaded;
static atomic_ulong dropped;
static atomic_bool panicking;
/* Held while lines are taken from the inbox and written: whoever holds it finds
 * each line in the inbox or written. */
static pthread_mutex_t batch_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_mutex_t error_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_error[1024];

void diag_init(const char *name, bool to_standard_error)
{
	(void)str_copy(program, sizeof program, name);
	atomic_store(&to_stderr, to_standard_error);
	/* Opened now: a chroot or a lack of descriptors may come later. */
	if (!to_standard_error)
		openlog(program, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

void diag_set_level(enum diag_level least)
{
	atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
}

enum diag_level diag_level(void)
{
	return (enum diag_level)atomic_load_explicit(
	    &least_level, memory_order_relaxed);
}

static void write_bytes(const char *bytes, size_t len)
{
	ssize_t ignored;

	/* Nobody to tell when this fails. */
	ignored = write(STDERR_FILENO, bytes, len);
	(void)ignored;
}

static void write_line(int priority, const char *name, const char *text)
{
	char out[LINE_MAX_BYTES + 128];
	int len;

	if (!atomic_load(&to_stderr)) {
		syslog(LOG_MAIL | priority, "%s: %s", name, text);
		return;
	}
	len = snprintf(out, sizeof out, "%s: %s: %s\n", program, name, text);
	if (len >= (int)sizeof out)
		len = (int)sizeof out - 1;
	write_bytes(out, (size_t)len);
}

/* A line stays one line, whatever a caller forgot to quote. */
static void make_one_line(char *text)
{
	for (char *p = text, *end = text + strlen(text); p < end;) {
		bool plain = *p >= ' ' && *p < 0x7f;
		size_t step = plain ? 1 : terminal_step(p, (size_t)(end - p));

		if (!step)
			*p++ = ' ';
		p += step;
	}
}

PRINTF_LIKE(2, 0)
static void format_line(char out[LINE_MAX_BYTES], const char *fmt, va_list ap)
{
	int len = vsnprintf(out, LINE_MAX_BYTES, fmt, ap);

	if (len >= LINE_MAX_BYTES)
		memcpy(out + LINE_MAX_BYTES - 4, "...", 4);
	make_one_line(out);
}

static void write_dropped(void)
{
	char text[64];
	unsigned long n = atomic_exchange(&dropped, 0);

	if (!n)
		return;
	(void)snprintf(text, sizeof text, "%lu lines were dropped here", n);
	write_line(LOG_WARNING, levels[DIAG_WARN].name, text);
}

/* Lines for stderr that wait are written together, as many as a pipe takes
 * whole or not at all: others may write to it, too, and it may be full. */
struct batch {
	size_t len;
	char bytes[LINE_MAX_BYTES + 128];
};

static void write_batch(struct batch *batch)
{
	if (batch->len)
		write_bytes(batch->bytes, batch->len);
	batch->len = 0;
}

static void write_queued(struct batch *batch, struct inbox_item *item)
{
	struct line *line = CONTAINER_OF(item, struct line, item);
	const char *name = levels[line->level].name;
	size_t size =
	    strlen(program) + strlen(name) + strlen(line->text) + sizeof ": : ";
	int len;

	if (!atomic_load(&to_stderr)) {
		write_line(levels[line->level].priority, name, line->text);
	} else {
		if (batch->len + size > PIPE_BUF)
			write_batch(batch);
		len = snprintf(batch->bytes + batch->len,
		    sizeof batch->bytes - batch->len, "%s: %s: %s\n", program,
		    name, line->text);
		batch->len += len > 0 ? (size_t)len : 0;
	}
	free(line);
}

static void *write_lines(void *ctx)
{
	static struct batch batch;
	struct inbox_item *item;

	while (inbox_wait(lines)) {
		(void)pthread_mutex_lock(&batch_lock);
		while ((item = inbox_take(lines, 0)) != NULL)
			write_queued(&batch, item);
		write_batch(&batch);
		(void)pthread_mutex_unlock(&batch_lock);
		if (atomic_load_explicit(&dropped, memory_order_relaxed) &&
		    inbox_count(lines) < QUEUE_MOST / 2)
			write_dropped();
	}
	return NULL;
}

void diag_start_thread(void)
{
	if (atomic_load(&threaded))
		return;
	inbox_free(lines);
	lines = inbox_new();
	thread = worker_thread_start("diag", write_lines, NULL);
	atomic_store(&threaded, true);
}

static void write_what_is_left(void)
{
	static struct batch batch;
	struct inbox_item *item = inbox_take_all(lines), *next;

	for (; item; item = next) {
		next = item->next;
		write_queued(&batch, item);
	}
	write_batch(&batch);
	write_dropped();
}

void diag_stop_thread(void)
{
	if (!atomic_exchange(&threaded, false))
		return;
	inbox_close(lines);
	(void)pthread_join(thread, NULL);
	write_what_is_left();
}

/* NULL: too many wait. */
static struct line *new_line(enum diag_level level, const char *text)
{
	size_t size = strlen(text) + 1, waiting = inbox_count(lines);
	struct line *line;

	/* Warnings have as much room again; a flood of them has an end too. */
	if (waiting >= QUEUE_MOST * (level < DIAG_WARN ? 1 : 2)) {
		atomic_fetch_add(&dropped, 1);
		return NULL;
	}
	line = xmalloc(sizeof *line + size);
	line->item.next = NULL;
	line->level = level;
	memcpy(line->text, text, size);
	return line;
}

static void put_line(enum diag_level level, const char *text)
{
	struct line *line = new_line(level, text);

	if (line)
		inbox_put(lines, &line->item);
}

static void keep_error(const char *text)
{
	(void)pthread_mutex_lock(&error_lock);
	(void)snprintf(last_error, sizeof last_error, "%.*s",
	    (int)sizeof last_error - 1, text);
	(void)pthread_mutex_unlock(&error_lock);
}

char *diag_last_error(char *out, size_t size)
{
	(void)pthread_mutex_lock(&error_lock);
	(void)snprintf(out, size, "%.*s", (int)size - 1, last_error);
	(void)pthread_mutex_unlock(&error_lock);
	return out;
}

void diag_forget_error(void)
{
	keep_error("");
}

void diag(enum diag_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	if (level < diag_level() && level != DIAG_ERROR)
		return;
	va_start(ap, fmt);
	format_line(text, fmt, ap);
	va_end(ap);
	if (level == DIAG_ERROR)
		keep_error(text);
	if (level < diag_level())
		return;
	if (atomic_load_explicit(&threaded, memory_order_acquire))
		put_line(level, text);
	else
		write_line(levels[level].priority, levels[level].name, text);
}

void diag_info_all(const char *const *texts, size_t count)
{
	struct inbox_item *first = NULL, **end = &first;

	if (DIAG_INFO < diag_level())
		return;
	if (!atomic_load_explicit(&threaded, memory_order_acquire)) {
		for (size_t i = 0; i < count; i++)
			diag(DIAG_INFO, "%s", texts[i]);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct line *line = new_line(DIAG_INFO, texts[i]);

		if (!line)
			continue;
		if (strlen(line->text) >= LINE_MAX_BYTES)
			memcpy(line->text + LINE_MAX_BYTES - 4, "...", 4);
		make_one_line(line->text);
		*end = &line->item;
		end = &line->item.next;
	}
	inbox_put_all(lines, first);
}

void diag_fatal(int exit_code, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	format_line(text, fmt, ap);
	va_end(ap);
	if (atomic_load(&threaded) && !pthread_equal(pthread_self(), thread))
		diag_stop_thread();
	write_line(levels[DIAG_FATAL].priority, levels[DIAG_FATAL].name, text);
	exit(exit_code);
}

struct last_words {
	const char *text;
	bool own_batch; /* whoever panics is the thread that writes */
	sem_t said;
};

/* What led here stands in the lines that still wait, or that the thread is
 * writing. */
static void *say_last_words(void *ctx)
{
	struct last_words *words = ctx;

	if (atomic_load(&threaded)) {
		if (!words->own_batch)
			(void)pthread_mutex_lock(&batch_lock);
		write_what_is_left();
	}
	write_line(LOG_ALERT, panic_name, words->text);
	(void)sem_post(&words->said);
	return NULL;
}

/* Whoever reads our stderr or keeps the system's log may be stuck: a thread of
 * its own waits for that, for at most as long as we wait for the thread. */
static void say_in_time(struct last_words *words)
{
	struct timespec until;
	pthread_t speaker;

	(void)sem_init(&words->said, 0, 0);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PANIC_SECONDS;
	if (pthread_create(&speaker, NULL, say_last_words, words) != 0)
		(void)say_last_words(words);
	while (sem_timedwait(&words->said, &until) < 0 && errno == EINTR)
		;
}

void diag_panic(const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	struct last_words words = {.text = text};
	va_list ap;

	va_start(ap, fmt);
	format_line(text, fmt, ap);
	va_end(ap);
	words.own_batch =
	    atomic_load(&threaded) && pthread_equal(pthread_self(), thread);
	if (!atomic_exchange(&panicking, true)) {
		say_in_time(&words);
	} else { /* the speaker, or beside it: do not cut it short */
		write_line(LOG_ALERT, panic_name, text);
		(void)poll(NULL, 0, PANIC_SECONDS * 1000);
	}
	abort();
}

char *diag_quote(char *out, size_t size, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0, mark = 0, step;
	char piece[8];

	if (!size)
		return out;
	/* `mark` is the last place after which "..." and the NUL still fit. */
	for (size_t i = 0; i < len; i += step) {
		unsigned char c = (unsigned char)text[i];
		size_t piece_len;

		step = terminal_step(text + i, len - i);
		if (!step || c == '"' || c == '\\') {
			step = 1;
			piece[0] = '\\';
			piece[1] = 'x';
			piece[2] = hex[c >> 4];
			piece[3] = hex[c & 15];
			piece_len = 4;
		} else {
			memcpy(piece, text + i, step);
			piece_len = step;
		}
		if (used + piece_len >= size) {
			used = mark;
			for (int dots = 0; dots < 3 && used + 1 < size; dots++)
				out[used++] = '.';
			break;
		}
		memcpy(out + used, piece, piece_len);
		used += piece_len;
		if (used + 4 <= size)
			mark = used;
	}
	out[used] = '\0';
	return out;
}

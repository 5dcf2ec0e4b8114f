/*
 * enqueue.c - puts messages into a queue file, as the milter would
 *
 * For tests and measurements: thousands in a transaction, so that a million
 * rows take no longer than SQLite does.
 *
 *	enqueue --queue FILE --from ADDR --to ADDR... --file MESSAGE
 *		[--count N] [--domain-spread N] [--due-in SECONDS] [--meta K=V]
 *		[--shared-content] [--pace N] [--domain-from N]
 *
 * The i-th message with --domain-spread N goes to the domain n<i mod N>.DOMAIN.
 * Recipients of one domain are one batch.  --domain-from: i counts from there.
 * --pace N: not all at once but N messages a second, each in a transaction of
 * its own.
 */
#include <getopt.h>
#include <sysexits.h>
#include <time.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "queue/queue.h"
#include "queue/queue_writer.h"

#define TO_MOST 10000
#define GROUP 2000
#define GROUP_BYTES ((size_t)8 << 20)
#define MESSAGE_MOST ((size_t)1 << 30)

struct settings {
	const char *queue, *from, *file;
	const char *to[TO_MOST];
	size_t to_count;
	const char *meta[64];
	size_t meta_count;
	int64_t count, spread, due_in, pace, from_domain;
	bool shared;
};

struct group {
	struct {
		struct message **items;
		size_t count, size;
	} messages;
	struct {
		const char **items;
		size_t count, size;
	} admitted;
	struct custody *custody;
	struct queue_intake intake;
};

static int64_t number(const char *text)
{
	int64_t n;

	if (!str_to_int(text, &n))
		diag_fatal(EX_USAGE, "expected a number, got \"%s\"", text);
	return n;
}

static void parse(int argc, char **argv, struct settings *s)
{
	static const struct option options[] = {
	    {"queue", required_argument, NULL, 'q'},
	    {"from", required_argument, NULL, 'f'},
	    {"to", required_argument, NULL, 't'},
	    {"file", required_argument, NULL, 'm'},
	    {"count", required_argument, NULL, 'n'},
	    {"domain-spread", required_argument, NULL, 's'},
	    {"due-in", required_argument, NULL, 'd'},
	    {"meta", required_argument, NULL, 'k'},
	    {"shared-content", no_argument, NULL, 'S'},
	    {"pace", required_argument, NULL, 'p'},
	    {"domain-from", required_argument, NULL, 'F'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'q':
			s->queue = optarg;
			break;
		case 'f':
			s->from = optarg;
			break;
		case 't':
			if (s->to_count == TO_MOST)
				diag_fatal(EX_USAGE, "too many --to");
			s->to[s->to_count++] = optarg;
			break;
		case 'm':
			s->file = optarg;
			break;
		case 'n':
			s->count = number(optarg);
			break;
		case 's':
			s->spread = number(optarg);
			break;
		case 'd':
			s->due_in = number(optarg);
			break;
		case 'k':
			if (s->meta_count == COUNT(s->meta))
				diag_fatal(EX_USAGE, "too many --meta");
			s->meta[s->meta_count++] = optarg;
			break;
		case 'p':
			s->pace = number(optarg);
			break;
		case 'F':
			s->from_domain = number(optarg);
			break;
		case 'S':
			s->shared = true;
			break;
		default:
			exit(EX_USAGE);
		}
	if (!s->queue || !s->from || s->to_count == 0 || !s->file)
		diag_fatal(
		    EX_USAGE, "--queue, --from, --to and --file are required");
}

static void set_meta(struct message *m, const struct settings *s)
{
	for (size_t i = 0; i < s->meta_count; i++) {
		const char *equals = strchr(s->meta[i], '=');
		char *name;

		if (!equals)
			diag_fatal(EX_USAGE, "--meta: expected NAME=VALUE");
		name = xstrndup(s->meta[i], (size_t)(equals - s->meta[i]));
		meta_set_string(m->meta, name, equals + 1);
		free(name);
	}
}

static void parse_address(
    const char *text, struct arena *arena, struct address *out)
{
	struct err err = {0};

	if (!address_parse(text, strlen(text), arena, out, &err))
		diag_fatal(EX_USAGE, "%s: %s", text, err.text);
}

static struct message *new_message(
    const struct settings *s, struct content *content)
{
	struct message *m = message_new();

	parse_address(s->from, m->arena, &m->sender.address);
	m->sender.size = -1;
	if (content_facts(content)->has_8bit)
		m->sender.body = "8BITMIME";
	if (!m->meta)
		m->meta = meta_new();
	set_meta(m, s);
	m->content = content_ref(content);
	m->created_ms = clock_unix_ms();
	m->due_at = clock_unix() + s->due_in;
	return m;
}

/* The i-th message: one batch for each domain. */
static void add(struct group *g, const struct settings *s,
    struct content *content, int64_t i)
{
	size_t first = g->messages.count;
	char text[1024];

	for (size_t n = 0; n < s->to_count; n++) {
		struct envelope_recipient r = {0};
		struct message *m = NULL;
		struct arena *scratch = arena_new(0);
		struct address a;
		const char *at = strrchr(s->to[n], '@');

		if (s->spread > 0 && at)
			(void)snprintf(text, sizeof text, "%.*s@n%lld.%s",
			    (int)(at - s->to[n]), s->to[n],
			    (long long)(s->from_domain + i % s->spread),
			    at + 1);
		else
			(void)str_copy(text, sizeof text, s->to[n]);
		parse_address(text, scratch, &a);
		for (size_t j = first; j < g->messages.count && !m; j++)
			if (str_case_eq(g->messages.items[j]
					    ->recipients.items[0]
					    .address.domain,
				a.domain))
				m = g->messages.items[j];
		if (!m) {
			m = new_message(s, content);
			*ARRAY_ADD(&g->messages) = m;
			*ARRAY_ADD(&g->admitted) = "enqueue";
		}
		parse_address(text, m->arena, &r.address);
		*ARRAY_ADD(&m->recipients) = r;
		arena_unref(scratch);
	}
}

static void submit(struct group *g, struct queue_writer *writer)
{
	g->intake = (struct queue_intake){
	    .messages = g->messages.items,
	    .count = g->messages.count,
	    .client_addr = "127.0.0.1",
	    .helo = "enqueue",
	    .reception_protocol = "ESMTP",
	    .admitted_by = g->admitted.items,
	};
	g->custody = custody_begin(writer, &g->intake);
}

static void wait(struct group *g)
{
	struct err err = {0};

	if (!g->custody)
		return;
	if (custody_wait(g->custody, clock_now_ms() + 600000, NULL, NULL,
		&err) != CUSTODY_COMMITTED)
		diag_fatal(EX_TEMPFAIL, "%s", err.text);
	custody_free(g->custody);
	g->custody = NULL;
	for (size_t i = 0; i < g->messages.count; i++)
		message_unref(g->messages.items[i]);
	g->messages.count = g->admitted.count = 0;
}

/* Until it is the turn of the i-th message. */
static void keep_pace(const struct settings *s, int64_t began, int64_t i)
{
	int64_t left = began + i * 1000 / s->pace - clock_now_ms();
	struct timespec ts = {
	    .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

	if (left > 0)
		(void)nanosleep(&ts, NULL);
}

int main(int argc, char **argv)
{
	struct settings s = {.count = 1};
	struct queue_options options = {.program = QUEUE_TOOL, .create = true};
	struct group groups[2] = {0};
	struct queue_writer *writer;
	struct queue *queue;
	struct content *shared;
	struct err err = {0};
	int64_t done = 0, began;
	size_t turn = 0, len;
	char *bytes;

	diag_init("enqueue", true);
	parse(argc, argv, &s);
	options.path = s.queue;
	bytes = fd_read_file(s.file, MESSAGE_MOST, &len, &err);
	if (!bytes)
		diag_fatal(EX_NOINPUT, "%s", err.text);
	if (!queue_open(&queue, &options, &err))
		diag_fatal(err_exit_code(&err), "%s", err.text);
	writer = queue_writer_start(queue, &err);
	if (!writer)
		diag_fatal(err_exit_code(&err), "%s", err.text);
	shared = content_from_bytes(bytes, len);
	began = clock_now_ms();
	while (done < s.count) {
		struct group *g = &groups[turn++ % 2];
		size_t size = 0, most = s.pace ? s.to_count : GROUP;

		if (s.pace)
			keep_pace(&s, began, done);
		wait(g);
		while (done < s.count && g->messages.count < most &&
		       size < GROUP_BYTES) {
			struct content *c =
			    s.shared ? content_ref(shared)
				     : content_from_bytes(bytes, len);

			add(g, &s, c, done++);
			content_unref(c);
			size += len;
		}
		submit(g, writer);
		if (s.pace) {
			wait(g);
			queue_doorbell_ring(queue);
		}
	}
	wait(&groups[0]);
	wait(&groups[1]);
	queue_writer_stop(writer);
	queue_doorbell_ring(queue);
	queue_close(queue);
	for (size_t i = 0; i < COUNT(groups); i++) {
		ARRAY_FREE(&groups[i].messages);
		ARRAY_FREE(&groups[i].admitted);
	}
	content_unref(shared);
	free(bytes);
	return EX_OK;
}

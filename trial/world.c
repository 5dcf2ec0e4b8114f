/*
 * world.c - a policy with everything it needs, and no MTA, network or system
 */
#include "trial/world.h"

#include <pthread.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "logs/log_read.h"
#include "lua/script_dns.h"
#include "lua/script_services.h"
#include "queue/queue_view.h"
#include "trial/routing.h"

#define SHUTDOWN_MS 2000

/* ---- start and end ---- */

/* All types, with what any of the policy's loggers asks for. */
static bool start_log(
    struct world *w, const struct policy_setup *setup, struct err *err)
{
	struct logger_settings logger = {
	    .log_dir = w->log_dir,
	    .max_file_size = INT64_MAX,
	    .compression_level = 1,
	    .back_pressure = INT64_MAX,
	};
	struct {
		const char **items;
		size_t count, size;
	} meta = {0}, headers = {0};
	char node_id[37];

	for (size_t i = 0; i < setup->log_count; i++) {
		const struct log_config *c = setup->logs[i];

		for (size_t j = 0; j < c->meta.count; j++)
			*ARRAY_ADD(&meta) = c->meta.items[j];
		for (size_t j = 0; j < c->headers.count; j++)
			*ARRAY_ADD(&headers) = c->headers.items[j];
	}
	logger.meta = (struct string_list_view){meta.items, meta.count};
	logger.headers =
	    (struct string_list_view){headers.items, headers.count};
	for (size_t i = 0; i < LOG_TYPE_COUNT; i++)
		logger.per_record[i].enabled = true;
	w->service.log_wants_headers = headers.count > 0;
	if (log_node_id(w->dir, node_id, err))
		w->service.log =
		    log_writer_start(&logger, 1, "trial", node_id, err);
	ARRAY_FREE(&meta);
	ARRAY_FREE(&headers);
	return w->service.log != NULL;
}

static bool start_queue(struct world *w, const char *path, struct err *err)
{
	const struct queue_options options = {
	    .path = path,
	    .program = QUEUE_MILTER,
	    .create = true,
	    /* A rehearsal has room, or fails by itself. */
	    .free_floor_bytes = 1,
	    .free_floor_percent = 100,
	};

	if (!queue_open(&w->service.queue, &options, err))
		return false;
	w->service.writer = queue_writer_start(w->service.queue, err);
	return w->service.writer &&
	       queue_connect(w->service.queue, false, &w->conn, err);
}

void world_set_zone(struct world *w, struct dns_zone *zone)
{
	dns_zone_unref(w->zone);
	w->zone = dns_zone_ref(zone);
	script_use_zone(zone);
	if (w->routing)
		routing_set_zone(w->routing, zone);
}

/* A list that only the test fills (t.suppress). */
static struct script_services services = {.suppressed = service_suppressed};

bool world_start(
    struct world **out, const struct world_options *options, struct err *err)
{
	struct script_options script = {
	    .path = options->policy,
	    .role = SCRIPT_MILTER,
	    .threads = 2,
	};
	struct arena *arena = arena_new(0);
	struct world *w = ARENA_NEW(arena, struct world);
	struct script_policy *policy = NULL;
	struct dns_zone *zone =
	    options->zone ? dns_zone_ref(options->zone) : dns_zone_new();
	const char *queue;

	w->arena = arena;
	w->dir = arena_strdup(arena, options->dir);
	w->log_dir = arena_printf(arena, "%s/logs", w->dir);
	queue = arena_printf(arena, "%s/queue.db", w->dir);
	script_protect_file(queue);
	world_set_zone(w, zone);
	dns_zone_unref(zone);
	w->service.policy_path = arena_strdup(arena, options->policy);
	w->service.spill_dir = w->dir;
	w->service.program_version = PACKAGE_VERSION;
	if (!script_policy_load(&policy, &script, err)) {
		world_end(w);
		return false;
	}
	service_init_take(&w->service, policy);
	if (!start_log(w, script_policy_setup(policy), err) ||
	    !start_queue(w, queue, err)) {
		(void)err_prefix(err, "%s", w->dir);
		world_end(w);
		return false;
	}
	services.ctx = &w->service;
	script_use_services(&services);
	*out = w;
	return true;
}

void world_end(struct world *w)
{
	struct service *s;

	if (!w)
		return;
	s = &w->service;
	script_use_services(NULL);
	routing_free(w->routing);
	if (w->conn)
		queue_disconnect(w->conn);
	if (s->writer)
		queue_writer_stop(s->writer);
	log_writer_stop(s->log);
	if (s->queue)
		queue_close(s->queue);
	if (s->policy)
		service_release(s);
	if (script_shutdown(SHUTDOWN_MS))
		script_resolvers_stop();
	dns_zone_unref(w->zone);
	arena_unref(w->arena);
}

/* ---- what was stored ---- */

struct rows {
	struct arena *arena;
	struct value *items;
	size_t count, size;
};

static bool add_row(const struct value *row, void *ctx)
{
	struct rows *rows = ctx;

	*ARRAY_ADD(rows) = value_copy(rows->arena, row);
	return true;
}

static int64_t number_of(const struct value *row, const char *key)
{
	const struct value *v = value_get(row, key);

	return v ? v->i : 0;
}

static const char *text_of(const struct value *row, const char *key)
{
	const struct value *v = value_get(row, key);

	return v && v->type == VALUE_STRING ? v->s : NULL;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = number_of(a, "recipient_id"),
		y = number_of(b, "recipient_id");

	return x < y ? -1 : x > y;
}

static bool ask(struct world *w, enum queue_question question, const char *id,
    struct rows *rows, struct err *err)
{
	const struct queue_selector selector = {.id = id};

	if (!queue_ask(w->conn, question, &selector, add_row, rows, err))
		return false;
	if (question == QUEUE_Q_LIST && rows->count)
		qsort(rows->items, rows->count, sizeof *rows->items, by_id);
	return true;
}

static bool add_piece(const char *p, size_t len, void *ctx)
{
	buf_add(ctx, p, len);
	return true;
}

static bool read_body(
    struct world *w, struct stored *out, struct arena *arena, struct err *err)
{
	struct buf body = BUF_INIT;
	bool ok = queue_body(w->conn, out->id, add_piece, &body, err);

	out->data = arena_strndup(arena, buf_str(&body), body.len);
	out->len = body.len;
	buf_release(&body);
	return ok;
}

static bool read_message(
    struct world *w, struct stored *out, struct arena *arena, struct err *err)
{
	struct rows rows = {.arena = arena};
	const char *meta;
	bool ok = ask(w, QUEUE_Q_MESSAGE, out->id, &rows, err);

	if (ok && rows.count) {
		out->admitted_by = text_of(&rows.items[0], "admitted_by");
		meta = text_of(&rows.items[0], "meta");
		out->meta.type = VALUE_MAP;
		ok = !meta ||
		     json_parse(meta, strlen(meta), arena, &out->meta, err);
	}
	ARRAY_FREE(&rows);
	return ok && read_body(w, out, arena, err);
}

/* The rows of one message come one after the other. */
static size_t take_message(
    const struct rows *rows, size_t from, struct stored *out)
{
	const struct value *first = &rows->items[from];
	size_t n = from;

	*out = (struct stored){
	    .id = text_of(first, "id"),
	    .sender = text_of(first, "sender"),
	    .queue = text_of(first, "queue"),
	    .due_at = number_of(first, "due_at"),
	};
	out->recipients =
	    ARENA_ARRAY(rows->arena, const char *, rows->count - from);
	for (;
	     n < rows->count && str_eq(text_of(&rows->items[n], "id"), out->id);
	     n++)
		out->recipients[out->recipient_count++] =
		    text_of(&rows->items[n], "recipient");
	return n;
}

static bool list(struct world *w, struct rows *rows, struct stored **out,
    size_t *count, struct err *err)
{
	*count = 0;
	if (!ask(w, QUEUE_Q_LIST, NULL, rows, err))
		return false;
	*out = ARENA_ARRAY(rows->arena, struct stored, rows->count + 1);
	for (size_t n = 0; n < rows->count;)
		n = take_message(rows, n, &(*out)[(*count)++]);
	return true;
}

bool world_stored(struct world *w, struct arena *arena, struct stored **out,
    size_t *count, struct err *err)
{
	struct rows rows = {.arena = arena};
	bool ok = list(w, &rows, out, count, err);

	for (size_t i = 0; ok && i < *count; i++)
		ok = read_message(w, &(*out)[i], arena, err);
	ARRAY_FREE(&rows);
	return ok;
}

bool world_stored_count(struct world *w, size_t *count, struct err *err)
{
	struct rows rows = {.arena = arena_new(0)};
	struct stored *all;
	bool ok = list(w, &rows, &all, count, err);

	ARRAY_FREE(&rows);
	arena_unref(rows.arena);
	return ok;
}

/* ---- records ---- */

struct flush {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool done;
};

static void wake(void *ctx)
{
	struct flush *f = ctx;

	pthread_mutex_lock(&f->mutex);
	f->done = true;
	pthread_cond_signal(&f->cond);
	pthread_mutex_unlock(&f->mutex);
}

/* Batches are reported in their order, so this one is after all others. */
static void flush_log(struct world *w)
{
	struct flush f = {
	    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

	log_writer_submit(log_batch_new(w->service.log), wake, &f);
	pthread_mutex_lock(&f.mutex);
	while (!f.done)
		pthread_cond_wait(&f.cond, &f.mutex);
	pthread_mutex_unlock(&f.mutex);
	pthread_cond_destroy(&f.cond);
	pthread_mutex_destroy(&f.mutex);
}

struct lines {
	struct rows rows;
	struct err err;
};

static bool add_line(const char *line, size_t len, void *ctx)
{
	struct lines *lines = ctx;
	struct value v;

	if (!json_parse(line, len, lines->rows.arena, &v, &lines->err))
		return false;
	*ARRAY_ADD(&lines->rows) = v;
	return true;
}

bool world_records(
    struct world *w, struct arena *arena, struct value *out, struct err *err)
{
	struct lines lines = {.rows.arena = arena};
	bool ok;

	flush_log(w);
	ok = log_read_dir(w->log_dir, add_line, &lines, err);
	if (ok && lines.err.class != ERR_NONE) {
		*err = lines.err;
		ok = false;
	}
	*out = (struct value){.type = VALUE_LIST, .count = lines.rows.count};
	out->items = ARENA_ARRAY(arena, struct value, out->count + 1);
	if (out->count)
		memcpy(out->items, lines.rows.items,
		    out->count * sizeof *out->items);
	ARRAY_FREE(&lines.rows);
	return ok;
}

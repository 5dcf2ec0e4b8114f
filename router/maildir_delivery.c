/*
 * maildir_delivery.c - messages of scheduled queues that end in a maildir
 *
 * A task owns its message while a worker has it; all of the message's
 * recipients are in one task, one after the other.
 */
#include "router/maildir_delivery.h"

#include "base/arena.h"
#include "base/diag.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "deliver/deliver.h"
#include "mail/meta.h"
#include "policy/queue_config.h"
#include "policy/template.h"
#include "queue/queue.h"
#include "router/intake.h"
#include "router/outcome.h"
#include "router/policy_call.h"
#include "router/ready_message.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define WORKERS 4
#define QUEUE_MOST 64 /* of one scheduled queue */
#define BUSY_MOST 512 /* of all */

struct maildirs {
	struct router *r;
	struct worker_pool *pool;
	size_t busy;
};

struct task {
	struct loop_item item;
	struct maildirs *m;
	struct ready_message *rm;
	struct record_ref *config; /* struct queue_config */
};

/* ---- on a worker ---- */

static struct value text_value(const char *s)
{
	if (!s)
		return (struct value){.type = VALUE_NIL};
	return (struct value){.type = VALUE_STRING, .s = s, .len = strlen(s)};
}

static struct value meta_value(
    const struct ready_message *rm, struct arena *arena)
{
	struct value v = {.type = VALUE_MAP};
	struct meta *meta = NULL;
	const struct value *one;
	const char *name;
	size_t pos = 0, n = 0;

	if (rm->m.meta_json)
		meta = meta_parse_json(
		    rm->m.meta_json, strlen(rm->m.meta_json), NULL);
	if (!meta)
		return v;
	while (meta_each(meta, &pos, &name, &one))
		n++;
	v.entries = ARENA_ARRAY(arena, struct value_entry, n + 1);
	pos = 0;
	while (meta_each(meta, &pos, &name, &one))
		v.entries[v.count++] = (struct value_entry){
		    arena_strdup(arena, name), value_copy(arena, one)};
	meta_free(meta);
	return v;
}

static struct value variables(const struct ready_message *rm,
    const struct address *recipient, struct value meta, struct arena *arena)
{
	const struct queue_name *parts = &rm->sq->parts;
	const struct address *sender = &rm->m.sender.address;
	const struct value_entry entries[] = {
	    {"meta", meta},
	    {"queue", text_value(rm->sq->name)},
	    {"campaign", text_value(parts->campaign)},
	    {"tenant", text_value(parts->tenant)},
	    {"domain", text_value(parts->domain)},
	    {"routing_domain", text_value(parts->routing_domain)},
	    {"local_part", text_value(recipient->user)},
	    {"domain_part", text_value(recipient->domain)},
	    {"email", text_value(recipient->email)},
	    {"sender_local_part", text_value(sender->user)},
	    {"sender_domain_part", text_value(sender->domain)},
	    {"sender_email", text_value(sender->email)},
	};

	return (struct value){.type = VALUE_MAP,
	    .count = COUNT(entries),
	    .entries = arena_memdup(arena, entries, sizeof entries)};
}

/* The message below its prefix comes from the queue, chunk by chunk. */
struct reader {
	struct queue_conn *conn;
	const struct queue_message *m;
	size_t prefix_done;
	int64_t chunk;
	struct buf data;
	size_t used;
	struct err err;
};

static int64_t read_some(void *ctx, void *out, size_t size)
{
	struct reader *r = ctx;
	size_t left = r->m->prefix_len - r->prefix_done;

	if (left > 0) {
		if (left > size)
			left = size;
		memcpy(out, r->m->prefix + r->prefix_done, left);
		r->prefix_done += left;
		return (int64_t)left;
	}
	if (r->used == r->data.len) {
		if (r->chunk * QUEUE_CHUNK >= r->m->facts.size)
			return 0;
		buf_reset(&r->data);
		r->used = 0;
		if (!queue_read_chunk(r->conn, r->m->content_id, r->chunk++,
			&r->data, &r->err))
			return -1;
	}
	left = r->data.len - r->used;
	if (left > size)
		left = size;
	memcpy(out, r->data.data + r->used, left);
	r->used += left;
	return (int64_t)left;
}

/* A field of ours with an address, which may not end its line early. */
static void add_field(struct buf *out, const char *name, const char *before,
    const struct address *address, const char *after)
{
	buf_addf(out, "%s: %s", name, before);
	for (const char *p = address->email; *p; p++)
		buf_addch(
		    out, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
	buf_addf(out, "%s\r\n", after);
}

/* What the policy wants in front of the message (RFC 5321, 4.4; RFC 9228). */
static void add_fields(
    const struct task *task, const struct address *recipient, struct buf *out)
{
	const struct queue_config *config = task->config->record;

	if (config->protocol.return_path)
		add_field(
		    out, "Return-Path", "<", &task->rm->m.sender.address, ">");
	if (config->protocol.delivered_to)
		add_field(out, "Delivered-To", "", recipient, "");
}

static bool store(struct task *task, const char *root, const struct buf *fields,
    struct buf *stored, struct err *err)
{
	const struct queue_config *config = task->config->record;
	const struct queue_message *m = &task->rm->m;
	const char *pieces[] = {buf_str(fields), m->prefix, m->inline_content};
	const size_t lengths[] = {
	    fields->len, m->prefix_len, (size_t)m->facts.size};
	struct reader reader = {.m = m};
	struct maildir_job job = {
	    .root = root,
	    .dir_mode = (int)config->protocol.dir_mode,
	    .file_mode = (int)config->protocol.file_mode,
	    .pieces = pieces,
	    .lengths = lengths,
	    .lf = config->protocol.line_endings == MAILDIR_LF,
	};
	bool ok;

	if (m->inline_content || m->facts.size == 0) {
		job.piece_count = m->inline_content ? 3 : 2;
		return maildir_deliver(&job, stored, err);
	}
	if (!queue_connect(task->m->r->queue, false, &reader.conn, err))
		return false;
	job.piece_count = 1; /* the reader brings the prefix, too */
	job.read = read_some;
	job.ctx = &reader;
	ok = maildir_deliver(&job, stored, err);
	queue_disconnect(reader.conn);
	buf_release(&reader.data);
	return ok;
}

static struct smtp_reply deliver_one(struct task *task,
    const struct address *recipient, const struct template *template,
    struct value meta)
{
	struct arena *arena = task->rm->arena;
	struct value vars = variables(task->rm, recipient, meta, arena);
	struct buf path = BUF_INIT, fields = BUF_INIT, stored = BUF_INIT;
	struct smtp_reply reply;
	struct err err = {0};

	add_fields(task, recipient, &fields);
	if (!template_render(
		template, &vars, template_check_file_name, NULL, &path, &err)) {
		reply = err.class == ERR_PERM
			    ? smtp_reply_make(arena, 550, "5.1.3",
				  "maildir_path: %s", err.text)
			    : smtp_reply_make(arena, 400, NULL,
				  "maildir_path: %s", err.text);
	} else if (!store(task, buf_str(&path), &fields, &stored, &err)) {
		reply = smtp_reply_make(arena, 400, NULL, "%s", err.text);
	} else {
		reply = smtp_reply_make(
		    arena, 200, NULL, "wrote to %s", buf_str(&stored));
	}
	buf_release(&path);
	buf_release(&fields);
	buf_release(&stored);
	return reply;
}

static void serve(struct inbox_item *item, void *ctx)
{
	struct task *task = CONTAINER_OF(
	    CONTAINER_OF(item, struct loop_item, item), struct task, item);
	struct ready_message *rm = task->rm;
	const struct queue_config *config = task->config->record;
	struct value meta = meta_value(rm, rm->arena);
	struct err err = {0};
	const struct template *template =
	    template_compile(config->protocol.maildir_path, rm->arena, &err);
	struct smtp_reply circle;
	bool circles = ready_message_circles(rm, &circle);

	ready_message_begins(rm, task->m->r->queue, NULL, 0);
	for (size_t i = 0; i < rm->count; i++) {
		struct delivery_recipient *r = &rm->recipients[i];

		if (circles)
			r->reply = circle;
		else if (!template)
			r->reply = smtp_reply_make(
			    rm->arena, 400, NULL, "maildir_path: %s", err.text);
		else
			r->reply =
			    deliver_one(task, &r->who.address, template, meta);
	}
	ready_message_ends(rm, task->m->r->queue, NULL, 0);
	loop_post(task->m->r->loop, &task->item);
}

/* ---- on the loop ---- */

static void run_done(struct loop_item *item)
{
	struct task *task = CONTAINER_OF(item, struct task, item);
	struct maildirs *m = task->m;
	struct ready_message *rm = task->rm;
	const struct attempt attempt = {.protocol = "Maildir", .maildir = true};

	m->busy--;
	outcome_report(m->r->outcomes, rm, rm->recipients, rm->count, &attempt);
	record_unref(task->config);
	free(task);
	intake_unblock_maildirs(m->r->intake);
	router_progress(m->r);
}

struct maildirs *maildirs_new(struct router *r)
{
	struct maildirs *m = xcalloc(1, sizeof *m);

	m->r = r;
	m->pool = worker_pool_new("maildir", WORKERS, serve, m);
	return m;
}

void maildirs_free(struct maildirs *m)
{
	if (!m)
		return;
	worker_pool_free(m->pool);
	free(m);
}

size_t maildirs_room(const struct maildirs *m, const struct scheduled_queue *sq)
{
	size_t here = sq->leased < QUEUE_MOST ? QUEUE_MOST - sq->leased : 0;
	size_t all = m->busy < BUSY_MOST ? BUSY_MOST - m->busy : 0;

	return here < all ? here : all;
}

void maildirs_put(struct maildirs *m, struct ready_message *rm)
{
	struct task *task = xcalloc(1, sizeof *task);

	task->item.run = run_done;
	task->m = m;
	task->rm = rm;
	task->config = record_ref(rm->sq->config);
	rm->next = rm->count; /* all of it is in a job */
	m->busy++;
	worker_pool_put(m->pool, &task->item.item);
}

size_t maildirs_busy(const struct maildirs *m)
{
	return m->busy;
}

/*
 * message_load.c - leased messages as the policy sees them
 */
#include "router/message_load.h"

#include "base/arena.h"
#include "base/fd.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "queue/queue.h"
#include "router/ready_message.h"
#include "router/router.h"

#define WORKERS 2
#define SPILL_AT (1 << 20)

struct message_loader {
	struct router *r;
	struct worker_pool *pool;
	char spill_dir[4096];
};

struct load {
	struct loop_item item;
	struct message_loader *loader;
	struct ready_message **rms;
	struct message **messages;
	size_t count;
	bool ok;
	struct err err;
	message_loaded_fn *done;
	void *ctx;
};

static struct address copy_address(struct arena *arena, const struct address *a)
{
	return (struct address){
	    .local = arena_strdup(arena, a->local),
	    .user = arena_strdup(arena, a->user),
	    .domain = arena_strdup(arena, a->domain),
	    .email = arena_strdup(arena, a->email),
	};
}

static void copy_sender(struct message *m, const struct envelope_sender *s)
{
	m->sender = *s;
	m->sender.address = copy_address(m->arena, &s->address);
	m->sender.body = arena_strdup(m->arena, s->body);
	m->sender.ret = arena_strdup(m->arena, s->ret);
	m->sender.envid = arena_strdup(m->arena, s->envid);
	m->sender.auth = arena_strdup(m->arena, s->auth);
}

struct message *message_without_content(const struct ready_message *rm,
    const struct delivery_recipient *const *recipients, size_t count)
{
	struct message *m = message_new();
	struct meta *meta = NULL;

	(void)snprintf(m->id, sizeof m->id, "%s", rm->m.id);
	copy_sender(m, &rm->m.sender);
	for (size_t i = 0; i < count; i++) {
		const struct envelope_recipient *who = &recipients[i]->who;

		*ARRAY_ADD(&m->recipients) = (struct envelope_recipient){
		    .address = copy_address(m->arena, &who->address),
		    .notify = arena_strdup(m->arena, who->notify),
		    .orcpt = arena_strdup(m->arena, who->orcpt),
		};
	}
	if (rm->m.meta_json)
		meta = meta_parse_json(
		    rm->m.meta_json, strlen(rm->m.meta_json), NULL);
	if (meta) {
		meta_free(m->meta);
		m->meta = meta;
	}
	buf_add(&m->prefix, rm->m.prefix, rm->m.prefix_len);
	m->created_ms = rm->m.created_ms;
	if (count > 0) {
		const struct ready_recipient *info =
		    &rm->info[recipients[0]->recipient_id];

		m->attempts = info->attempts;
		m->due_at = info->due_at;
	}
	m->scheduling = arena_strdup(m->arena, rm->m.scheduling);
	return m;
}

/* ---- on a worker ---- */

static struct content *read_content(
    struct load *load, const struct queue_message *m, struct queue_conn **conn)
{
	struct content_builder *b;
	struct buf chunk = BUF_INIT;
	bool ok = true;

	if (m->inline_content || m->facts.size == 0)
		return content_from_bytes(
		    m->facts.size ? m->inline_content : "",
		    (size_t)m->facts.size);
	if (!*conn &&
	    !queue_connect(load->loader->r->queue, false, conn, &load->err))
		return NULL;
	b = content_builder_new(load->loader->spill_dir, SPILL_AT);
	for (int64_t n = 0; ok && content_builder_size(b) < m->facts.size;
	     n++) {
		buf_reset(&chunk);
		ok = queue_read_chunk(
			 *conn, m->content_id, n, &chunk, &load->err) &&
		     content_builder_add(
			 b, buf_str(&chunk), chunk.len, &load->err);
	}
	buf_release(&chunk);
	if (ok)
		return content_builder_finish(b, &load->err);
	content_builder_free(b);
	return NULL;
}

static void serve(struct inbox_item *item, void *ctx)
{
	struct load *load = CONTAINER_OF(
	    CONTAINER_OF(item, struct loop_item, item), struct load, item);
	struct queue *queue = load->loader->r->queue;
	struct queue_conn *conn = NULL;

	(void)ctx;
	load->ok = true;
	for (size_t i = 0; i < load->count && load->ok; i++) {
		struct message *m = load->messages[i];

		/* Of rm only what never changes: the loop may be at the rest.
		 */
		const struct ready_message *rm = load->rms[i];
		int mark = queue_attempt_begins(queue, rm->info[0].row);

		m->content = read_content(load, &rm->m, &conn);
		queue_attempt_ends(queue, mark);
		load->ok = m->content != NULL;
	}
	queue_disconnect(conn);
	loop_post(load->loader->r->loop, &load->item);
}

/* ---- on the loop ---- */

static void run_loaded(struct loop_item *item)
{
	struct load *load = CONTAINER_OF(item, struct load, item);

	if (!load->ok)
		for (size_t i = 0; i < load->count; i++)
			message_unref(load->messages[i]);
	load->done(load->ok ? load->messages : NULL,
	    load->ok ? NULL : &load->err, load->ctx);
	free(load->messages);
	free(load->rms);
	free(load);
}

static struct message *whole(const struct ready_message *rm)
{
	const struct delivery_recipient **who =
	    xcalloc(rm->count + 1, sizeof(struct delivery_recipient *));
	struct message *m;

	for (size_t i = 0; i < rm->count; i++)
		who[i] = &rm->recipients[i];
	m = message_without_content(rm, who, rm->count);
	free(who);
	return m;
}

static struct load *load_new(struct message_loader *loader,
    struct ready_message *const *rms, size_t count, message_loaded_fn *done,
    void *ctx)
{
	struct load *load = xcalloc(1, sizeof *load);

	load->item.run = run_loaded;
	load->loader = loader;
	load->rms = xcalloc(count + 1, sizeof(struct ready_message *));
	memcpy(load->rms, rms, count * sizeof(struct ready_message *));
	load->messages = xcalloc(count + 1, sizeof(struct message *));
	load->count = count;
	load->done = done;
	load->ctx = ctx;
	return load;
}

void message_load(struct message_loader *loader,
    struct ready_message *const *rms, size_t count, message_loaded_fn *done,
    void *ctx)
{
	struct load *load = load_new(loader, rms, count, done, ctx);
	struct queue *queue = loader->r->queue;

	for (size_t i = 0; i < count; i++) {
		int64_t before =
		    queue_is_at(queue, QUEUE_HAND_LOOP, rms[i]->info[0].row);

		load->messages[i] = whole(rms[i]);
		(void)queue_is_at(queue, QUEUE_HAND_LOOP, before);
	}
	worker_pool_put(loader->pool, &load->item.item);
}

void message_complete_take(struct message_loader *loader, struct message *m,
    struct ready_message *rm, message_loaded_fn *done, void *ctx)
{
	struct load *load = load_new(loader, &rm, 1, done, ctx);

	load->messages[0] = m;
	worker_pool_put(loader->pool, &load->item.item);
}

struct message_loader *message_loader_new(struct router *r)
{
	struct message_loader *loader = xcalloc(1, sizeof *loader);
	struct err err = {0};

	loader->r = r;
	if (!path_dir(loader->spill_dir, sizeof loader->spill_dir,
		queue_path(r->queue), &err))
		(void)snprintf(
		    loader->spill_dir, sizeof loader->spill_dir, ".");
	loader->pool = worker_pool_new("load", WORKERS, serve, loader);
	return loader;
}

void message_loader_free(struct message_loader *loader)
{
	if (!loader)
		return;
	worker_pool_free(loader->pool);
	free(loader);
}

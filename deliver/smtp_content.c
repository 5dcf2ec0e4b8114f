/*
 * smtp_content.c - a message's bytes onto a wire, a chunk at a time
 */
#include "deliver/smtp_content.h"

#include "deliver/smtp_bounds.h"

void smtp_content_start(struct smtp_content *c, const struct delivery_job *job)
{
	c->job = job;
	c->chunk = c->got = 0;
	c->asking = c->in_get = c->bad = false;
	c->prefix_at = 0;
	dot_stuffing_init(&c->stuffing);
}

static void got(void *ctx, const char *data, size_t len)
{
	struct smtp_content *c = ctx;

	if (!c->job || !c->asking)
		return;
	c->asking = false;
	if (!data || !len || len > SMTP_CHUNK ||
	    (int64_t)len > c->job->facts.size - c->got) {
		c->bad = true;
	} else {
		dot_stuffing_add(
		    &c->stuffing, smtp_wire_out(c->wire), data, len);
		c->got += (int64_t)len;
		c->chunk++;
	}
	if (!c->in_get)
		c->resume(c->ctx);
}

static bool has_room(struct smtp_content *c)
{
	if (smtp_wire_backlog(c->wire) <= SMTP_CHUNK)
		return true;
	smtp_wire_flush(c->wire);
	return smtp_wire_backlog(c->wire) <= SMTP_CHUNK;
}

static void add_prefix(struct smtp_content *c)
{
	size_t left = c->job->prefix_len - c->prefix_at;
	size_t len = left < SMTP_CHUNK ? left : SMTP_CHUNK;

	dot_stuffing_add(&c->stuffing, smtp_wire_out(c->wire),
	    c->job->prefix + c->prefix_at, len);
	c->prefix_at += len;
}

enum smtp_content_state smtp_content_pump(struct smtp_content *c)
{
	while (c->prefix_at < c->job->prefix_len) {
		if (!has_room(c))
			return CONTENT_WAIT;
		add_prefix(c);
	}
	while (!c->bad && c->got < c->job->facts.size) {
		if (c->asking || !has_room(c))
			return CONTENT_WAIT;
		c->asking = c->in_get = true;
		c->job->body->ops->get(c->job->body, c->chunk, got, c);
		c->in_get = false;
	}
	if (c->bad)
		return CONTENT_BAD;
	(void)dot_stuffing_end(&c->stuffing, smtp_wire_out(c->wire));
	c->job = NULL;
	return CONTENT_ALL;
}

bool smtp_content_blocked(const struct smtp_content *c)
{
	return c->job && !c->asking && !c->in_get;
}

void smtp_content_stop(struct smtp_content *c)
{
	if (c->job && c->asking && c->job->body)
		c->job->body->ops->cancel(c->job->body);
	c->job = NULL;
	c->asking = false;
}

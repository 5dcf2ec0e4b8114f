/*
 * ready_message.c - a leased message and those recipients of it that are due
 */
#include "router/ready_message.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/diag.h"
#include "base/str.h"
#include "router/router.h"

#define RECEIVED_MOST 50

static size_t text_size(const char *s)
{
	return s ? strlen(s) + 16 : 0;
}

static size_t address_size(const struct address *a)
{
	return text_size(a->local) + text_size(a->user) + text_size(a->domain) +
	       text_size(a->email);
}

/* Enough for everything, so that a message is one malloc. */
static size_t estimate(const struct queue_lease *leases, size_t count)
{
	const struct queue_message *m = leases[0].message;
	size_t size = sizeof(struct ready_message) + 256 /* a reply */ +
		      sizeof(struct delivery_job) + 64;

	size += address_size(&m->sender.address) + text_size(m->sender.body) +
		text_size(m->sender.ret) + text_size(m->sender.envid) +
		text_size(m->sender.auth);
	size += text_size(m->meta_json) + m->prefix_len + 16;
	size += text_size(m->session_id) + text_size(m->mta_queue_id) +
		text_size(m->client_addr) + text_size(m->client_name) +
		text_size(m->helo) + text_size(m->reception_protocol) +
		text_size(m->scheduling) + text_size(m->header_id);
	for (size_t i = 0; i < count; i++)
		size += sizeof(struct delivery_recipient) +
			sizeof(struct ready_recipient) +
			address_size(&leases[i].recipient.address) +
			text_size(leases[i].recipient.notify) +
			text_size(leases[i].recipient.orcpt);
	return size + 128;
}

static struct address copy_address(struct arena *arena, const struct address *a)
{
	return (struct address){
	    .local = arena_strdup(arena, a->local),
	    .user = arena_strdup(arena, a->user),
	    .domain = arena_strdup(arena, a->domain),
	    .email = arena_strdup(arena, a->email),
	};
}

static void copy_message(struct arena *arena, struct queue_message *out,
    const struct queue_message *m)
{
	*out = *m;
	out->sender.address = copy_address(arena, &m->sender.address);
	out->sender.body = arena_strdup(arena, m->sender.body);
	out->sender.ret = arena_strdup(arena, m->sender.ret);
	out->sender.envid = arena_strdup(arena, m->sender.envid);
	out->sender.auth = arena_strdup(arena, m->sender.auth);
	out->meta_json = arena_strdup(arena, m->meta_json);
	out->prefix = arena_strndup(arena, m->prefix, m->prefix_len);
	out->session_id = arena_strdup(arena, m->session_id);
	out->mta_queue_id = arena_strdup(arena, m->mta_queue_id);
	out->client_addr = arena_strdup(arena, m->client_addr);
	out->client_name = arena_strdup(arena, m->client_name);
	out->helo = arena_strdup(arena, m->helo);
	out->reception_protocol = arena_strdup(arena, m->reception_protocol);
	out->scheduling = arena_strdup(arena, m->scheduling);
	out->header_id = arena_strdup(arena, m->header_id);
	out->authn_id = out->listener = out->hostname = NULL; /* not needed */
	out->admitted_by = NULL;
	out->inline_content = NULL;
}

struct ready_message *ready_message_new(const struct queue_lease *leases,
    size_t count, struct scheduled_queue *sq, atomic_llong *inline_bytes)
{
	const struct queue_message *m = leases[0].message;
	size_t hint = estimate(leases, count);
	bool keep =
	    m->inline_content &&
	    atomic_load(inline_bytes) + m->facts.size <= ROUTER_INLINE_MOST;
	struct arena *arena =
	    arena_new(keep ? hint + (size_t)m->facts.size + 16 : hint);
	struct ready_message *rm = ARENA_NEW(arena, struct ready_message);

	list_init(&rm->link);
	rm->arena = arena;
	rm->sq = sq;
	copy_message(arena, &rm->m, m);
	if (keep) {
		rm->inline_bytes = m->facts.size;
		atomic_fetch_add(inline_bytes, m->facts.size);
		rm->m.inline_content = arena_memdup(
		    arena, m->inline_content, (size_t)m->facts.size);
	}
	rm->count = rm->unsettled = count;
	rm->recipients = ARENA_ARRAY(arena, struct delivery_recipient, count);
	rm->info = ARENA_ARRAY(arena, struct ready_recipient, count);
	for (size_t i = 0; i < count; i++) {
		const struct envelope_recipient *r = &leases[i].recipient;
		struct delivery_recipient *to = &rm->recipients[i];

		to->recipient_id = (int64_t)i;
		to->who.address = copy_address(arena, &r->address);
		to->who.notify = arena_strdup(arena, r->notify);
		to->who.orcpt = arena_strdup(arena, r->orcpt);
		rm->info[i] = (struct ready_recipient){
		    .row = leases[i].recipient_id,
		    .ref = leases[i].ref,
		    .due_at = leases[i].due_at,
		    .expires = leases[i].expires,
		    .attempts = leases[i].attempts,
		    .crashes = leases[i].crashes,
		    .last_code = leases[i].last_code,
		};
	}
	return rm;
}

void ready_message_keep_header(
    struct ready_message *rm, const char *bytes, size_t len)
{
	if ((int64_t)len > rm->m.facts.header_size)
		len = (size_t)rm->m.facts.header_size;
	rm->header = arena_strndup(rm->arena, bytes, len);
	rm->header_len = len;
}

void ready_message_keep_take(struct ready_message *rm, struct message *m)
{
	*ARRAY_ADD(&rm->kept) = m;
}

void ready_message_free(struct ready_message *rm, atomic_llong *inline_bytes)
{
	if (!rm)
		return;
	invariant(list_empty(&rm->link));
	if (rm->inline_bytes)
		atomic_fetch_sub(inline_bytes, rm->inline_bytes);
	for (size_t i = 0; i < rm->kept.count; i++)
		message_unref(rm->kept.items[i]);
	ARRAY_FREE(&rm->kept);
	arena_unref(rm->arena);
}

/* The i-th of these; recipients NULL: of all. */
static struct ready_recipient *info_of(struct ready_message *rm,
    const struct delivery_recipient *recipients, size_t i)
{
	return &rm->info[recipients ? recipients[i].recipient_id : (int64_t)i];
}

void ready_message_begins(struct ready_message *rm, struct queue *queue,
    const struct delivery_recipient *recipients, size_t count)
{
	if (!recipients)
		count = rm->count;
	for (size_t i = 0; i < count; i++) {
		struct ready_recipient *info = info_of(rm, recipients, i);

		if (!info->mark)
			info->mark = queue_attempt_begins(queue, info->row);
	}
}

void ready_message_ends(struct ready_message *rm, struct queue *queue,
    const struct delivery_recipient *recipients, size_t count)
{
	if (!recipients)
		count = rm->count;
	for (size_t i = 0; i < count; i++) {
		struct ready_recipient *info = info_of(rm, recipients, i);

		queue_attempt_ends(queue, info->mark);
		info->mark = 0;
	}
}

bool ready_message_suspected(const struct ready_message *rm)
{
	for (size_t i = 0; i < rm->count; i++)
		if (rm->info[i].crashes >= QUEUE_CRASHES_MOST - 1)
			return true;
	return false;
}

size_t ready_message_waiting(const struct ready_message *rm)
{
	size_t waiting = rm->count - rm->next;

	for (const struct ready_run *run = rm->again; run; run = run->next)
		waiting += run->count;
	return waiting;
}

int64_t ready_message_size(const struct ready_message *rm)
{
	return rm->m.facts.size + (int64_t)rm->m.prefix_len;
}

int ready_message_received_headers(const struct ready_message *rm)
{
	static const char name[] = "Received:";
	const char *p = rm->m.prefix, *end = p + rm->m.prefix_len;
	int n = rm->m.facts.received_headers;

	while (p && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		if ((size_t)(end - p) >= sizeof name - 1 &&
		    str_ncase_eq(p, name, sizeof name - 1))
			n++;
		p = nl ? nl + 1 : NULL;
	}
	return n;
}

bool ready_message_circles(
    const struct ready_message *rm, struct smtp_reply *reply)
{
	if (ready_message_received_headers(rm) <= RECEIVED_MOST)
		return false;
	*reply = smtp_reply_make(rm->arena, 554, "5.4.6",
	    "more than %d Received headers: the message goes in circles",
	    RECEIVED_MOST);
	return true;
}

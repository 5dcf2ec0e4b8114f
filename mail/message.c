/*
 * message.c - one message as the policy sees it
 */
#include "mail/message.h"

#include <stdatomic.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/xalloc.h"
#include "mail/queue_name.h"

struct message *message_new(void)
{
	struct message *m = xcalloc(1, sizeof *m);

	m->refs = 1;
	m->arena = arena_new(0);
	m->sender =
	    (struct envelope_sender){.address = {"", "", "", ""}, .size = -1};
	m->meta = meta_new();
	m->created_ms = clock_unix_ms();
	message_id_new(m->id);
	return m;
}

struct message *message_ref(struct message *m)
{
	(void)__atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
	return m;
}

void message_unref(struct message *m)
{
	if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	ARRAY_FREE(&m->recipients);
	meta_free(m->meta);
	buf_release(&m->prefix);
	content_unref(m->content);
	arena_unref(m->arena);
	free(m);
}

static struct envelope_sender copy_sender(
    struct arena *arena, const struct envelope_sender *s)
{
	struct envelope_sender copy = *s;

	copy.address = (struct address){
	    .local = arena_strdup(arena, s->address.local),
	    .user = arena_strdup(arena, s->address.user),
	    .domain = arena_strdup(arena, s->address.domain),
	    .email = arena_strdup(arena, s->address.email),
	};
	copy.body = arena_strdup(arena, s->body);
	copy.ret = arena_strdup(arena, s->ret);
	copy.envid = arena_strdup(arena, s->envid);
	copy.auth = arena_strdup(arena, s->auth);
	return copy;
}

struct message *message_derive(const struct message *m)
{
	struct message *copy = message_new();

	copy->sender = copy_sender(copy->arena, &m->sender);
	copy->sender_changed = m->sender_changed;
	meta_free(copy->meta);
	copy->meta = meta_copy(m->meta);
	buf_add(&copy->prefix, buf_str(&m->prefix), m->prefix.len);
	copy->content = m->content ? content_ref(m->content) : NULL;
	copy->content_changed = m->content_changed;
	copy->created_ms = m->created_ms;
	copy->due_at = m->due_at;
	copy->reception_protocol =
	    arena_strdup(copy->arena, m->reception_protocol);
	copy->scheduling = arena_strdup(copy->arena, m->scheduling);
	return copy;
}

struct message *message_copy(const struct message *m)
{
	struct message *copy = message_derive(m);

	memcpy(copy->id, m->id, sizeof copy->id);
	copy->attempts = m->attempts;
	for (size_t i = 0; i < m->recipients.count; i++) {
		const struct envelope_recipient *r = &m->recipients.items[i];
		const struct address *a = &r->address;

		*ARRAY_ADD(&copy->recipients) = (struct envelope_recipient){
		    .address =
			{
			    .local = arena_strdup(copy->arena, a->local),
			    .user = arena_strdup(copy->arena, a->user),
			    .domain = arena_strdup(copy->arena, a->domain),
			    .email = arena_strdup(copy->arena, a->email),
			},
		    .notify = arena_strdup(copy->arena, r->notify),
		    .orcpt = arena_strdup(copy->arena, r->orcpt),
		};
	}
	return copy;
}

/*
 * RFC 9562, 5.7: 48 bits of milliseconds, version, 12 bits, variant, 62 random
 * bits.  The 12 bits begin at random below 2048 and count within a
 * millisecond; when they are used up the time is run ahead, so that ids of one
 * process always ascend, also when the clock goes back.
 */
void message_id_new(char out[MESSAGE_ID_SIZE])
{
	static _Atomic uint64_t last;
	uint64_t now = (uint64_t)clock_unix_ms() << 12, before, next;
	char random[17];

	now |= (uint64_t)random_between(0, 2047);
	before = atomic_load(&last);
	do {
		next = now > before ? now : before + 1;
	} while (!atomic_compare_exchange_weak(&last, &before, next));

	random_hex(random, 8);
	random[0] = "89ab"[random[0] & 3];
	(void)snprintf(out, MESSAGE_ID_SIZE, "%012llx7%03llx%s",
	    (unsigned long long)(next >> 12 & 0xffffffffffff),
	    (unsigned long long)(next & 0xfff), random);
}

int64_t message_size(const struct message *m)
{
	int64_t size = (int64_t)m->prefix.len;

	return m->content ? size + content_facts(m->content)->size : size;
}

bool message_data(
    const struct message *m, size_t most, struct buf *out, struct err *err)
{
	size_t size = (size_t)message_size(m), content_size;

	if (size > most)
		return err_set(err, ERR_PERM,
		    "the message has %zu bytes, %zu are allowed here", size,
		    most);
	buf_reserve(out, size);
	buf_add(out, buf_str(&m->prefix), m->prefix.len);
	if (!m->content)
		return true;
	content_size = (size_t)content_facts(m->content)->size;
	if (!content_read(
		m->content, 0, out->data + out->len, content_size, err))
		return false;
	out->len += content_size;
	out->data[out->len] = '\0';
	return true;
}

void message_prepend_header(
    struct message *m, const char *name, const char *value)
{
	struct buf prefix = BUF_INIT;

	buf_addf(&prefix, "%s: %s\r\n", name, value);
	buf_add(&prefix, buf_str(&m->prefix), m->prefix.len);
	buf_release(&m->prefix);
	m->prefix = prefix;
}

/* *out: NULL when it is not set; null and "" count as not set. */
static bool name_part(const struct message *m, const char *name,
    const char **out, struct err *err)
{
	const struct value *v = meta_get(m->meta, name);

	*out = NULL;
	if (!v || v->type == VALUE_NIL)
		return true;
	if (v->type == VALUE_INT)
		return err_set(err, ERR_PERM,
		    "meta value %s: expected a string, got the number %lld",
		    name, (long long)v->i);
	if (v->type != VALUE_STRING)
		return err_set(err, ERR_PERM,
		    "meta value %s: expected a string, got a %s", name,
		    value_type_name(v->type));
	*out = *v->s ? v->s : NULL;
	return true;
}

/* Text that a client wrote, such as a login, must not choose the queue of
 * another domain, tenant or campaign. */
static bool comes_back(const struct queue_name *parts, struct err *err)
{
	const struct {
		const char *name, *text, *separators;
	} checks[] = {
	    {"campaign", parts->campaign, ":@"},
	    {"tenant", parts->tenant, parts->campaign ? "@" : ":@"},
	    {"routing_domain", parts->routing_domain, "@"},
	};

	for (size_t i = 0; i < COUNT(checks); i++) {
		const char *text = checks[i].text;
		const char *at =
		    text ? strpbrk(text, checks[i].separators) : NULL;

		if (at)
			return err_set(err, ERR_PERM,
			    "meta value %s: \"%.60s\": '%c' may not stand in "
			    "it, a queue's name is "
			    "campaign:tenant@domain!routing_domain",
			    checks[i].name, text, *at);
	}
	return true;
}

bool message_queue_name(
    const struct message *m, struct buf *out, struct err *err)
{
	struct queue_name parts = {0};
	const char *queue;

	if (!name_part(m, "queue", &queue, err) ||
	    !name_part(m, "tenant", &parts.tenant, err) ||
	    !name_part(m, "campaign", &parts.campaign, err) ||
	    !name_part(m, "routing_domain", &parts.routing_domain, err))
		return false;
	if (queue) {
		buf_addstr(out, queue);
		return true;
	}
	if (!m->recipients.count)
		return err_set(err, ERR_PERM,
		    "a message without recipients belongs to no queue");
	if (!comes_back(&parts, err))
		return false;
	parts.domain = m->recipients.items[0].address.domain;
	queue_name_compose(out, &parts);
	return true;
}

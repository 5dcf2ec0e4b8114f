/*
 * resolver.c - names to addresses, through libunbound, never blocking the asker
 *
 * One thread owns the libunbound context and all questions.  It sleeps in
 * poll(2) on two descriptors: the inbox, where questions come in, and ub_fd,
 * where libunbound's own thread says that answers are ready.
 *
 *	inbox -> waiting (a list) -> asked (at most MOST_ASKED) -> answered
 *
 * A question whose deadline passes is answered DNS_FAILED and cancelled at
 * libunbound, so that a dead server cannot keep the 128 places.  All questions
 * that are not answered are in the heap of deadlines.
 *
 * /etc/resolv.conf and the hosts file are looked at when questions come, at
 * most once a second.  When one has changed a new context is made, and what the
 * old one was asked is asked again.
 *
 * A resolver with a zone has no context; its questions are answered when they
 * are taken up.
 */
#include "net/resolver.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unbound.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "net/dns_name.h"
#include "net/dns_zone.h"
#include "net/resolver_call.h"
#include "net/resolver_context.h"

#define MOST_ASKED 128
#define WATCH_MS 1000
/* How long an answer that says "failed" may be kept: libunbound keeps it
 * about that long itself. */
#define FAILED_TTL_MS 5000
#define MOST_TTL_MS (24 * 3600 * INT64_C(1000))

struct watched {
	const char *path; /* NULL: not watched */
	struct timespec mtime;
	ino_t ino;
	off_t size;
};

struct resolver {
	char *forwarder, *trust_anchor_file, *hosts_file;
	struct inbox *inbox;
	pthread_t thread;
	/* The thread's own from here on. */
	struct dns_zone *zone; /* NULL: ub is asked */
	struct ub_ctx *ub;
	struct watched resolv_conf, hosts;
	int64_t watch_at;
	struct list waiting, asked;
	size_t asked_count;
	struct heap deadlines;
};

/* What lies in the inbox: a question, or a call to run on the thread. */
struct question {
	struct inbox_item item;
	resolver_call_fn *call; /* not NULL: only this and ctx count */
	struct resolver *resolver;
	char *name;
	enum dns_type type;
	int64_t deadline;
	struct arena *arena;
	dns_done_fn *done;
	void *ctx;
	struct list link;
	struct heap_node heap;
	int async_id;
	bool asked;
};

/* ---- the files ---- */

static void watch(struct watched *w)
{
	struct stat st;

	if (!w->path || stat(w->path, &st) < 0) {
		w->mtime = (struct timespec){0};
		w->ino = 0;
		w->size = 0;
		return;
	}
	w->mtime = st.st_mtim;
	w->ino = st.st_ino;
	w->size = st.st_size;
}

static bool watched_changed(struct watched *w)
{
	struct watched now = *w;

	watch(&now);
	return now.mtime.tv_sec != w->mtime.tv_sec ||
	       now.mtime.tv_nsec != w->mtime.tv_nsec || now.ino != w->ino ||
	       now.size != w->size;
}

static struct ub_ctx *context_new(const struct resolver *r, struct err *err)
{
	return resolver_context_new(
	    &(struct resolver_options){.forwarder = r->forwarder,
		.trust_anchor_file = r->trust_anchor_file,
		.hosts_file = r->hosts_file},
	    err);
}

/* ---- answering ---- */

static void question_free(struct question *q)
{
	free(q->name);
	free(q);
}

/* Takes the question out of everything, and calls back. */
static void answer(struct question *q, const struct dns_answer *a)
{
	struct resolver *r = q->resolver;

	list_remove(&q->link);
	heap_remove(&r->deadlines, &q->heap);
	if (q->asked)
		r->asked_count--;
	q->done(a, q->ctx);
	question_free(q);
}

static void answer_failed(struct question *q, const char *why)
{
	struct dns_answer a = {.status = DNS_FAILED};

	a.why = arena_printf(
	    q->arena, "%s %s: %s", dns_type_name(q->type), q->name, why);
	a.expires_at = clock_now_ms() + FAILED_TTL_MS;
	answer(q, &a);
}

static bool read_row(
    struct question *q, const void *data, size_t len, struct dns_row *row)
{
	const unsigned char *p = data;

	row->data = arena_memdup(q->arena, data, len);
	row->len = len;
	switch (q->type) {
	case DNS_A:
		if (len != 4)
			return false;
		row->ip.family = AF_INET;
		memcpy(row->ip.bytes, p, 4);
		return true;
	case DNS_AAAA: {
		struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};

		if (len != 16)
			return false;
		memcpy(&sin6.sin6_addr, p, 16);
		/* An IPv4-mapped address becomes IPv4. */
		return ip_from_sockaddr((void *)&sin6, &row->ip, NULL);
	}
	case DNS_MX:
		if (len < 3)
			return false;
		row->preference = p[0] << 8 | p[1];
		row->name = dns_name_text(q->arena, p + 2, len - 2);
		return row->name != NULL;
	case DNS_PTR:
	case DNS_CNAME:
		row->name = dns_name_text(q->arena, p, len);
		return row->name != NULL;
	case DNS_TXT:
	case DNS_TLSA:
		return true;
	}
	return false;
}

static void read_rows(
    struct question *q, const struct ub_result *result, struct dns_answer *a)
{
	size_t most = 0;

	while (result->data && result->data[most])
		most++;
	a->rows = ARENA_ARRAY(q->arena, struct dns_row, most ? most : 1);
	for (size_t i = 0; i < most; i++)
		if (read_row(q, result->data[i], (size_t)result->len[i],
			&a->rows[a->count]))
			a->count++;
}

/* libunbound follows aliases, and says where it arrived. */
static const char *canonical_name(
    struct question *q, const struct ub_result *result)
{
	size_t len = result->canonname ? strlen(result->canonname) : 0;
	char *name;

	if (!len || q->type == DNS_CNAME)
		return NULL;
	name = str_lower(arena_strndup(q->arena, result->canonname, len));
	if (name[len - 1] == '.')
		name[len - 1] = '\0';
	return *name && !str_case_eq(name, q->name) ? name : NULL;
}

static int64_t expiry(const struct ub_result *result)
{
	int64_t ttl = (int64_t)result->ttl * 1000;

	if (ttl < 0)
		ttl = 0;
	return clock_now_ms() + (ttl > MOST_TTL_MS ? MOST_TTL_MS : ttl);
}

static void on_result(void *ctx, int rc, struct ub_result *result)
{
	struct question *q = ctx;
	struct dns_answer a = {.status = DNS_OK};

	if (rc || !result) {
		answer_failed(q, ub_strerror(rc));
		ub_resolve_free(result);
		return;
	}
	a.secure = result->secure;
	a.expires_at = expiry(result);
	if (result->bogus) {
		a.status = DNS_BOGUS;
		a.why = arena_printf(q->arena, "%s %s: %s",
		    dns_type_name(q->type), q->name,
		    result->why_bogus ? result->why_bogus
				      : "signatures do not hold");
	} else if (result->nxdomain) {
		a.status = DNS_NXDOMAIN;
		a.why = arena_printf(q->arena, "%s %s: no such domain",
		    dns_type_name(q->type), q->name);
	} else if (result->rcode) {
		bool failed = result->rcode == 2;

		ub_resolve_free(result);
		answer_failed(q, failed ? "the name servers failed (SERVFAIL)"
					: "the name servers refused");
		return;
	} else {
		read_rows(q, result, &a);
		a.canonical = canonical_name(q, result);
	}
	ub_resolve_free(result);
	answer(q, &a);
}

/* ---- asking ---- */

static void answer_from_zone(struct resolver *r, struct question *q)
{
	struct dns_answer a;
	int64_t ttl;

	dns_zone_answer(r->zone, q->name, q->type, q->arena, &a, &ttl);
	ttl *= 1000;
	if (a.status == DNS_FAILED)
		ttl = FAILED_TTL_MS;
	a.expires_at = clock_now_ms() + (ttl > MOST_TTL_MS ? MOST_TTL_MS : ttl);
	answer(q, &a);
}

static void ask(struct resolver *r, struct question *q)
{
	int rc;

	list_remove(&q->link);
	list_add_tail(&r->asked, &q->link);
	q->asked = true;
	r->asked_count++;
	if (r->zone) {
		answer_from_zone(r, q);
		return;
	}
	rc = ub_resolve_async(r->ub, q->name, (int)q->type, 1 /* IN */, q,
	    on_result, &q->async_id);
	if (rc)
		answer_failed(
		    q, rc == UB_SYNTAX ? "not a domain name" : ub_strerror(rc));
}

static void ask_waiting(struct resolver *r)
{
	while (!list_empty(&r->waiting) && r->asked_count < MOST_ASKED)
		ask(r, LIST_ITEM(r->waiting.next, struct question, link));
}

static void expire(struct resolver *r)
{
	int64_t now = clock_now_ms();
	struct heap_node *first;

	while ((first = heap_first(&r->deadlines)) && first->at <= now) {
		struct question *q = CONTAINER_OF(first, struct question, heap);

		if (q->asked && r->ub)
			(void)ub_cancel(r->ub, q->async_id);
		answer_failed(q, "no answer in time");
	}
}

/* The files say something new: a new context, and the questions again. */
static void look_at_files(struct resolver *r)
{
	struct err err = {0};
	struct list *pos, *tmp;
	struct ub_ctx *fresh;

	if (r->zone || clock_now_ms() < r->watch_at)
		return;
	r->watch_at = clock_now_ms() + WATCH_MS;
	if (!watched_changed(&r->resolv_conf) && !watched_changed(&r->hosts))
		return;
	watch(&r->resolv_conf);
	watch(&r->hosts);
	fresh = context_new(r, &err);
	if (!fresh) {
		diag_error("%s; the old configuration stays", err.text);
		return;
	}
	diag_info("resolver: configuration changed, starting afresh");
	LIST_EACH (pos, tmp, &r->asked) {
		struct question *q = LIST_ITEM(pos, struct question, link);

		(void)ub_cancel(r->ub, q->async_id);
		list_remove(&q->link);
		list_add_tail(&r->waiting, &q->link);
		q->asked = false;
		r->asked_count--;
	}
	ub_ctx_delete(r->ub);
	r->ub = fresh;
}

static void take_questions(struct resolver *r)
{
	struct inbox_item *item = inbox_take_all(r->inbox);

	if (item)
		look_at_files(r);
	while (item) {
		struct question *q = CONTAINER_OF(item, struct question, item);

		item = item->next;
		if (q->call) {
			q->call(q->ctx);
			question_free(q);
			continue;
		}
		list_add_tail(&r->waiting, &q->link);
		heap_set(&r->deadlines, &q->heap, q->deadline);
	}
}

static int patience(const struct resolver *r)
{
	const struct heap_node *first = heap_first(&r->deadlines);
	int64_t left;

	if (!first)
		return -1;
	left = first->at - clock_now_ms();
	/* At most 10 s, because a clock under test may jump. */
	return left < 0 ? 0 : left > 10000 ? 10000 : (int)left + 1;
}

static void give_up(struct resolver *r)
{
	struct heap_node *first;

	while ((first = heap_first(&r->deadlines))) {
		struct question *q = CONTAINER_OF(first, struct question, heap);

		if (q->asked && r->ub)
			(void)ub_cancel(r->ub, q->async_id);
		answer_failed(q, "the resolver is stopping");
	}
}

static void *run(void *ctx)
{
	struct resolver *r = ctx;

	while (!inbox_closed(r->inbox)) {
		struct pollfd fds[] = {
		    {.fd = inbox_fd(r->inbox), .events = POLLIN},
		    {.fd = r->ub ? ub_fd(r->ub) : -1, .events = POLLIN},
		};

		if (poll(fds, COUNT(fds), patience(r)) < 0 && errno != EINTR)
			diag_panic("resolver: poll: %d", errno);
		take_questions(r);
		if (fds[1].revents)
			(void)ub_process(r->ub);
		expire(r);
		ask_waiting(r);
	}
	/* Who is told "stopping" may ask again: until nobody does. */
	do {
		take_questions(r);
		give_up(r);
	} while (inbox_count(r->inbox));
	return NULL;
}

/* ---- public ---- */

struct resolver *resolver_start(
    const struct resolver_options *options, struct err *err)
{
	struct resolver *r = xcalloc(1, sizeof *r);

	r->forwarder = options->forwarder ? xstrdup(options->forwarder) : NULL;
	r->trust_anchor_file = options->trust_anchor_file
				   ? xstrdup(options->trust_anchor_file)
				   : NULL;
	r->hosts_file =
	    options->hosts_file ? xstrdup(options->hosts_file) : NULL;
	if (!r->forwarder)
		r->resolv_conf.path = RESOLVER_RESOLV_CONF;
	if (!r->hosts_file || *r->hosts_file)
		r->hosts.path = r->hosts_file ? r->hosts_file : RESOLVER_HOSTS;
	watch(&r->resolv_conf);
	watch(&r->hosts);
	list_init(&r->waiting);
	list_init(&r->asked);
	r->zone = options->zone ? dns_zone_ref(options->zone) : NULL;
	r->ub = r->zone ? NULL : context_new(r, err);
	if (!r->zone && !r->ub) {
		free(r->forwarder);
		free(r->trust_anchor_file);
		free(r->hosts_file);
		free(r);
		return NULL;
	}
	r->inbox = inbox_new();
	r->thread = worker_thread_start("resolver", run, r);
	return r;
}

void resolver_stop(struct resolver *r)
{
	if (!r)
		return;
	inbox_close(r->inbox);
	(void)pthread_join(r->thread, NULL);
	if (r->ub)
		ub_ctx_delete(r->ub);
	dns_zone_unref(r->zone);
	heap_release(&r->deadlines);
	inbox_free(r->inbox);
	free(r->forwarder);
	free(r->trust_anchor_file);
	free(r->hosts_file);
	free(r);
}

static struct question *question_new(struct resolver *r)
{
	struct question *q = xcalloc(1, sizeof *q);

	q->resolver = r;
	list_init(&q->link);
	return q;
}

void resolver_ask(struct resolver *r, const char *name, enum dns_type type,
    int64_t deadline, struct arena *arena, dns_done_fn *done, void *ctx)
{
	struct question *q = question_new(r);

	q->name = xstrdup(name);
	q->type = type;
	q->deadline = deadline;
	q->arena = arena;
	q->done = done;
	q->ctx = ctx;
	inbox_put(r->inbox, &q->item);
}

void resolver_call(struct resolver *r, resolver_call_fn *call, void *ctx)
{
	struct question *q = question_new(r);

	q->call = call;
	q->ctx = ctx;
	inbox_put(r->inbox, &q->item);
}

struct zone_change {
	struct resolver *resolver;
	struct dns_zone *zone;
};

static void change_zone(void *ctx)
{
	struct zone_change *change = ctx;

	dns_zone_unref(change->resolver->zone);
	change->resolver->zone = change->zone;
	free(change);
}

void resolver_set_zone(struct resolver *r, struct dns_zone *zone)
{
	struct zone_change *change = xcalloc(1, sizeof *change);

	change->resolver = r;
	change->zone = dns_zone_ref(zone);
	resolver_call(r, change_zone, change);
}

/* ---- waiting ---- */

struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	struct arena *arena;
	const struct dns_answer *answer;
};

static void wake(const struct dns_answer *a, void *ctx)
{
	struct waiter *w = ctx;

	pthread_mutex_lock(&w->mutex);
	w->answer = arena_memdup(w->arena, a, sizeof *a);
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

/* The deadline is the resolver's to keep: it always answers. */
const struct dns_answer *resolver_ask_wait(struct resolver *r, const char *name,
    enum dns_type type, int64_t deadline, struct arena *arena)
{
	struct waiter w = {.mutex = PTHREAD_MUTEX_INITIALIZER,
	    .cond = PTHREAD_COND_INITIALIZER,
	    .arena = arena};

	resolver_ask(r, name, type, deadline, arena, wake, &w);
	pthread_mutex_lock(&w.mutex);
	while (!w.answer)
		pthread_cond_wait(&w.cond, &w.mutex);
	pthread_mutex_unlock(&w.mutex);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.mutex);
	return w.answer;
}

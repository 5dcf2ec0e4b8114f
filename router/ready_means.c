/*
 * ready_means.c - what a ready queue needs before it can connect
 *
 * A making asks for everything at once and counts the answers; the last one
 * puts the means together.  The first thing that cannot be had is the reason
 * that messages are given.
 */
#include "router/ready_means.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "net/dane.h"
#include "net/mx.h"
#include "net/tls.h"
#include "router/destination.h"
#include "router/plan.h"
#include "router/policy_call.h"
#include "router/ready_queue.h"
#include "router/router.h"
#include "router/tls_counts.h"

#define LIFE_MS 300000
#define FAILURE_LIFE_MS 10000
#define DNS_MS 30000
#define SOME_FAILED "some of its addresses cannot be validated"

enum key {
	KEY_PASSWORD,
	KEY_CERTIFICATE,
	KEY_PRIVATE,
	KEY_AUTHORITIES,
	KEY_SOCKS,
	KEY_COUNT,
};

static const char *const key_names[KEY_COUNT] = {"smtp_auth_plain_password",
    "tls_certificate", "tls_private_key", "tls_ca_certificates",
    "socks5_proxy_password"};

struct making {
	struct ready_queue *rq;
	struct ready_means *means;
	size_t open; /* answers to come */
	struct err err;
	struct record_ref *keys[KEY_COUNT]; /* struct value; NULL: none */
	struct proxy *proxy;                /* means->proxy while it is made */
	struct loop_item mx_item;
	struct mx_result *mx;
};

struct key_question {
	struct making *making;
	enum key key;
};

struct ready_means *ready_means_ref(struct ready_means *means)
{
	means->refs++;
	return means;
}

void ready_means_unref(struct ready_means *means)
{
	if (!means || --means->refs > 0)
		return;
	tls_profile_unref(means->tls);
	destination_unref(means->destination);
	for (size_t i = 0; i < means->answer_count; i++)
		arena_unref(means->answers[i]);
	record_unref(means->path);
	record_unref(means->source);
	arena_unref(means->arena);
}

/* ---- putting it together ---- */

/* A password is a line of a file as often as not. */
static const char *key_text(const struct making *m, enum key key)
{
	const struct value *v = m->keys[key] ? m->keys[key]->record : NULL;
	size_t len = v ? v->len : 0;

	while (len > 0 && (v->s[len - 1] == '\n' || v->s[len - 1] == '\r'))
		len--;
	return v ? arena_strndup(m->means->arena, v->s, len) : NULL;
}

static struct tls_pem key_pem(const struct making *m, enum key key)
{
	const struct value *v = m->keys[key] ? m->keys[key]->record : NULL;

	return (struct tls_pem){v ? v->s : NULL, v ? v->len : 0};
}

static bool make_profile(struct making *m)
{
	const struct egress_path *path = m->means->path->record;
	const struct tls_profile_options options = {
	    .certificate = key_pem(m, KEY_CERTIFICATE),
	    .private_key = key_pem(m, KEY_PRIVATE),
	    .authorities = key_pem(m, KEY_AUTHORITIES),
	    .cipher_list = path->openssl_cipher_list,
	    .cipher_suites = path->openssl_cipher_suites,
	    .options = path->openssl_options,
	};

	for (int key = KEY_CERTIFICATE; key <= KEY_AUTHORITIES; key++)
		if (m->keys[key] && !key_pem(m, (enum key)key).len)
			return err_set(&m->err, ERR_CONFIG, "%s: it is empty",
			    key_names[key]);
	if (!options.certificate.len && !options.authorities.len &&
	    !options.cipher_list && !options.cipher_suites && !options.options)
		return true;
	m->means->tls = tls_profile_new(&options, &m->err);
	return m->means->tls != NULL;
}

static bool make_texts(struct making *m)
{
	const struct egress_path *path = m->means->path->record;
	const struct egress_source *source = m->means->source->record;
	struct ready_means *means = m->means;

	means->username = path->smtp_auth_plain_username;
	means->password = key_text(m, KEY_PASSWORD);
	if (m->proxy && m->keys[KEY_SOCKS] && source->socks5_proxy_username) {
		m->proxy->username = source->socks5_proxy_username;
		m->proxy->password = key_text(m, KEY_SOCKS);
		if (strlen(m->proxy->password) > 255)
			return err_set(&m->err, ERR_CONFIG,
			    "socks5_proxy_password: longer than 255 bytes "
			    "(RFC 1929)");
	}
	means->proxy = m->proxy;
	return true;
}

static void failed(struct making *m)
{
	struct ready_queue *rq = m->rq;
	struct arena *arena;
	struct smtp_reply reply;

	diag_error("%s: %s", rq->name, m->err.text);
	ready_means_unref(m->means);
	if (rq->means && rq->means->path == rq->path &&
	    rq->means->source == rq->source && !rq->means->destination) {
		/* A refresh that fails keeps what there is. */
		rq->means->expires_at = clock_now_ms() + FAILURE_LIFE_MS;
		return;
	}
	arena = arena_new(0);
	reply = smtp_reply_make(
	    arena, 451, "4.4.4", "cannot connect: %.500s", m->err.text);
	ready_queue_refuse(rq, &reply, WHY_NOT_READY);
	arena_unref(arena);
}

static void finish(struct making *m)
{
	struct ready_queue *rq = m->rq;

	rq->means_making = false;
	if (m->err.class == ERR_NONE && make_profile(m) && make_texts(m)) {
		ready_means_unref(rq->means);
		rq->means = m->means;
	} else {
		failed(m);
	}
	for (size_t i = 0; i < KEY_COUNT; i++)
		record_unref(m->keys[i]);
	free(m);
	ready_queue_work(rq);
}

static void answered(struct making *m)
{
	if (--m->open == 0)
		finish(m);
}

/* ---- asking ---- */

static void got_key(struct record_ref *ref, const struct err *err, void *ctx)
{
	struct key_question *q = ctx;
	struct making *m = q->making;

	m->keys[q->key] = ref;
	if (!ref && m->err.class == ERR_NONE)
		(void)err_set(&m->err, ERR_CONFIG, "%s: %s", key_names[q->key],
		    err ? err->text : "nobody answers for it");
	free(q);
	answered(m);
}

static void ask_key(struct making *m, enum key key, const struct value *source)
{
	struct key_question *q;

	if (!source)
		return;
	q = xcalloc(1, sizeof *q);
	q->making = m;
	q->key = key;
	m->open++;
	policy_ask_key(m->rq->r, source, got_key, q);
}

static void take_proxy_address(struct making *m)
{
	const struct egress_source *source = m->means->source->record;
	const struct mx_result *mx = m->mx;
	int family =
	    source->source_address ? source->source_address->family : 0;
	bool found = false;

	for (size_t i = 0; mx->status == MX_OK && i < mx->count; i++)
		for (size_t a = 0; a < mx->hosts[i].address_count; a++) {
			const struct ip_addr *ip = &mx->hosts[i].addresses[a];

			if (!found && (!family || ip->family == family))
				m->proxy->ip = *ip;
			found = m->proxy->ip.family != 0;
		}
	if (mx->expires_at < m->means->expires_at)
		m->means->expires_at = router_until(
		    clock_now_ms(), mx->expires_at - clock_now_ms());
	if (!found && m->err.class == ERR_NONE)
		(void)err_set(&m->err, ERR_TEMP, "proxy %s: %s", m->proxy->name,
		    *mx->why ? mx->why
			     : "no address of the family of source_address");
}

static void run_proxy_address(struct loop_item *item)
{
	struct making *m = CONTAINER_OF(item, struct making, mx_item);

	take_proxy_address(m);
	arena_unref(m->mx->arena);
	answered(m);
}

static void on_resolver_thread(struct mx_result *result, void *ctx)
{
	struct making *m = ctx;

	m->mx = result;
	loop_post(m->rq->r->loop, &m->mx_item);
}

/* HAProxy wins; one of the two fields alone is ignored (11.2). */
static void ask_proxy(struct making *m)
{
	const struct egress_source *source = m->means->source->record;
	struct arena *arena = m->means->arena;
	const struct endpoint *server;
	struct proxy *proxy;

	if (source->ha_proxy_server && source->ha_proxy_source_address) {
		proxy = ARENA_NEW(arena, struct proxy);
		proxy->kind = PROXY_HAPROXY;
		proxy->source = *source->ha_proxy_source_address;
		server = source->ha_proxy_server;
	} else if (source->socks5_proxy_server &&
		   source->socks5_proxy_source_address) {
		proxy = ARENA_NEW(arena, struct proxy);
		proxy->kind = PROXY_SOCKS5;
		proxy->source = *source->socks5_proxy_source_address;
		server = source->socks5_proxy_server;
		if (source->socks5_proxy_username)
			ask_key(m, KEY_SOCKS, source->socks5_proxy_password);
	} else {
		return;
	}
	m->proxy = proxy;
	proxy->path = server->path;
	proxy->ip = server->ip;
	proxy->port = server->port;
	proxy->name = server->path ? server->path
				   : arena_printf(arena, "%s:%u", server->host,
					 (unsigned)server->port);
	if (proxy->path || proxy->ip.family)
		return;
	m->open++;
	m->mx_item.run = run_proxy_address;
	mx_lookup_host(m->rq->r->resolver, server->host,
	    clock_now_ms() + DNS_MS, on_resolver_thread, m);
}

/* ---- DANE ---- */

struct dane_question {
	struct loop_item item;
	struct making *making;
	size_t host;
	struct dane_result *result;
};

static void run_dane(struct loop_item *item)
{
	struct dane_question *q =
	    CONTAINER_OF(item, struct dane_question, item);
	struct ready_means *means = q->making->means;
	const struct dane_result *result = q->result;

	means->hosts[q->host] = (struct host_tls){
	    .status = result->status, .set = result->set, .why = result->why};
	means->answers[means->answer_count++] = result->arena;
	if (result->expires_at < means->expires_at)
		means->expires_at = router_until(
		    clock_now_ms(), result->expires_at - clock_now_ms());
	answered(q->making);
	free(q);
}

static void on_dane_answer(struct dane_result *result, void *ctx)
{
	struct dane_question *q = ctx;

	q->result = result;
	loop_post(q->making->rq->r->loop, &q->item);
}

static void ask_dane_of(struct making *m, size_t host)
{
	struct ready_queue *rq = m->rq;
	const struct destination_host *h = &rq->destination->hosts[host];
	struct dane_question *q;

	if (h->path || h->address_count == 0 || (!h->secure && !h->canonical))
		return;
	q = xcalloc(1, sizeof *q);
	q->item.run = run_dane;
	q->making = m;
	q->host = host;
	m->open++;
	dane_lookup(rq->r->validator,
	    &(struct dane_host){.name = h->name,
		.canonical = h->canonical,
		.secure = h->secure},
	    plan_port(m->means->path->record, m->means->source->record, h),
	    clock_now_ms() + DNS_MS, on_dane_answer, q);
}

/* RFC 7672, 2.2: MX and addresses have to be secure, or the records would say
 * nothing; what cannot be validated is not used. */
static void ask_dane(struct making *m)
{
	struct ready_queue *rq = m->rq;
	struct ready_means *means = m->means;
	struct destination *d = rq->destination;
	const struct egress_path *path = means->path->record;

	if (!path->enable_dane || d->lua)
		return;
	means->destination = destination_ref(d);
	if (!rq->r->validator) {
		(void)err_set(&m->err, ERR_CONFIG,
		    "enable_dane: there is no trust anchor for DNSSEC "
		    "(--trust-anchor, or install dns-root-data)");
		return;
	}
	if (d->dnssec == DNSSEC_BOGUS) {
		tls_counts_waiting(rq->r->tls_counts, rq, TLS_POLICY_TLSA, NULL,
		    TLS_RESULT_DNSSEC_INVALID);
		(void)err_set(&m->err, ERR_TEMP,
		    "DANE: the mail hosts of %s cannot be validated",
		    rq->routing_domain);
		return;
	}
	if (d->dnssec != DNSSEC_SECURE)
		return;
	means->hosts = ARENA_ARRAY(means->arena, struct host_tls, d->count + 1);
	means->answers =
	    ARENA_ARRAY(means->arena, struct arena *, d->count + 1);
	for (size_t i = 0; i < d->count; i++) {
		/* Half of the addresses would do to connect, but not to know
		 * that nobody has taken the security of the others away. */
		if (d->hosts[i].failed && d->hosts[i].address_count)
			means->hosts[i] = (struct host_tls){
			    .status = DANE_FAILED, .why = SOME_FAILED};
		else
			ask_dane_of(m, i);
	}
}

/* ---- */

/* Nothing has to be asked for, so all ready queues with these can share it. */
static bool is_plain(const struct ready_queue *rq)
{
	const struct egress_path *path = rq->path->record;
	const struct egress_source *source = rq->source->record;

	return !path->smtp_auth_plain_password && !path->tls_certificate &&
	       !path->tls_private_key && !path->tls_ca_certificates &&
	       !path->enable_dane && !path->openssl_cipher_list &&
	       !path->openssl_cipher_suites && !path->openssl_options &&
	       !source->ha_proxy_server && !source->socks5_proxy_server;
}

static bool share_plain(struct ready_queue *rq)
{
	struct ready_means *plain = rq->r->plain_means;

	if (!plain || plain->path != rq->path || plain->source != rq->source ||
	    clock_now_ms() >= plain->expires_at)
		return false;
	ready_means_unref(rq->means);
	rq->means = ready_means_ref(plain);
	return true;
}

static void make(struct ready_queue *rq)
{
	struct making *m = xcalloc(1, sizeof *m);
	struct arena *arena = arena_new(512);
	struct ready_means *means = ARENA_NEW(arena, struct ready_means);
	const struct egress_path *path = rq->path->record;

	means->refs = 1;
	means->arena = arena;
	means->path = record_ref(rq->path);
	means->source = record_ref(rq->source);
	means->expires_at = clock_now_ms() + LIFE_MS;
	m->rq = rq;
	m->means = means;
	m->open = 1; /* so that nothing finishes it before all is asked */
	rq->means_making = true;
	ask_key(m, KEY_PASSWORD, path->smtp_auth_plain_password);
	ask_key(m, KEY_CERTIFICATE, path->tls_certificate);
	ask_key(m, KEY_PRIVATE, path->tls_private_key);
	ask_key(m, KEY_AUTHORITIES, path->tls_ca_certificates);
	ask_proxy(m);
	ask_dane(m);
	answered(m);
}

static bool are_current(const struct ready_queue *rq)
{
	const struct ready_means *means = rq->means;

	return means && means->path == rq->path &&
	       means->source == rq->source &&
	       (!means->destination || means->destination == rq->destination) &&
	       clock_now_ms() < means->expires_at;
}

/* The first path with DANE: hosts that were found before are looked for again,
 * this time asking whether the way to them is secure. */
static bool must_look_again(struct ready_queue *rq)
{
	const struct egress_path *path = rq->path->record;

	if (!path->enable_dane || !rq->r->validator || rq->destination->lua ||
	    rq->destination->dnssec != DNSSEC_UNKNOWN)
		return false;
	rq->r->dane_wanted = true;
	rq->destination->expires_at = 0;
	ready_queue_give_back(rq);
	return true;
}

bool ready_means_have(struct ready_queue *rq)
{
	if (must_look_again(rq))
		return false;
	if (!are_current(rq) && !rq->means_making && !share_plain(rq)) {
		make(rq);
		if (are_current(rq) && is_plain(rq)) {
			ready_means_unref(rq->r->plain_means);
			rq->r->plain_means = ready_means_ref(rq->means);
		}
	}
	/* They may have been made at once. */
	return are_current(rq) && !rq->means_making;
}

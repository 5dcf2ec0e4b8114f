/*
 * session_world.c - the loop, the plan, the jobs and their owner
 */
#include "tests/unit/deliver/session_world.h"

#include <event2/event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/tls.h"
#include "tests/unit/deliver/deliver_test.h"

#define CHUNK 65536

/* ---- an owner ---- */

struct job {
	struct body_source body; /* first */
	struct world *world;
	struct delivery_job job;
	struct delivery_recipient rcpt;
	struct event *later;
	body_got_fn *got;
	void *ctx;
	int64_t chunk;
};

static void hand_over(struct job *j)
{
	const struct world *w = j->world;
	size_t at = (size_t)j->chunk * CHUNK, len = w->size - at;

	ck_assert_uint_lt(at, w->size);
	if (len > CHUNK)
		len = CHUNK;
	if (j->chunk == 1 && (w->p->flags & SHORT_CHUNK))
		len = 0;
	if (j->chunk == 1 && (w->p->flags & NO_CHUNK))
		j->got(j->ctx, NULL, 0);
	else
		j->got(j->ctx, w->content + at, len);
}

static void on_later(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	hand_over(ctx);
}

static void body_get(
    struct body_source *source, int64_t chunk, body_got_fn *got, void *ctx)
{
	struct job *j = (struct job *)(void *)source;

	j->chunk = chunk;
	j->got = got;
	j->ctx = ctx;
	if (j->world->p->flags & LATE_CHUNKS)
		event_active(j->later, EV_TIMEOUT, 0);
	else
		hand_over(j);
}

static void body_cancel(struct body_source *source)
{
	struct job *j = (struct job *)(void *)source;

	(void)event_del(j->later);
}

static const struct body_ops body_ops = {body_get, body_cancel};

static struct address address_of(struct world *w, const char *text)
{
	struct address a;

	ck_assert(address_parse(text, strlen(text), w->arena, &a, NULL));
	return a;
}

static struct job *make_job(struct world *w)
{
	struct job *j = ARENA_NEW(w->arena, struct job);

	j->body.ops = &body_ops;
	j->world = w;
	j->later = event_new(w->base, -1, 0, on_later, j);
	j->rcpt.who.address = address_of(w, "b@b.test");
	j->job = (struct delivery_job){.id = "m",
	    .recipients = &j->rcpt,
	    .count = 1,
	    .prefix = "X: 1\r\n",
	    .prefix_len = 6,
	    .facts = {.size = (int64_t)w->size},
	    .body = &j->body};
	j->job.sender.address = address_of(w, "a@a.test");
	return j;
}

static void on_waker(evutil_socket_t fd, short what, void *ctx)
{
	struct world *w = ctx;

	(void)fd;
	(void)what;
	if (w->p->flags & ABORT_AT_NEXT) {
		smtp_session_abort(w->session);
		return;
	}
	ck_assert(smtp_session_idle(w->session));
	w->awake = true;
	smtp_session_wake(w->session);
}

static struct delivery_job *next(void *owner, bool early)
{
	struct world *w = owner;

	if ((w->p->flags & WAKE_ONCE) && !w->awake) {
		event_active(w->waker, EV_TIMEOUT, 0);
		return NULL;
	}
	if (w->given == w->p->jobs)
		return NULL;
	w->given++;
	w->last_early = early;
	if (w->p->flags & ABORT_AT_NEXT)
		event_active(w->waker, EV_TIMEOUT, 0);
	return &make_job(w)->job;
}

static void done(
    void *owner, struct delivery_job *job, const struct session_facts *facts)
{
	struct world *w = owner;
	struct job *j = CONTAINER_OF(job, struct job, job);
	char dsn[16];

	buf_addint(&w->log, j->rcpt.reply.code);
	if (smtp_reply_has_enhanced(&j->rcpt.reply)) {
		smtp_reply_dsn(dsn, &j->rcpt.reply);
		buf_addf(&w->log, " %s", dsn);
	}
	if (w->plan.count > 1 && j->rcpt.reply.code == 250)
		buf_addf(&w->log, " at %s", facts->peer_name);
	if (w->p->source)
		buf_addf(&w->log, " from %.*s",
		    (int)strcspn(facts->source_address, ":"),
		    facts->source_address);
	if (facts->tls_cipher) {
		ck_assert(*facts->tls_cipher && *facts->tls_version);
		ck_assert_ptr_nonnull(
		    strstr(facts->tls_peer_subject, "sink of the test"));
		buf_addstr(
		    &w->log, facts->tls_verified ? " verified" : " encrypted");
	}
	buf_addstr(&w->log, "; ");
	event_free(j->later);
	/* What is to be tried again is given once more. */
	if (j->rcpt.retry_at_once)
		w->given--;
	if (w->p->flags & STOP_AT_FIRST)
		smtp_session_shutdown(w->session);
}

static void closed(void *owner, enum session_end end,
    const struct smtp_reply *reply, const struct session_facts *facts,
    struct delivery_job *unsent)
{
	static const char *const names[] = {"done", "no host", "lost"};
	struct world *w = owner;

	buf_addstr(&w->log, names[end]);
	if (facts->source_unplumbed)
		buf_addstr(&w->log, ", unplumbed");
	if (end == SESSION_NO_HOST)
		buf_addf(&w->log, ": %d %s", reply->code, reply->text);
	if (unsent) {
		buf_addstr(&w->log, ", unsent");
		event_free(CONTAINER_OF(unsent, struct job, job)->later);
	}
	w->session = NULL;
	w->ended = true;
	(void)event_base_loopbreak(w->base);
}

static bool tls_failed(void *owner)
{
	struct world *w = owner;

	if (w->p->flags & RECONNECTS)
		buf_addstr(&w->log, "broken; ");
	return w->p->flags & RECONNECTS;
}

const struct session_owner_ops world_owner_ops = {
    next, done, closed, tls_failed};

/* ---- a world for a play ---- */

/* Lines that begin with dots, a last line without its end. */
static void make_content(struct world *w)
{
	static const char line[] =
	    "\r\n.\r\n..dots\r\n a line like others\r\n.x";

	w->size = w->p->flags & HUGE    ? 24000000
		  : w->p->flags & LARGE ? 3000000
					: 4096;
	w->content = xmalloc(w->size);
	for (size_t i = 0; i < w->size; i++)
		w->content[i] = line[i % (sizeof line - 1)];
	w->content[w->size - 1] = 'z';
	w->content[w->size - 2] = 'y';
	w->content[w->size - 3] = 'x';
}

/* A port of 127.0.0.1 where nobody listens. */
static uint16_t closed_port(void)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (void *)&sin, sizeof sin), 0);
	ck_assert_int_eq(getsockname(fd, (void *)&sin, &len), 0);
	(void)close(fd);
	return ntohs(sin.sin_port);
}

static void make_candidates(struct world *w)
{
	unsigned flags = w->p->flags;
	struct candidate good = {.port = smtp_sink_port(w->sink)};
	size_t n = 0;

	ck_assert(ip_parse("127.0.0.1", &good.ip));
	good.tls = w->p->tls;
	good.implicit_tls = flags & IMPLICIT_TLS;
	good.name = flags & LITERAL        ? "[127.0.0.1]"
		    : flags & WRONG_NAME   ? "other.test"
		    : flags & CLOSED_FIRST ? "good"
		    : flags & TWO_HOSTS    ? "a"
					   : "mx.test";
	if (flags & (CLOSED_FIRST | CLOSED_ONLY)) {
		w->candidates[n] = good;
		w->candidates[n].name = "bad";
		w->candidates[n++].port = closed_port();
	}
	if (flags & UNIX_LMTP)
		good.path = w->socket_path;
	if (!(flags & CLOSED_ONLY))
		w->candidates[n++] = good;
	if (flags & TWO_HOSTS) {
		w->candidates[n] = good;
		w->candidates[n++].name = "b";
	}
	w->plan.candidates = w->candidates;
	w->plan.count = n;
}

static void make_path(struct world *w)
{
	const struct play *p = w->p;

	w->path = *egress_path_defaults();
	w->path.opportunistic_tls_reconnect_on_failed_handshake =
	    p->flags & RECONNECTS;
	w->path.idle_timeout.ms = 150;
	w->path.try_next_host_on_transport_error = p->flags & NEXT_HOST;
	if (p->most)
		w->path.max_deliveries_per_connection = p->most;
	w->path.use_lmtp = p->flags & UNIX_LMTP;
	if (p->flags & SAME_HOST)
		w->path.reconnect_strategy = RECONNECT_SAME_HOST;
	if (p->flags & TERMINATE)
		w->path.reconnect_strategy = RECONNECT_TERMINATE;
	if (p->flags & IMPATIENT)
		w->path.banner_timeout.ms = w->path.mail_from_timeout.ms =
		    w->path.rcpt_to_timeout.ms = w->path.data_timeout.ms =
			w->path.rset_timeout.ms = 150;
}

static void make_plan(struct world *w, const char *ca_file)
{
	struct err err = {0};

	w->source = *egress_source_unspecified();
	if (w->p->source) {
		ck_assert(ip_parse(w->p->source, &w->source_ip));
		w->source.source_address = &w->source_ip;
	}
	make_path(w);
	w->plan = (struct delivery_plan){.path = &w->path,
	    .source = &w->source,
	    .ehlo_name = "me",
	    .session_id = "session"};
	make_candidates(w);
	w->plan.tls =
	    tls_client_new(w->p->flags & TRUSTED ? ca_file : NULL, &err);
	ck_assert_msg(w->plan.tls != NULL, "%s", err.text);
}

static void on_guard(evutil_socket_t fd, short what, void *ctx)
{
	struct world *w = ctx;

	(void)fd;
	(void)what;
	ck_abort_msg(
	    "%s: not over after 30 s: %s", w->p->label, buf_str(&w->log));
}

void world_run(struct world *w)
{
	struct event *guard = event_new(w->base, -1, 0, on_guard, w);
	struct timeval tv = {30, 0};

	(void)event_add(guard, &tv);
	w->session = smtp_session_start(w->base, &w->plan, &world_owner_ops, w);
	while (!w->ended)
		ck_assert_int_ge(event_base_loop(w->base, EVLOOP_ONCE), 0);
	event_free(guard);
}

/* Ports are not known before. */
void world_mask_ports(struct buf *log)
{
	struct buf out = BUF_INIT;
	const char *p = buf_str(log), *at;

	while ((at = strstr(p, "(127.0.0.1:"))) {
		at += strlen("(127.0.0.1:");
		buf_add(&out, p, (size_t)(at - p));
		buf_addstr(&out, "PORT");
		p = at + strspn(at, "0123456789");
	}
	buf_addstr(&out, p);
	buf_release(log);
	*log = out;
}

/* Un-stuffed, it is what we had: 144. */
void world_check_message(struct world *w, const char *got)
{
	struct buf want = BUF_INIT, plain = BUF_INIT;
	const char *p, *end, *last = got + strlen(got);

	buf_addstr(&want, "X: 1\r\n");
	buf_add(&want, w->content, w->size);
	buf_addstr(&want, "\r\n");
	for (p = got; last - p > 3; p = end) {
		end = memchr(p, '\n', (size_t)(last - p));
		ck_assert_ptr_nonnull(end);
		end++;
		if (*p == '.')
			p++;
		buf_add(&plain, p, (size_t)(end - p));
	}
	ck_assert_str_eq(p, ".\r\n");
	ck_assert_uint_eq(plain.len, want.len);
	ck_assert(memcmp(plain.data, want.data, want.len) == 0);
	buf_release(&want);
	buf_release(&plain);
}

void world_open(struct world *w, const struct play *p)
{
	char ca_file[] = "/tmp/penstock-ca.XXXXXX";
	int count = 0, fd = mkstemp(ca_file);

	ck_assert_int_ge(fd, 0);
	*w = (struct world){.p = p, .base = event_base_new()};
	while (count < 3 && p->scripts[count].lines[0])
		count++;
	w->arena = arena_new(0);
	(void)snprintf(
	    w->socket_path, sizeof w->socket_path, "%s.sock", ca_file);
	w->sink = smtp_sink_start(p->scripts, count, ca_file,
	    p->flags & UNIX_LMTP ? w->socket_path : NULL);
	w->waker = event_new(w->base, -1, 0, on_waker, w);
	make_content(w);
	make_plan(w, ca_file);
	(void)close(fd);
	(void)unlink(ca_file);
}

void world_close(struct world *w)
{
	smtp_sink_free(w->sink);
	tls_client_free(w->plan.tls);
	(void)unlink(w->socket_path);
	event_free(w->waker);
	event_base_free(w->base);
	arena_unref(w->arena);
	buf_release(&w->log);
	free(w->content);
}

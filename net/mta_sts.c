/*
 * mta_sts.c - the MTA-STS policies of domains
 *
 *	record in the DNS -> same id as on disk: that policy
 *			  -> another id: fetch, keep
 *	no record, or no answer, or a fetch that fails -> what is on disk, as
 *	long as its max_age lasts (RFC 8461, 5.1)
 *
 * A file of the cache is a line with the id and the time at which it was
 * fetched, and then the policy as it came.
 */
#include "net/mta_sts.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "net/http.h"

#define THREADS 4
#define DNS_MS 10000
#define FETCH_MS 25000 /* less than a stop of the router takes */
#define LIFE_MS 300000

struct mta_sts {
	struct mta_sts_options options;
	char *cache_dir, *ca_file;
	struct worker_pool *pool;
	atomic_bool stopping;
};

struct question {
	struct inbox_item item;
	char *domain;
	mta_sts_done_fn *done;
	void *ctx;
};

/* What is on disk of a domain. */
struct kept {
	char id[STS_ID_MOST + 1];
	int64_t until; /* unix seconds */
	struct sts_policy policy;
};

/* ---- the cache ---- */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

static bool cache_path(
    const struct mta_sts *sts, const char *domain, char *out, size_t size)
{
	struct err err = {0};

	for (const char *p = domain; *p; p++)
		if (!is_alnum(*p) && *p != '-' && *p != '.' && *p != '_')
			return false;
	return *domain != '.' &&
	       path_join(out, size, sts->cache_dir, domain, &err);
}

static bool read_kept(const struct mta_sts *sts, const char *domain,
    struct arena *arena, struct kept *out)
{
	char path[4096], id[STS_ID_MOST + 1];
	struct err err = {0};
	const char *text;
	int64_t fetched;
	size_t len;
	char *bytes;
	int used = 0;
	bool ok = false;

	if (!cache_path(sts, domain, path, sizeof path))
		return false;
	bytes = fd_read_file(path, STS_POLICY_MOST + 100, &len, &err);
	if (!bytes)
		return false;
	if (sscanf(bytes, "%32s %" SCNd64 "%n", id, &fetched, &used) == 2 &&
	    bytes[used] == '\n') {
		text = bytes + used + 1;
		ok = sts_policy_parse(text, len - (size_t)(text - bytes), arena,
		    &out->policy, &err);
		(void)str_copy(out->id, sizeof out->id, id);
		out->until = fetched + out->policy.max_age;
	}
	free(bytes);
	return ok && out->until > clock_unix();
}

/* A reader sees the old file or the new one. */
static bool keep(const struct mta_sts *sts, const char *domain, const char *id,
    const struct buf *text, struct err *err)
{
	char path[4096], tmp[4200], head[100];
	bool ok;
	int fd;

	if (!cache_path(sts, domain, path, sizeof path))
		return true;
	(void)snprintf(tmp, sizeof tmp, "%s.%d-%p.tmp", path, (int)getpid(),
	    (const void *)text);
	(void)snprintf(head, sizeof head, "%s %" PRId64 "\n", id, clock_unix());
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_errno(err, ERR_TEMP, "%s", tmp);
	ok = fd_write_all(fd, head, strlen(head), tmp, err) &&
	     fd_write_all(fd, text->data, text->len, tmp, err);
	(void)close(fd);
	if (ok && rename(tmp, path) < 0)
		ok = err_errno(err, ERR_TEMP, "%s", path);
	if (!ok)
		(void)unlink(tmp);
	return ok;
}

/* ---- asking ---- */

/* More than one record is none (RFC 8461, 3.1). */
static bool ask_record(const struct mta_sts *sts, const char *domain,
    struct arena *arena, char id[STS_ID_MOST + 1])
{
	const struct dns_answer *answer = resolver_ask_wait(
	    sts->options.resolver, arena_printf(arena, "_mta-sts.%s", domain),
	    DNS_TXT, clock_now_ms() + DNS_MS, arena);
	char other[STS_ID_MOST + 1] = "";
	size_t found = 0;

	if (answer->status != DNS_OK)
		return false;
	for (size_t i = 0; i < answer->count; i++) {
		const unsigned char *p = answer->rows[i].data;
		size_t len = answer->rows[i].len;
		struct buf text = BUF_INIT;

		while (len > 0 && (size_t)*p + 1 <= len) {
			buf_add(&text, p + 1, *p);
			len -= (size_t)*p + 1;
			p += *p + 1;
		}
		if (sts_record_parse(
			buf_str(&text), text.len, found ? other : id))
			found++;
		buf_release(&text);
	}
	return found == 1;
}

/* In a devel build a test may have its server elsewhere. */
static const char *https_port(void)
{
#ifdef ENABLE_DEVEL
	const char *port = getenv("PENSTOCK_MTA_STS_PORT");

	if (port)
		return port;
#endif
	return "443";
}

/* "host:port:address,address", so that libcurl asks nobody. */
static const char *addresses(const struct mta_sts *sts, const char *host,
    struct arena *arena, struct err *err)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA};
	struct buf list = BUF_INIT;
	const char *result, *why = "it has no address";
	size_t count = 0;
	char text[IP_TEXT];

	buf_addf(&list, "%s:%s:", host, https_port());
	for (size_t t = 0; t < COUNT(types); t++) {
		const struct dns_answer *a =
		    resolver_ask_wait(sts->options.resolver, host, types[t],
			clock_now_ms() + DNS_MS, arena);

		if (a->why)
			why = a->why;
		for (size_t i = 0; a->status == DNS_OK && i < a->count; i++)
			buf_addf(&list, "%s%s", count++ ? "," : "",
			    ip_print(text, &a->rows[i].ip));
	}
	result = count ? arena_strdup(arena, buf_str(&list)) : NULL;
	buf_release(&list);
	if (!count)
		(void)err_set(err, ERR_TEMP, "%s", why);
	return result;
}

static bool is_text(const struct http_response *response)
{
	for (size_t i = 0; i < response->header_count; i++)
		if (str_eq(response->headers[i].name, "content-type"))
			return str_ncase_eq(
			    response->headers[i].value, "text/plain", 10);
	return false;
}

static bool fetch(const struct mta_sts *sts, const char *domain, const char *id,
    struct sts_answer *out, struct err *err)
{
	const struct http_options options = {.ca_file = sts->ca_file};
	struct arena *arena = out->arena;
	const char *host = arena_printf(arena, "mta-sts.%s", domain);
	struct http_request request = {.method = "GET",
	    .url = arena_printf(arena, "https://%s:%s/.well-known/mta-sts.txt",
		host, https_port()),
	    .no_redirects = true,
	    .deadline = clock_now_ms() + FETCH_MS,
	    .most_body = STS_POLICY_MOST};
	struct http_response response = {0};
	struct http_client *client;
	bool ok = false;

	out->problem = TLS_RESULT_STS_FETCH_ERROR;
	request.resolve = addresses(sts, host, arena, err);
	if (!request.resolve)
		return false;
	client = http_client_new(&options, err);
	if (!client)
		return false;
	if (http_send(client, &request, arena, &response, err)) {
		if (response.status != 200)
			(void)err_set(err, ERR_TEMP, "the server says %d",
			    response.status);
		else if (!is_text(&response))
			(void)err_set(err, ERR_TEMP, "it is not text/plain");
		else if (sts_policy_parse(buf_str(&response.body),
			     response.body.len, arena, &out->policy, err))
			ok = true;
		else
			out->problem = TLS_RESULT_STS_INVALID;
		if (ok && !keep(sts, domain, id, &response.body, err))
			diag_warn("MTA-STS: %s", err->text);
	} else if (response.untrusted) {
		out->problem = TLS_RESULT_STS_WEBPKI_INVALID;
	}
	buf_release(&response.body);
	http_client_free(client);
	return ok;
}

static void expire_with(struct sts_answer *out, const struct kept *kept)
{
	int64_t left = (kept->until - clock_unix()) * 1000;

	out->policy = kept->policy;
	if (left < LIFE_MS)
		out->expires_at = clock_now_ms() + left;
}

static void look(
    const struct mta_sts *sts, const char *domain, struct sts_answer *out)
{
	struct arena *arena = out->arena;
	char id[STS_ID_MOST + 1];
	struct err err = {0};
	struct kept kept;
	bool has = read_kept(sts, domain, arena, &kept);

	if (!ask_record(sts, domain, arena, id)) {
		if (has)
			expire_with(out, &kept);
		return;
	}
	if (has && str_eq(kept.id, id)) {
		expire_with(out, &kept);
		return;
	}
	if (fetch(sts, domain, id, out, &err))
		return;
	out->policy = (struct sts_policy){0};
	out->why = arena_printf(arena, "MTA-STS policy of %s: %s%s", domain,
	    err.text, has ? "; the one before stays" : "");
	diag_warn("%s", out->why);
	if (has)
		expire_with(out, &kept);
}

static void serve(struct inbox_item *item, void *ctx)
{
	struct question *q = CONTAINER_OF(item, struct question, item);
	struct mta_sts *sts = ctx;
	struct arena *arena = arena_new(0);
	struct sts_answer *answer = ARENA_NEW(arena, struct sts_answer);

	answer->arena = arena;
	answer->expires_at = clock_now_ms() + LIFE_MS;
	if (!atomic_load(&sts->stopping))
		look(sts, q->domain, answer);
	q->done(answer, q->ctx);
	free(q->domain);
	free(q);
}

/* ---- public ---- */

struct mta_sts *mta_sts_start(const struct mta_sts_options *options)
{
	struct mta_sts *sts = xcalloc(1, sizeof *sts);
	struct err err = {0};

	sts->options = *options;
	sts->cache_dir = xstrdup(options->cache_dir);
	sts->ca_file = options->ca_file ? xstrdup(options->ca_file) : NULL;
	if (!fd_make_dirs(sts->cache_dir, 0750, &err))
		diag_warn("MTA-STS: policies are not kept: %s", err.text);
	sts->pool = worker_pool_new("mta-sts", THREADS, serve, sts);
	return sts;
}

void mta_sts_stop(struct mta_sts *sts)
{
	if (!sts)
		return;
	atomic_store(&sts->stopping, true);
	worker_pool_free(sts->pool);
	free(sts->cache_dir);
	free(sts->ca_file);
	free(sts);
}

void mta_sts_ask(
    struct mta_sts *sts, const char *domain, mta_sts_done_fn *done, void *ctx)
{
	struct question *q = xcalloc(1, sizeof *q);

	q->domain = xstrdup(domain);
	q->done = done;
	q->ctx = ctx;
	worker_pool_put(sts->pool, &q->item);
}

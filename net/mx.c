/*
 * mx.c - the hosts that take mail for a domain
 *
 * One lookup is a struct that lives on the resolver's thread: the MX question,
 * then A and AAAA of all hosts at once; `pending` counts what is not answered.
 * The resolver keeps the deadline, so every question is answered.
 *
 * See: RFC 5321, 5.1 (implicit MX), RFC 7505 (null MX), RFC 3974.
 */
#include "net/mx.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/resolver_call.h"

#define MOST_HOSTS 100
#define MOST_ADDRESSES 64 /* of a host, of each family */
#define IMPLICIT_PREFERENCE 1
#define FAILED_TTL_MS 5000
#define LITERAL_TTL_MS (3600 * INT64_C(1000))

struct lookup {
	struct resolver *resolver;
	struct mx_result *result;
	const char *domain;
	uint16_t port;
	struct ip_addr ip; /* a literal */
	const char *bad;   /* not a name at all: why */
	bool host_only;
	int64_t deadline;
	mx_done_fn *done;
	void *ctx;
	size_t pending;
	const char *failed; /* a reason of an address lookup that failed */
};

/* One question about a host. */
struct host_question {
	struct lookup *lookup;
	size_t host;
	enum dns_type type;
};

/* ---- names ---- */

static bool literal(const char *text, size_t len, struct ip_addr *ip)
{
	char copy[IP_TEXT];

	if (len >= 5 && str_ncase_eq(text, "IPv6:", 5)) {
		text += 5;
		len -= 5;
	}
	if (len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return ip_parse(copy, ip);
}

static bool port_parse(const char *text, uint16_t *port)
{
	int64_t n;

	if (!str_to_int(text, &n) || n < 1 || n > 65535)
		return false;
	*port = (uint16_t)n;
	return true;
}

static bool is_name(const char *name)
{
	size_t len = strlen(name), label = 0;

	if (!len || len > 253)
		return false;
	for (const char *p = name; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= ' ' || c == 0x7f || strchr("[]/:@,;\"\\", c))
			return false;
		label = c == '.' ? 0 : label + 1;
		if ((c == '.' && (p == name || p[1] == '.')) || label > 63)
			return false;
	}
	return true;
}

bool mx_name_parse(const char *text, struct arena *arena, const char **name,
    struct ip_addr *ip, uint16_t *port, struct err *err)
{
	const char *colon = strrchr(text, ':');
	size_t len = strlen(text);
	char *copy;

	*name = text;
	*ip = (struct ip_addr){0};
	*port = 0;
	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (!end || !literal(text + 1, (size_t)(end - text - 1), ip) ||
		    (end[1] && (end[1] != ':' || !port_parse(end + 2, port))))
			goto bad;
		return true;
	}
	if (ip_parse(text, ip) || ip_port_parse(text, ip, port))
		return true;
	if (colon) {
		if (!port_parse(colon + 1, port))
			goto bad;
		len = (size_t)(colon - text);
	}
	copy = str_lower(arena_strndup(arena, text, len));
	if (len && copy[len - 1] == '.')
		copy[len - 1] = '\0';
	*name = copy;
	if (is_name(copy))
		return true;
bad:
	return err_set(
	    err, ERR_PERM, "\"%.80s\" is not a host name or address", text);
}

/* ---- the end ---- */

static void expires(struct mx_result *result, int64_t at)
{
	if (at < result->expires_at)
		result->expires_at = at;
}

static void finish(struct lookup *l, enum mx_status status, const char *why)
{
	struct mx_result *result = l->result;

	result->status = status;
	result->why = why;
	if (status == MX_TEMP)
		result->expires_at = clock_now_ms() + FAILED_TTL_MS;
	l->done(result, l->ctx);
	free(l);
}

static void finish_hosts(struct lookup *l)
{
	struct mx_result *result = l->result;
	size_t usable = 0;

	for (size_t i = 0; i < result->count; i++)
		usable += result->hosts[i].address_count > 0;
	if (usable)
		finish(l, MX_OK, "");
	else if (l->failed)
		finish(l, MX_TEMP, l->failed);
	else
		finish(l, MX_NO_HOSTS,
		    arena_printf(result->arena,
			"no address for the host%s of %s",
			result->count == 1 ? "" : "s", l->domain));
}

/* ---- addresses ---- */

static void add_addresses(
    struct arena *arena, struct mx_host *host, const struct dns_answer *answer)
{
	size_t new =
	    answer->count < MOST_ADDRESSES ? answer->count : MOST_ADDRESSES;
	size_t count = host->address_count + new;
	struct ip_addr *all = ARENA_ARRAY(arena, struct ip_addr, count + 1);
	size_t n = 0;

	/* IPv4 first, whichever answer came first. */
	if (new && answer->rows[0].ip.family == AF_INET)
		for (size_t i = 0; i < new; i++)
			all[n++] = answer->rows[i].ip;
	for (size_t i = 0; i < host->address_count; i++)
		all[n++] = host->addresses[i];
	if (new && answer->rows[0].ip.family != AF_INET)
		for (size_t i = 0; i < new; i++)
			all[n++] = answer->rows[i].ip;
	host->addresses = all;
	host->address_count = n;
}

static void on_addresses(const struct dns_answer *answer, void *ctx)
{
	struct host_question *q = ctx;
	struct lookup *l = q->lookup;
	struct mx_host *host = &l->result->hosts[q->host];

	switch (answer->status) {
	case DNS_OK:
		if (answer->canonical)
			host->canonical = answer->canonical;
		if (answer->count)
			add_addresses(l->result->arena, host, answer);
		expires(l->result, answer->expires_at);
		break;
	case DNS_NXDOMAIN:
		expires(l->result, answer->expires_at);
		break;
	case DNS_FAILED:
	case DNS_BOGUS:
		l->failed = answer->why;
		host->failed = true;
		/* Half an answer is not kept for long. */
		expires(l->result, clock_now_ms() + FAILED_TTL_MS);
		break;
	}
	host->secure = host->secure && answer->secure;
	if (--l->pending == 0)
		finish_hosts(l);
}

static void ask_addresses(struct lookup *l)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA};
	struct mx_result *result = l->result;
	struct arena *arena = result->arena;
	size_t count = result->count;

	/* Counted before the first question, which may be answered at once. */
	l->pending = count * COUNT(types);
	for (size_t i = 0; i < count; i++) {
		result->hosts[i].secure = true;
		for (size_t t = 0; t < COUNT(types); t++) {
			struct host_question *q =
			    ARENA_NEW(arena, struct host_question);

			q->lookup = l;
			q->host = i;
			q->type = types[t];
			resolver_ask(l->resolver, result->hosts[i].name,
			    types[t], l->deadline, arena, on_addresses, q);
		}
	}
}

static void set_single_host(struct lookup *l, int preference)
{
	struct mx_result *result = l->result;

	result->hosts = ARENA_NEW(result->arena, struct mx_host);
	result->count = 1;
	result->hosts[0] = (struct mx_host){
	    .name = l->domain, .preference = preference, .port = l->port};
}

/* ---- MX ---- */

static int by_preference(const void *a, const void *b)
{
	const struct mx_host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool listed(const struct mx_host *hosts, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(hosts[i].name, name))
			return true;
	return false;
}

/* Rows for "." beside others are nonsense (RFC 7505, 3) and left out. */
static void take_hosts(struct lookup *l, const struct dns_answer *answer)
{
	struct mx_result *result = l->result;
	struct mx_host *hosts =
	    ARENA_ARRAY(result->arena, struct mx_host, answer->count);
	size_t all = 0, kept = 0;

	for (size_t i = 0; i < answer->count; i++) {
		const struct dns_row *row = &answer->rows[i];

		if (*row->name)
			hosts[all++] = (struct mx_host){.name = row->name,
			    .preference = row->preference,
			    .port = l->port};
	}
	qsort(hosts, all, sizeof *hosts, by_preference);
	for (size_t i = 0; i < all && kept < MOST_HOSTS; i++)
		if (!listed(hosts, kept, hosts[i].name))
			hosts[kept++] = hosts[i];
	result->hosts = hosts;
	result->count = kept;
}

static void on_mx(const struct dns_answer *answer, void *ctx)
{
	struct lookup *l = ctx;
	struct mx_result *result = l->result;

	if (answer->status != DNS_OK) {
		finish(l, MX_TEMP, answer->why);
		return;
	}
	result->is_secure = answer->secure;
	expires(result, answer->expires_at);
	take_hosts(l, answer);
	if (!result->count && answer->count) {
		finish(l, MX_NULL,
		    arena_printf(result->arena, "%s takes no mail (null MX)",
			l->domain));
		return;
	}
	if (!result->count) {
		result->is_implicit = true;
		set_single_host(l, IMPLICIT_PREFERENCE);
	}
	ask_addresses(l);
}

/* ---- the beginning, on the resolver's thread ---- */

static void begin(void *ctx)
{
	struct lookup *l = ctx;
	struct mx_result *result = l->result;
	char text[IP_TEXT];

	if (l->bad) {
		finish(l, MX_TEMP, l->bad);
		return;
	}
	if (l->ip.family) {
		result->is_literal = true;
		result->expires_at = clock_now_ms() + LITERAL_TTL_MS;
		l->domain = arena_strdup(result->arena, ip_print(text, &l->ip));
		set_single_host(l, IMPLICIT_PREFERENCE);
		result->hosts[0].addresses =
		    arena_memdup(result->arena, &l->ip, sizeof l->ip);
		result->hosts[0].address_count = 1;
		finish(l, MX_OK, "");
		return;
	}
	if (!l->host_only) {
		resolver_ask(l->resolver, l->domain, DNS_MX, l->deadline,
		    result->arena, on_mx, l);
		return;
	}
	set_single_host(l, IMPLICIT_PREFERENCE);
	ask_addresses(l);
}

static void start(struct resolver *resolver, const char *domain, bool host_only,
    int64_t deadline, mx_done_fn *done, void *ctx)
{
	struct arena *arena = arena_new(0);
	struct lookup *l = xcalloc(1, sizeof *l);
	struct err err = {0};

	l->resolver = resolver;
	l->result = ARENA_NEW(arena, struct mx_result);
	l->result->arena = arena;
	l->result->expires_at = INT64_MAX;
	l->host_only = host_only;
	l->deadline = deadline;
	l->done = done;
	l->ctx = ctx;
	if (!mx_name_parse(domain, arena, &l->domain, &l->ip, &l->port, &err))
		l->bad = arena_strdup(arena, err.text);
	resolver_call(resolver, begin, l);
}

void mx_lookup(struct resolver *resolver, const char *domain, int64_t deadline,
    mx_done_fn *done, void *ctx)
{
	start(resolver, domain, false, deadline, done, ctx);
}

void mx_lookup_host(struct resolver *resolver, const char *name,
    int64_t deadline, mx_done_fn *done, void *ctx)
{
	start(resolver, name, true, deadline, done, ctx);
}

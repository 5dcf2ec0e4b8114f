/*
 * plan.c - which addresses a connection tries, in which order
 */
#include "router/plan.h"

#include <math.h>

#include "base/arena.h"
#include "base/cidr.h"
#include "router/outcome.h"
#include "router/router.h"

struct entry {
	struct candidate candidate;
	int preference;
	size_t order; /* within equal preference */
	size_t host;  /* of the destination's */
};

struct entries {
	struct entry *items;
	size_t count;
};

bool plan_refused(const struct destination *d, struct arena *arena,
    struct smtp_reply *refusal)
{
	if (d->is_null)
		*refusal = smtp_reply_make(
		    arena, 556, "5.1.10", "the domain takes no mail (null MX)");
	else if (d->why)
		*refusal = smtp_reply_make(arena, 451, "4.4.4",
		    "no mail host can be found: %s", d->why);
	else
		return false;
	return true;
}

uint16_t plan_port(const struct egress_path *path,
    const struct egress_source *source, const struct destination_host *h)
{
	if (source->remote_port)
		return (uint16_t)source->remote_port;
	return h->port ? h->port : (uint16_t)path->smtp_port;
}

static void add_family(const struct plan_question *q,
    const struct destination_host *h, int family, struct entries *out)
{
	for (size_t i = 0; i < h->address_count; i++) {
		const struct ip_addr *ip = &h->addresses[i];

		if (family && ip->family != family)
			continue;
		out->items[out->count] = (struct entry){
		    .candidate = {.name = h->name,
			.ip = *ip,
			.port = plan_port(q->path, q->source, h)},
		    .preference = h->preference,
		    .order = out->count,
		    .host = (size_t)(h - q->destination->hosts),
		};
		out->count++;
	}
}

static void note(const struct plan_question *q, const char *why)
{
	if (q->why)
		*q->why = why;
}

static void collect(const struct plan_question *q, struct entries *out)
{
	static const struct {
		int first, second;
	} families[] = {
	    [LOOKUP_V4_AND_V6] = {0, -1},
	    [LOOKUP_V4_ONLY] = {AF_INET, -1},
	    [LOOKUP_V6_ONLY] = {AF_INET6, -1},
	    [LOOKUP_V4_THEN_V6] = {AF_INET, AF_INET6},
	    [LOOKUP_V6_THEN_V4] = {AF_INET6, AF_INET},
	};
	const struct destination *d = q->destination;
	int first = families[q->path->ip_lookup_strategy].first;
	int second = families[q->path->ip_lookup_strategy].second;

	for (size_t i = 0; i < d->count; i++) {
		const struct destination_host *h = &d->hosts[i];

		if (h->path) {
			out->items[out->count] = (struct entry){
			    .candidate = {.name = h->name, .path = h->path},
			    .preference = h->preference,
			    .order = out->count,
			    .host = i};
			out->count++;
			continue;
		}
		add_family(q, h, first, out);
		if (second != -1)
			add_family(q, h, second, out);
	}
}

static bool is_feed(
    const struct plan_question *q, const struct candidate *candidate)
{
	for (size_t i = 0; i < q->feed_count; i++)
		if (q->feeds[i].port == candidate->port &&
		    (ip_eq(&q->feeds[i].ip, &candidate->ip) ||
			(ip_is_any(&q->feeds[i].ip) &&
			    q->feeds[i].ip.family == candidate->ip.family &&
			    q->is_local(&candidate->ip, q->ctx))))
			return true;
	return false;
}

/* Are we the MX?  RFC 5321, 5.1: drop ourselves and all of equal or worse
 * preference.  A host that the policy named is dropped only when it would feed
 * the message back to us, and alone, because a list knows no preference. */
static void drop_ourselves(const struct plan_question *q, struct entries *e)
{
	bool by_policy = q->destination->is_exempt;
	int limit = 0;
	bool found = false;
	size_t kept = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct candidate *c = &e->items[i].candidate;

		if (c->path || !(is_feed(q, c) ||
				   (!by_policy && q->is_local(&c->ip, q->ctx))))
			continue;
		if (!found || e->items[i].preference < limit)
			limit = e->items[i].preference;
		found = true;
	}
	if (!found)
		return;
	for (size_t i = 0; i < e->count; i++) {
		bool drop = q->destination->is_list
				? is_feed(q, &e->items[i].candidate)
				: e->items[i].preference >= limit;

		if (!drop)
			e->items[kept++] = e->items[i];
	}
	e->count = kept;
}

static void shuffle(const struct plan_question *q, struct entries *e)
{
	size_t from = 0;

	if (q->destination->is_list)
		return;
	while (from < e->count) {
		size_t to = from + 1;

		while (to < e->count &&
		       e->items[to].preference == e->items[from].preference)
			to++;
		for (size_t n = to - from; n > 1; n--) {
			size_t a = from + n - 1, b = from + q->pick(n, q->ctx);
			struct entry t = e->items[a];

			e->items[a] = e->items[b];
			e->items[b] = t;
		}
		from = to;
	}
	if (q->path->ip_lookup_strategy != LOOKUP_V4_THEN_V6 &&
	    q->path->ip_lookup_strategy != LOOKUP_V6_THEN_V4)
		return;
	/* The family that the policy wants first stays first. */
	for (size_t i = 1; i < e->count; i++)
		for (size_t j = i; j > 0; j--) {
			struct entry *a = &e->items[j - 1], *b = &e->items[j];
			int want =
			    q->path->ip_lookup_strategy == LOOKUP_V4_THEN_V6
				? AF_INET
				: AF_INET6;
			struct entry t;

			if (a->preference != b->preference ||
			    a->candidate.ip.family == want ||
			    b->candidate.ip.family != want)
				break;
			t = *a;
			*a = *b;
			*b = t;
		}
}

static enum dane_status dane_of(
    const struct plan_question *q, const struct entry *e)
{
	return q->hosts ? q->hosts[e->host].status : DANE_NONE;
}

/* Why DANE or MTA-STS will not have this host; NULL: they will.  Nothing is
 * sent to a host whose records cannot be had (RFC 7672, 2.2); what DANE vouches
 * for needs no MTA-STS (RFC 8461, 2). */
static const char *insecure(
    const struct plan_question *q, const struct entry *e)
{
	switch (dane_of(q, e)) {
	case DANE_FAILED:
		return q->hosts[e->host].why;
	case DANE_USABLE:
		return NULL;
	default:
		break;
	}
	if (q->path->enable_mta_sts &&
	    q->destination->hosts[e->host].sts_refused)
		return "its MTA-STS policy does not name it";
	return NULL;
}

static bool drop_insecure(const struct plan_question *q, struct entries *e,
    struct arena *arena, struct smtp_reply *refusal)
{
	const char *why = NULL, *host = NULL;
	size_t kept = 0;

	for (size_t i = 0; i < e->count; i++) {
		const char *reason = insecure(q, &e->items[i]);

		if (!reason) {
			e->items[kept++] = e->items[i];
			continue;
		}
		why = reason;
		host = e->items[i].candidate.name;
	}
	e->count = kept;
	if (kept > 0)
		return true;
	*refusal = smtp_reply_make(arena, 451, "4.7.5",
	    "no mail host of %s may be used: DANE or MTA-STS: %s: %s",
	    q->destination->site_name, host, why);
	return false;
}

/* The path's mode, replaced by DANE, then by MTA-STS; but a policy that only
 * tests takes nothing back that the path requires. */
static void choose_tls(
    const struct plan_question *q, const struct entry *e, struct candidate *c)
{
	enum sts_mode sts =
	    q->path->enable_mta_sts ? q->destination->sts : STS_NONE;

	c->tls = q->path->enable_tls;
	switch (dane_of(q, e)) {
	case DANE_USABLE:
		c->tls = TLS_REQUIRED;
		c->policy = TLS_POLICY_TLSA;
		c->tlsa = &q->hosts[e->host].set;
		c->next_hop = q->next_hop;
		return;
	case DANE_UNUSABLE:
		c->tls = TLS_REQUIRED_INSECURE;
		c->policy = TLS_POLICY_TLSA;
		break;
	default:
		break;
	}
	if (sts != STS_NONE)
		c->policy = TLS_POLICY_STS;
	c->report_only = sts == STS_TESTING;
	c->unnamed =
	    sts == STS_TESTING && q->destination->hosts[e->host].sts_unnamed;
	if (sts == STS_ENFORCE)
		c->tls = TLS_REQUIRED;
	else if (sts == STS_TESTING && c->tls != TLS_REQUIRED &&
		 c->tls != TLS_REQUIRED_INSECURE)
		c->tls = TLS_OPPORTUNISTIC_INSECURE;
}

/* False: none is left, `refusal` says why. */
static bool leave_usable(const struct plan_question *q, struct entries *e,
    struct arena *arena, struct smtp_reply *refusal)
{
	const struct destination *d = q->destination;
	size_t kept = 0;
	char text[IP_TEXT];

	if (e->count == 0) {
		*refusal = smtp_reply_make(arena, 451, "4.4.4",
		    "no mail host of %s has a usable address", d->site_name);
		note(q, WHY_NO_HOSTS);
		return false;
	}
	for (size_t i = 0; i < e->count; i++) {
		const struct candidate *c = &e->items[i].candidate;

		if (c->path ||
		    !cidr_list_contains(&q->path->prohibited_hosts, &c->ip))
			continue;
		*refusal = smtp_reply_make(arena, 550, "5.4.4",
		    "mail host %s has the address %s, which is prohibited",
		    c->name, ip_print(text, &c->ip));
		return false;
	}
	drop_ourselves(q, e);
	if (e->count == 0) {
		*refusal = smtp_reply_make(arena, 554, "5.4.6",
		    "mail for %s loops back to this host", d->site_name);
		return false;
	}
	for (size_t i = 0; i < e->count; i++)
		if (e->items[i].candidate.path ||
		    !cidr_list_contains(
			&q->path->skip_hosts, &e->items[i].candidate.ip))
			e->items[kept++] = e->items[i];
	e->count = kept;
	if (e->count == 0) {
		*refusal = smtp_reply_make(arena, 451, "4.4.4",
		    "all mail hosts of %s are in skip_hosts", d->site_name);
		note(q, "MxWasSkipped");
		return false;
	}
	return drop_insecure(q, e, arena, refusal);
}

static void take_candidates(const struct plan_question *q,
    const struct entries *e, struct candidate *out)
{
	for (size_t i = 0; i < e->count; i++) {
		out[i] = e->items[i].candidate;
		choose_tls(q, &e->items[i], &out[i]);
		out[i].implicit_tls =
		    egress_path_implicit_tls(q->path, out[i].port);
	}
}

bool plan_candidates(const struct plan_question *q, struct arena *arena,
    struct candidate **out, size_t *count, struct smtp_reply *refusal)
{
	const struct destination *d = q->destination;
	struct arena *scratch;
	struct entries e = {0};
	size_t room = 0;
	bool usable;

	if (plan_refused(d, arena, refusal))
		return false;
	for (size_t i = 0; i < d->count; i++)
		room += d->hosts[i].path ? 1 : d->hosts[i].address_count;
	/* A domain may name thousands of addresses; the connection keeps those
	 * that it tries. */
	scratch = arena_new(0);
	e.items = ARENA_ARRAY(scratch, struct entry, room + 1);
	collect(q, &e);
	usable = leave_usable(q, &e, arena, refusal);
	if (usable) {
		shuffle(q, &e);
		if (e.count > DELIVERY_CANDIDATES_MOST)
			e.count = DELIVERY_CANDIDATES_MOST;
		*out = ARENA_ARRAY(arena, struct candidate, e.count);
		take_candidates(q, &e, *out);
		*count = e.count;
	}
	arena_unref(scratch);
	return usable;
}

size_t plan_connections(size_t queued, int64_t limit)
{
	double ideal;
	size_t n;

	if (queued == 0 || limit <= 0)
		return 0;
	ideal = ceil((double)limit * (1 - exp(-0.023 * (double)queued)));
	n = ideal < 1 ? 1 : (size_t)ideal;
	if (n > queued)
		n = queued;
	return n > (size_t)limit ? (size_t)limit : n;
}

size_t plan_connections_at_first(size_t queued, int64_t limit)
{
	size_t all = plan_connections(queued, limit);
	size_t few = queued < 10000 ? 1 + queued * queued / 512 : all;

	return few < all ? few : all;
}

const char *plan_ehlo_name(const struct egress_path *path,
    const struct egress_source *source, const char *hostname)
{
	if (path->ehlo_domain)
		return path->ehlo_domain;
	return source->ehlo_domain ? source->ehlo_domain : hostname;
}

/*
 * destination.c - the hosts that take the mail of a scheduled queue
 *
 * A search asks for all that has to be looked up at once (each entry of
 * mx_list, or one MX lookup) and puts the answers together when the last has
 * come.  Answers arrive on the resolver's thread and are posted to the loop.
 */
#include "router/destination.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/mx.h"
#include "policy/site_name.h"
#include "router/router.h"
#include "router/sts_memory.h"
#include "router/tls_counts.h"

#define DEADLINE_MS 60000
/* A list that needs no name looked up, and a failure, are looked at again. */
#define LITERAL_LIFE_MS 300000
#define FAILURE_LIFE_MS 5000

struct search {
	struct loop_item item; /* when nothing has to be looked up */
	struct router *r;
	struct destination *d;
	size_t open; /* answers to come */
	bool is_mx;
	bool validated; /* asked of the resolver that validates */
	bool is_literal;
	bool none_left; /* MTA-STS refuses all hosts */
	bool unnamed;   /* a policy that is tested would refuse some */
	const char *domain;
	const char *names;     /* of mx_list */
	struct sts_policy sts; /* of the domain; strings in d's parts */
	destination_done_fn *done;
	void *ctx;
};

struct lookup {
	struct loop_item item;
	struct search *search;
	size_t host; /* which of d->hosts it is for */
	struct mx_result *result;
	bool is_again; /* the second time, without validation */
};

struct destination *destination_ref(struct destination *d)
{
	d->refs++;
	return d;
}

void destination_unref(struct destination *d)
{
	if (!d || --d->refs > 0)
		return;
	for (size_t i = 0; i < d->part_count; i++)
		arena_unref(d->parts[i]);
	arena_unref(d->arena);
}

static struct destination *destination_new(void)
{
	struct arena *arena = arena_new(640);
	struct destination *d = ARENA_NEW(arena, struct destination);

	d->refs = 1;
	d->arena = arena;
	d->site_name = d->terms = "";
	d->expires_at = clock_now_ms() + LITERAL_LIFE_MS;
	return d;
}

static void keep_part(struct destination *d, struct mx_result *result)
{
	invariant(d->part_count < d->parts_most);
	d->parts[d->part_count++] = result->arena;
	if (result->expires_at < d->expires_at)
		d->expires_at = result->expires_at;
}

struct destination *destination_for_lua(const struct protocol *protocol,
    const struct queue_name *queue, const char *domain)
{
	struct destination *d = destination_new();
	struct lua_target *lua = ARENA_NEW(d->arena, struct lua_target);

	lua->constructor = arena_strdup(d->arena, protocol->constructor);
	lua->domain = arena_strdup(d->arena, queue->domain);
	lua->tenant = arena_strdup(d->arena, queue->tenant);
	lua->campaign = arena_strdup(d->arena, queue->campaign);
	lua->batch_size = (size_t)protocol->batch_size;
	lua->least = (size_t)protocol->min_batch_size;
	if (lua->least > lua->batch_size)
		lua->least = lua->batch_size;
	lua->latency_ms = protocol->max_batch_latency.ms;
	d->lua = lua;
	d->site_name = arena_strdup(d->arena, domain);
	d->expires_at = INT64_MAX;
	return d;
}

/* ---- mx_list ---- */

/* The site's name, of the labels; or what certificates are held against and
 * records show, of the names that the policy put beside addresses. */
static const char *list_name(
    struct destination *d, const struct protocol *p, bool of_labels)
{
	struct buf name = BUF_INIT;
	const char *copy;

	buf_addstr(&name, of_labels ? "mx_list:" : " names:");
	for (size_t i = 0; i < p->mx_count; i++) {
		const struct mx_entry *e = &p->mx_list[i];

		if (i > 0)
			buf_addch(&name, ',');
		buf_addstr(&name, of_labels ? e->label : e->name);
	}
	copy = arena_strdup(d->arena, buf_str(&name));
	buf_release(&name);
	return copy;
}

static void take_host(struct search *s, size_t host, struct mx_result *result)
{
	struct destination_host *h = &s->d->hosts[host];

	keep_part(s->d, result);
	if (result->status == MX_OK && result->count > 0) {
		h->addresses = result->hosts[0].addresses;
		h->address_count = result->hosts[0].address_count;
		h->secure = s->validated && result->hosts[0].secure;
		h->failed = result->hosts[0].failed;
		h->canonical = result->hosts[0].canonical;
		return;
	}
	diag_warn("mx_list: %s: %s: skipped", h->name, result->why);
	if (s->d->expires_at > clock_now_ms() + FAILURE_LIFE_MS)
		s->d->expires_at = clock_now_ms() + FAILURE_LIFE_MS;
}

static void finish_list(struct destination *d)
{
	size_t addresses = 0;

	for (size_t i = 0; i < d->count; i++)
		addresses += d->hosts[i].path ? 1 : d->hosts[i].address_count;
	d->has_none = addresses == 0;
	if (d->has_none)
		d->why = "no entry of mx_list has an address";
}

/* ---- MX ---- */

static void take_mx(struct search *s, struct mx_result *result)
{
	struct destination *d = s->d;

	keep_part(d, result);
	if (s->validated)
		d->dnssec = result->is_secure ? DNSSEC_SECURE : DNSSEC_INSECURE;
	if (result->status == MX_NULL) {
		d->is_null = true;
		return;
	}
	if (result->status != MX_OK) {
		d->why = result->why;
		d->has_none = result->status == MX_NO_HOSTS;
		d->expires_at = clock_now_ms() + FAILURE_LIFE_MS;
		return;
	}
	d->count = result->count;
	d->hosts = ARENA_ARRAY(d->arena, struct destination_host, d->count);
	for (size_t i = 0; i < d->count; i++) {
		const struct mx_host *h = &result->hosts[i];

		d->hosts[i] = (struct destination_host){.name = h->name,
		    .preference = h->preference,
		    .port = h->port,
		    .addresses = h->addresses,
		    .secure = s->validated && h->secure,
		    .failed = h->failed,
		    .canonical = h->canonical,
		    .address_count = h->address_count};
	}
	s->is_literal = result->is_literal;
}

/* A policy that enforces takes the hosts that it does not name out of the site
 * (12.3); a path without MTA-STS uses them all the same. */
static void apply_sts(struct search *s)
{
	struct destination *d = s->d;
	size_t left = 0;

	d->sts = s->is_literal ? STS_NONE : s->sts.mode;
	if (d->sts == STS_NONE)
		return;
	for (size_t i = 0; i < d->count; i++) {
		d->hosts[i].sts_unnamed =
		    !sts_policy_matches(&s->sts, d->hosts[i].name);
		d->hosts[i].sts_refused =
		    d->hosts[i].sts_unnamed && d->sts == STS_ENFORCE;
		left += !d->hosts[i].sts_refused;
		s->unnamed |= d->hosts[i].sts_unnamed && d->sts == STS_TESTING;
	}
	if (left)
		return;
	s->none_left = true;
	diag_warn("MTA-STS: the policy of %s names none of its mail hosts",
	    s->domain);
}

static const char *name_of_site(struct search *s)
{
	struct destination *d = s->d;
	struct site_host *names =
	    ARENA_ARRAY(d->arena, struct site_host, d->count + 1);
	size_t count = 0;

	for (int refused = 0; refused < 2 && count == 0; refused++)
		for (size_t i = 0; i < d->count; i++) {
			const struct destination_host *h = &d->hosts[i];

			if (h->sts_refused != (bool)refused)
				continue;
			/* The port is part of the last label (12.3). */
			names[count].name = h->port && !s->is_literal
						? arena_printf(d->arena,
						      "%s:%u", h->name, h->port)
						: h->name;
			names[count++].preference = h->preference;
		}
	return count ? site_name(names, count, d->arena) : "";
}

static void finish(struct search *s);

static void got_sts(const struct sts_answer *answer, void *ctx)
{
	struct search *s = ctx;

	s->sts = answer->policy;
	if (answer->why)
		tls_counts_add(s->r->tls_counts, s->domain, TLS_POLICY_STS,
		    NULL, answer->problem);
	invariant(s->d->part_count < s->d->parts_most);
	s->d->parts[s->d->part_count++] = arena_ref(answer->arena);
	if (answer->expires_at < s->d->expires_at)
		s->d->expires_at = answer->expires_at;
	if (--s->open == 0)
		finish(s);
}

static void ask_sts(struct search *s)
{
	struct arena *arena = s->d->arena;
	struct ip_addr ip;
	const char *name;
	uint16_t port;

	if (!s->r->sts ||
	    !mx_name_parse(s->domain, arena, &name, &ip, &port, NULL) ||
	    ip.family)
		return;
	s->open++;
	sts_memory_ask(s->r->sts_memory, name, got_sts, s);
}

/* ---- */

static void finish(struct search *s)
{
	static const char *const secure[] = {
	    "", " insecure", " secure", " bogus"};
	static const char *const sts[] = {"", " sts-testing", " sts-enforce"};
	int64_t least = router_until(clock_now_ms(), 0);

	if (s->is_mx) {
		apply_sts(s);
		s->d->site_name = name_of_site(s);
	} else {
		finish_list(s->d);
	}
	/* Nor may what is refused use the connections of what is not, or one
	 * name the connections to a host that proved to be another. */
	s->d->terms = arena_printf(s->d->arena, "%s%s%s%s",
	    secure[s->d->dnssec], sts[s->d->sts],
	    s->none_left ? " sts-refused"
	    : s->unnamed ? " sts-unnamed"
			 : "",
	    s->names ? s->names : "");
	if (s->d->expires_at < least)
		s->d->expires_at = least;
	s->done(s->d, s->ctx);
	free(s);
}

static void run_finish(struct loop_item *item)
{
	finish(CONTAINER_OF(item, struct search, item));
}

static void on_resolver_thread(struct mx_result *result, void *ctx)
{
	struct lookup *lookup = ctx;

	lookup->result = result;
	loop_post(lookup->search->r->loop, &lookup->item);
}

/* What cannot be validated is delivered as if nobody had asked, unless a path
 * wants DANE: dnssec says so. */
static void ask_again(struct lookup *lookup)
{
	struct search *s = lookup->search;

	arena_unref(lookup->result->arena);
	s->d->dnssec = DNSSEC_BOGUS;
	lookup->is_again = true;
	if (s->is_mx)
		mx_lookup(s->r->resolver, s->domain,
		    clock_now_ms() + DEADLINE_MS, on_resolver_thread, lookup);
	else
		mx_lookup_host(s->r->resolver, s->d->hosts[lookup->host].name,
		    clock_now_ms() + DEADLINE_MS, on_resolver_thread, lookup);
}

static void run_lookup(struct loop_item *item)
{
	struct lookup *lookup = CONTAINER_OF(item, struct lookup, item);
	struct search *s = lookup->search;

	if (s->validated && !lookup->is_again &&
	    lookup->result->status == MX_TEMP) {
		ask_again(lookup);
		return;
	}
	if (lookup->is_again)
		s->validated = false;
	if (s->is_mx)
		take_mx(s, lookup->result);
	else
		take_host(s, lookup->host, lookup->result);
	free(lookup);
	if (--s->open == 0)
		finish(s);
}

static struct lookup *lookup_new(struct search *s, size_t host)
{
	struct lookup *lookup = xcalloc(1, sizeof *lookup);

	lookup->item.run = run_lookup;
	lookup->search = s;
	lookup->host = host;
	s->open++;
	return lookup;
}

static struct resolver *resolver_of(const struct search *s)
{
	return s->validated ? s->r->validator : s->r->resolver;
}

static void search_list(struct search *s, const struct protocol *p)
{
	struct destination *d = s->d;

	d->is_list = d->is_exempt = true;
	s->validated = s->r->dane_wanted && p->treat_mx_list_as_secure;
	d->dnssec = !s->r->dane_wanted ? DNSSEC_UNKNOWN
		    : s->validated     ? DNSSEC_SECURE
				       : DNSSEC_INSECURE;
	d->site_name = list_name(d, p, true);
	s->names = list_name(d, p, false);
	d->count = p->mx_count;
	d->hosts = ARENA_ARRAY(d->arena, struct destination_host, d->count);
	s->open = 1; /* so that no answer finishes it before all are asked */
	for (size_t i = 0; i < d->count; i++) {
		const struct mx_entry *e = &p->mx_list[i];
		struct destination_host *h = &d->hosts[i];

		h->name = arena_strdup(d->arena, e->name);
		h->path = arena_strdup(d->arena, e->path);
		h->port = e->port;
		if (e->path)
			continue;
		if (e->ip.family) {
			h->addresses =
			    arena_memdup(d->arena, &e->ip, sizeof e->ip);
			h->address_count = 1;
		} else {
			mx_lookup_host(resolver_of(s), e->host,
			    clock_now_ms() + DEADLINE_MS, on_resolver_thread,
			    lookup_new(s, i));
		}
	}
	if (--s->open == 0)
		loop_post(s->r->loop, &s->item);
}

void destination_resolve(struct router *r, const struct protocol *protocol,
    const char *domain, bool is_routing_domain, destination_done_fn *done,
    void *ctx)
{
	struct search *s = xcalloc(1, sizeof *s);

	s->item.run = run_finish;
	s->r = r;
	s->d = destination_new();
	/* An answer for each name of a list, or those about MX and MTA-STS. */
	s->d->parts_most = protocol->mx_count + 2;
	s->d->parts =
	    ARENA_ARRAY(s->d->arena, struct arena *, s->d->parts_most);
	s->done = done;
	s->ctx = ctx;
	if (protocol->mx_count > 0) {
		search_list(s, protocol);
		return;
	}
	s->is_mx = true;
	s->d->is_exempt = is_routing_domain;
	s->validated = r->dane_wanted;
	s->domain = arena_strdup(s->d->arena, domain);
	ask_sts(s);
	mx_lookup(resolver_of(s), domain, clock_now_ms() + DEADLINE_MS,
	    on_resolver_thread, lookup_new(s, 0));
}

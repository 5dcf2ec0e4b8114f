/*
 * routing.c - what the router would do with a scheduled queue
 *
 * A struct router with only the parts that deciding needs.  Each question is
 * asked, then the loop runs until the answer has come; nothing else runs on it.
 */
#include "trial/routing.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "policy/egress_path.h"
#include "policy/queue_config.h"
#include "policy/retry.h"
#include "router/destination.h"
#include "router/egress.h"
#include "router/plan.h"
#include "router/policy_call.h"
#include "router/record_memory.h"
#include "router/router.h"

struct routing {
	struct router router;
	struct router_options options;
	char hostname[256];
};

/* ---- values ---- */

static struct value text_value(struct arena *arena, const char *text)
{
	if (!text)
		return (struct value){.type = VALUE_NIL};
	return value_string(arena, text, strlen(text));
}

static struct value int_value(int64_t n)
{
	return (struct value){.type = VALUE_INT, .i = n, .n = (double)n};
}

static struct value map_new_value(struct arena *arena, size_t room)
{
	return (struct value){.type = VALUE_MAP,
	    .entries = ARENA_ARRAY(arena, struct value_entry, room + 1)};
}

/* Room has to be there. */
static void put(struct value *map, const char *key, struct value v)
{
	if (v.type == VALUE_NIL)
		return;
	map->entries[map->count].key = key;
	map->entries[map->count++].value = v;
}

static struct value list_new_value(struct arena *arena, size_t room)
{
	return (struct value){.type = VALUE_LIST,
	    .items = ARENA_ARRAY(arena, struct value, room + 1)};
}

/* ---- asking ---- */

struct answer_slot {
	struct loop *loop;
	struct record_ref *ref;
	struct egress_choice *choice;
	struct destination *destination;
	struct err err;
	bool failed;
};

static void got_record(struct record_ref *ref, const struct err *err, void *ctx)
{
	struct answer_slot *slot = ctx;

	slot->ref = ref;
	slot->failed = err != NULL;
	if (err)
		slot->err = *err;
	loop_exit(slot->loop);
}

static void got_choice(
    struct egress_choice *choice, const struct err *err, void *ctx)
{
	struct answer_slot *slot = ctx;

	slot->choice = choice;
	slot->failed = !choice;
	if (err)
		slot->err = *err;
	loop_exit(slot->loop);
}

static void got_destination(struct destination *d, void *ctx)
{
	struct answer_slot *slot = ctx;

	slot->destination = d;
	loop_exit(slot->loop);
}

/* NULL: *err.  What nobody answers is `fallback`. */
static struct record_ref *ask_policy(struct routing *r, const char *event,
    const struct param_set *set, const char *const *args, size_t count,
    const void *fallback, struct err *err)
{
	struct answer_slot slot = {.loop = r->router.loop};

	policy_ask(&r->router, event, set, args, count, 0, got_record, &slot);
	loop_run(r->router.loop);
	if (slot.failed) {
		*err = slot.err;
		return NULL;
	}
	return slot.ref ? slot.ref : record_builtin(fallback);
}

static struct record_ref *config_of(
    struct routing *r, const struct queue_name *q, struct err *err)
{
	const char *args[] = {
	    q->domain, q->tenant, q->campaign, q->routing_domain};

	return ask_policy(r, "get_queue_config", &queue_config_params, args,
	    COUNT(args), queue_config_defaults(), err);
}

static struct egress_choice *choice_of(
    struct routing *r, const struct queue_name *q, struct err *err)
{
	struct answer_slot slot = {.loop = r->router.loop};
	struct record_ref *config = config_of(r, q, err);
	const struct queue_config *record;

	if (!config)
		return NULL;
	record = config->record;
	slot.choice = egress_cached(r->router.egress, record->egress_pool);
	if (!slot.choice) {
		egress_resolve(
		    r->router.egress, record->egress_pool, got_choice, &slot);
		loop_run(r->router.loop);
	}
	record_unref(config);
	if (!slot.choice)
		*err = slot.err;
	return slot.choice;
}

static const char *delivery_domain(const struct queue_name *q)
{
	return q->routing_domain ? q->routing_domain : q->domain;
}

static bool refused(struct err *err, const struct smtp_reply *reply)
{
	char dsn[16];

	smtp_reply_dsn(dsn, reply);
	return err_set(err, ERR_PERM, "%d %s%s%s", reply->code, dsn,
	    *dsn ? " " : "", reply->text);
}

/* NULL: no hosts, *err says why.  ERR_CONFIG: it is no SMTP. */
static struct destination *destination_of(
    struct routing *r, const struct queue_name *q, struct err *err)
{
	struct answer_slot slot = {.loop = r->router.loop};
	struct record_ref *config = config_of(r, q, err);
	const struct queue_config *record;
	struct smtp_reply reply;
	struct arena *arena;

	if (!config)
		return NULL;
	record = config->record;
	if (record->protocol.kind != PROTOCOL_SMTP) {
		(void)err_set(err, ERR_CONFIG,
		    "the queue's protocol is not smtp: it has no hosts");
		record_unref(config);
		return NULL;
	}
	destination_resolve(&r->router, &record->protocol, delivery_domain(q),
	    q->routing_domain != NULL, got_destination, &slot);
	loop_run(r->router.loop);
	record_unref(config);
	arena = arena_new(0);
	if (plan_refused(slot.destination, arena, &reply)) {
		(void)refused(err, &reply);
		destination_unref(slot.destination);
		slot.destination = NULL;
	}
	arena_unref(arena);
	return slot.destination;
}

/* Index of the source in the pool; -1: *err. */
static int find_source(
    const struct egress_choice *c, const char *name, struct err *err)
{
	const struct egress_pool *pool = egress_choice_pool(c);

	for (size_t i = 0; i < c->count; i++) {
		const struct egress_pool_entry *e = &pool->entries[i];

		if (name ? str_eq(e->name, name) : e->weight > 0)
			return (int)i;
	}
	if (name)
		(void)err_set(err, ERR_CONFIG,
		    "the source \"%.100s\" is not in the pool %s", name,
		    pool->name);
	else
		(void)err_set(err, ERR_CONFIG,
		    "the egress pool %s has no usable source", pool->name);
	return -1;
}

/* ---- start and end ---- */

struct routing *routing_of(struct world *w, struct err *err)
{
	struct script_options script = {
	    .path = w->service.policy_path,
	    .role = SCRIPT_ROUTER,
	    .threads = 2,
	};
	struct resolver_options resolver = {.zone = w->zone};
	struct routing *r;

	if (w->routing)
		return w->routing;
	r = xcalloc(1, sizeof *r);
	r->options.policy_path = w->service.policy_path;
	r->router.options = &r->options;
	r->router.loop = loop_new();
	list_init(&r->router.policy_calls_waiting);
	list_init(&r->router.chunks_waiting);
	if (gethostname(r->hostname, sizeof r->hostname - 1) < 0)
		(void)str_copy(r->hostname, sizeof r->hostname, "localhost");
	r->router.hostname = r->hostname;
	r->router.records = record_memory_new();
	r->router.egress = egress_new(&r->router);
	if (script_policy_load(&r->router.policy, &script, err))
		r->router.resolver = resolver_start(&resolver, err);
	if (!r->router.resolver) {
		routing_free(r);
		return NULL;
	}
	w->routing = r;
	return r;
}

void routing_free(struct routing *r)
{
	if (!r)
		return;
	resolver_stop(r->router.resolver);
	egress_free(r->router.egress);
	record_memory_free(r->router.records);
	if (r->router.policy)
		script_policy_unref(r->router.policy);
	loop_free(r->router.loop);
	free(r);
}

void routing_set_zone(struct routing *r, struct dns_zone *zone)
{
	resolver_set_zone(r->router.resolver, zone);
}

/* ---- the questions ---- */

bool routing_config(struct routing *r, const struct queue_name *q,
    struct arena *arena, struct value *out, struct err *err)
{
	struct record_ref *ref = config_of(r, q, err);

	if (!ref)
		return false;
	*out = param_read_all(&queue_config_params, ref->record, arena);
	record_unref(ref);
	return true;
}

bool routing_pool(struct routing *r, const struct queue_name *q,
    struct arena *arena, struct value *out, struct err *err)
{
	struct egress_choice *c = choice_of(r, q, err);
	const struct egress_pool *pool;
	struct value sources;

	if (!c)
		return false;
	pool = egress_choice_pool(c);
	sources = list_new_value(arena, c->count);
	for (size_t i = 0; i < c->count; i++) {
		struct value *entry = &sources.items[sources.count++];

		*entry = map_new_value(arena, 2);
		put(entry, "name", text_value(arena, pool->entries[i].name));
		put(entry, "weight", int_value(pool->entries[i].weight));
	}
	*out = map_new_value(arena, 2);
	put(out, "name", text_value(arena, pool->name));
	put(out, "sources", sources);
	egress_choice_unref(c);
	return true;
}

bool routing_source(struct routing *r, const struct queue_name *q,
    const char *source, struct arena *arena, struct value *out, struct err *err)
{
	struct egress_choice *c = choice_of(r, q, err);
	int i = c ? find_source(c, source, err) : -1;

	if (i >= 0)
		*out = param_read_all(&egress_source_params,
		    egress_choice_source(c, (size_t)i), arena);
	egress_choice_unref(c);
	return i >= 0;
}

bool routing_pick(struct routing *r, const struct queue_name *q,
    struct arena *arena, const char **out, struct err *err)
{
	struct egress_choice *c = choice_of(r, q, err);
	const struct egress_pool *pool;
	int i;

	if (!c)
		return false;
	pool = egress_choice_pool(c);
	i = egress_pool_pick(pool, &c->turn->turn.turn, NULL);
	if (i >= 0)
		*out = arena_strdup(arena, pool->entries[i].name);
	else
		(void)find_source(c, NULL, err);
	egress_choice_unref(c);
	return i >= 0;
}

static struct value address_list(
    struct arena *arena, const struct destination_host *h)
{
	struct value list = list_new_value(arena, h->address_count);
	char text[IP_TEXT];

	for (size_t i = 0; i < h->address_count; i++)
		list.items[list.count++] =
		    text_value(arena, ip_print(text, &h->addresses[i]));
	return list;
}

bool routing_hosts(struct routing *r, const struct queue_name *q,
    struct arena *arena, struct value *out, struct err *err)
{
	struct destination *d = destination_of(r, q, err);
	struct value hosts;

	if (!d)
		return false;
	hosts = list_new_value(arena, d->count);
	for (size_t i = 0; i < d->count; i++) {
		const struct destination_host *h = &d->hosts[i];
		struct value *host = &hosts.items[hosts.count++];

		*host = map_new_value(arena, 5);
		put(host, "name", text_value(arena, h->name));
		put(host, "path", text_value(arena, h->path));
		if (!d->is_list)
			put(host, "preference", int_value(h->preference));
		if (h->port)
			put(host, "port", int_value(h->port));
		put(host, "addresses", address_list(arena, h));
	}
	*out = map_new_value(arena, 2);
	put(out, "site", text_value(arena, d->site_name));
	put(out, "hosts", hosts);
	destination_unref(d);
	return true;
}

/* What a connection needs to know, all at once. */
struct way {
	struct egress_choice *choice;
	struct destination *destination;
	const struct egress_source *source;
	struct record_ref *path;
};

static void way_release(struct way *way)
{
	record_unref(way->path);
	destination_unref(way->destination);
	egress_choice_unref(way->choice);
}

static bool find_way(struct routing *r, const struct queue_name *q,
    const char *source, struct way *way, struct err *err)
{
	const char *args[3] = {delivery_domain(q)};
	int i;

	*way = (struct way){0};
	way->destination = destination_of(r, q, err);
	if (!way->destination)
		return false;
	way->choice = choice_of(r, q, err);
	i = way->choice ? find_source(way->choice, source, err) : -1;
	if (i < 0) {
		way_release(way);
		return false;
	}
	way->source = egress_choice_source(way->choice, (size_t)i);
	args[1] = way->source->name;
	args[2] = way->destination->site_name;
	way->path = ask_policy(r, "get_egress_path_config", &egress_path_params,
	    args, COUNT(args), egress_path_defaults(), err);
	if (!way->path) {
		way_release(way);
		return false;
	}
	return true;
}

bool routing_path(struct routing *r, const struct queue_name *q,
    const char *source, struct arena *arena, struct value *out, struct err *err)
{
	struct way way;

	if (!find_way(r, q, source, &way, err))
		return false;
	*out = param_read_all(&egress_path_params, way.path->record, arena);
	way_release(&way);
	return true;
}

/* The machine that rehearses is not the one that will send. */
static bool nobody_is_local(const struct ip_addr *ip, void *ctx)
{
	return ip_is_loopback(ip) || ip_is_any(ip);
}

static size_t pick_none(size_t n, void *ctx)
{
	return n - 1; /* leaves everything in its place */
}

static struct value candidate_list(
    struct arena *arena, const struct candidate *candidates, size_t count)
{
	struct value list = list_new_value(arena, count);
	char text[IP_TEXT];

	for (size_t i = 0; i < count; i++) {
		const struct candidate *c = &candidates[i];
		struct value *item = &list.items[list.count++];

		*item = map_new_value(arena, 3);
		put(item, "name", text_value(arena, c->name));
		if (c->path) {
			put(item, "path", text_value(arena, c->path));
			continue;
		}
		put(item, "address", text_value(arena, ip_print(text, &c->ip)));
		put(item, "port", int_value(c->port));
	}
	return list;
}

bool routing_plan(struct routing *r, const struct queue_name *q,
    const char *source, struct arena *arena, struct value *out, struct err *err)
{
	struct plan_question question = {
	    .is_local = nobody_is_local,
	    .pick = pick_none,
	};
	struct candidate *candidates;
	struct smtp_reply reply;
	struct way way;
	size_t count;
	bool ok;

	if (!find_way(r, q, source, &way, err))
		return false;
	question.destination = way.destination;
	question.path = way.path->record;
	question.source = way.source;
	ok = plan_candidates(&question, arena, &candidates, &count, &reply);
	if (ok) {
		*out = map_new_value(arena, 3);
		put(out, "candidates",
		    candidate_list(arena, candidates, count));
		put(out, "ready",
		    text_value(arena,
			arena_printf(arena, "%s->%s@smtp_client",
			    way.source->name, way.destination->site_name)));
		put(out, "ehlo",
		    text_value(arena, plan_ehlo_name(way.path->record,
					  way.source, r->router.hostname)));
	} else {
		(void)refused(err, &reply);
	}
	way_release(&way);
	return ok;
}

bool routing_retries(struct routing *r, const struct queue_name *q, size_t most,
    struct arena *arena, struct value *out, int64_t *expires, struct err *err)
{
	struct record_ref *config = config_of(r, q, err);
	/* 0.5: exactly between sooner and later. */
	struct retry_question question = {.chance = 0.5};

	if (!config)
		return false;
	*out = list_new_value(arena, most);
	*expires = 0;
	while (out->count < most) {
		struct retry_answer a =
		    retry_after_failure(config->record, &question);

		*expires = question.now;
		if (a.expired)
			break;
		out->items[out->count++] = int_value(a.due_at);
		question.now = a.due_at;
		question.attempts = a.attempts;
	}
	record_unref(config);
	return true;
}

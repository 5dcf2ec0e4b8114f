/*
 * script_dns.c - the resolvers that policies ask
 *
 * One lock for the list of resolvers and for the site names that are known;
 * nobody holds it while asking.
 */
#include "lua/script_dns.h"

#include <pthread.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "policy/site_name.h"

#define MX_TIMEOUT_MS 5000
#define MOST_AT_ONCE 32
#define MOST_SITES 10000

struct named {
	struct resolver *resolver;
	char *forwarder; /* NULL: resolv.conf */
	bool has_zone;   /* of its own */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *default_forwarder;
static struct dns_zone *default_zone; /* NULL: the real DNS */
static struct map *all; /* name -> struct named; "" is the default */
static struct {
	struct resolver **items;
	size_t count, size;
} started; /* also those that were replaced */
static int64_t mx_timeout_ms = MX_TIMEOUT_MS;
static struct map *sites; /* domain -> its site name when it was last known */

void script_use_forwarder(const char *forwarder)
{
	default_forwarder = forwarder ? xstrdup(forwarder) : NULL;
}

/* Lock held.  One that is replaced stays: somebody may be waiting for it. */
static struct resolver *start(const char *name, const char *forwarder,
    struct dns_zone *zone, struct err *err)
{
	struct resolver_options options = {
	    .forwarder = forwarder, .zone = zone ? zone : default_zone};
	struct resolver *resolver = resolver_start(&options, err);
	struct named *named;

	if (!resolver)
		return NULL;
	*ARRAY_ADD(&started) = resolver;
	named = map_get(all, name);
	if (!named) {
		named = xcalloc(1, sizeof *named);
		(void)map_put(all, name, named);
	}
	free(named->forwarder);
	named->forwarder = forwarder ? xstrdup(forwarder) : NULL;
	named->has_zone = zone != NULL;
	named->resolver = resolver;
	return resolver;
}

static struct resolver *find(const char *name, struct err *err)
{
	struct named *named;

	if (!all)
		all = map_new();
	named = map_get(all, name ? name : "");
	if (named)
		return named->resolver;
	if (!name)
		return start("", default_forwarder, NULL, err);
	(void)err_set(
	    err, ERR_CONFIG, "the resolver \"%s\" is not defined", name);
	return NULL;
}

struct resolver *script_resolver(const char *name, struct err *err)
{
	struct resolver *resolver;

	pthread_mutex_lock(&lock);
	resolver = find(name, err);
	pthread_mutex_unlock(&lock);
	return resolver;
}

bool script_resolver_define(
    const char *name, const char *forwarder, struct err *err)
{
	const char *key = name ? name : "";
	struct named *named;
	bool ok;

	pthread_mutex_lock(&lock);
	if (!all)
		all = map_new();
	named = map_get(all, key);
	ok = (named && !named->has_zone &&
		 str_eq(named->forwarder, forwarder)) ||
	     start(key, forwarder, NULL, err) != NULL;
	pthread_mutex_unlock(&lock);
	return ok;
}

bool script_resolver_define_zone(
    const char *name, struct dns_zone *zone, struct err *err)
{
	bool ok;

	pthread_mutex_lock(&lock);
	if (!all)
		all = map_new();
	ok = start(name ? name : "", NULL, zone, err) != NULL;
	pthread_mutex_unlock(&lock);
	return ok;
}

void script_use_zone(struct dns_zone *zone)
{
	size_t pos = 0;
	const char *name;
	void *value;

	pthread_mutex_lock(&lock);
	while (default_zone && all && map_each(all, &pos, &name, &value)) {
		struct named *named = value;

		if (!named->has_zone)
			resolver_set_zone(named->resolver, zone);
	}
	dns_zone_unref(default_zone);
	default_zone = dns_zone_ref(zone);
	pthread_mutex_unlock(&lock);
}

static void free_named(void *p)
{
	struct named *named = p;

	free(named->forwarder);
	free(named);
}

void script_resolvers_stop(void)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < started.count; i++)
		resolver_stop(started.items[i]);
	free(started.items);
	memset(&started, 0, sizeof started);
	map_free(all, free_named);
	all = NULL;
	map_free(sites, free);
	sites = NULL;
	dns_zone_unref(default_zone);
	default_zone = NULL;
	pthread_mutex_unlock(&lock);
}

/* ---- MX ---- */

void script_mx_timeout_set(int64_t ms)
{
	__atomic_store_n(&mx_timeout_ms, ms, __ATOMIC_RELAXED);
}

struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	struct mx_result *result;
};

static void wake(struct mx_result *result, void *ctx)
{
	struct waiter *w = ctx;

	pthread_mutex_lock(&w->mutex);
	w->result = result;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

static int64_t mx_deadline(int64_t deadline)
{
	int64_t latest =
	    clock_now_ms() + __atomic_load_n(&mx_timeout_ms, __ATOMIC_RELAXED);

	return deadline < latest ? deadline : latest;
}

/* The deadline is the resolver's to keep: it always answers. */
struct mx_result *script_mx_lookup(
    struct resolver *resolver, const char *domain, int64_t deadline)
{
	struct waiter w = {
	    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL};

	mx_lookup(resolver, domain, mx_deadline(deadline), wake, &w);
	pthread_mutex_lock(&w.mutex);
	while (!w.result)
		pthread_cond_wait(&w.cond, &w.mutex);
	pthread_mutex_unlock(&w.mutex);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.mutex);
	return w.result;
}

/* ---- site names ---- */

const char *script_site_name(const struct mx_result *mx, struct arena *arena)
{
	struct site_host *hosts;

	if (mx->status == MX_TEMP ||
	    (mx->status == MX_NO_HOSTS && mx->count == 0))
		return NULL;
	hosts = ARENA_ARRAY(arena, struct site_host, mx->count);
	for (size_t i = 0; i < mx->count; i++)
		hosts[i] = (struct site_host){
		    mx->hosts[i].name, mx->hosts[i].preference};
	return site_name(hosts, mx->count, arena);
}

struct crowd {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	size_t running;
};

struct asked {
	struct crowd *crowd;
	struct mx_result *result;
};

static void one_is_answered(struct mx_result *result, void *ctx)
{
	struct asked *asked = ctx;
	struct crowd *crowd = asked->crowd;

	pthread_mutex_lock(&crowd->mutex);
	asked->result = result;
	crowd->running--;
	pthread_cond_signal(&crowd->cond);
	pthread_mutex_unlock(&crowd->mutex);
}

/* Waits until at most `most` are under way. */
static void wait_for(struct crowd *crowd, size_t most)
{
	pthread_mutex_lock(&crowd->mutex);
	while (crowd->running > most)
		pthread_cond_wait(&crowd->cond, &crowd->mutex);
	pthread_mutex_unlock(&crowd->mutex);
}

static void ask_all(struct resolver *resolver, struct asked *asked,
    const struct site_question *questions, size_t count, int64_t deadline)
{
	struct crowd crowd = {
	    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

	for (size_t i = 0; i < count; i++) {
		wait_for(&crowd, MOST_AT_ONCE - 1);
		asked[i].crowd = &crowd;
		pthread_mutex_lock(&crowd.mutex);
		crowd.running++;
		pthread_mutex_unlock(&crowd.mutex);
		mx_lookup(resolver, questions[i].domain, deadline,
		    one_is_answered, &asked[i]);
	}
	wait_for(&crowd, 0);
	pthread_cond_destroy(&crowd.cond);
	pthread_mutex_destroy(&crowd.mutex);
}

/* Lock held. */
static void remember(const char *domain, const char *name)
{
	char *known;

	if (!sites)
		sites = map_new();
	known = map_get(sites, domain);
	if (known ? str_eq(known, name) : map_count(sites) >= MOST_SITES)
		return;
	free(map_put(sites, domain, xstrdup(name)));
}

void script_site_names(struct resolver *resolver,
    struct site_question *questions, size_t count, int64_t deadline,
    struct arena *arena)
{
	struct asked *asked = ARENA_ARRAY(arena, struct asked, count);

	ask_all(resolver, asked, questions, count, mx_deadline(deadline));
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < count; i++) {
		struct site_question *q = &questions[i];
		const struct mx_result *mx = asked[i].result;

		q->name = script_site_name(mx, arena);
		q->why = NULL;
		if (q->name) {
			remember(q->domain, q->name);
		} else {
			const char *known =
			    sites ? map_get(sites, q->domain) : NULL;

			q->why = arena_strdup(arena, mx->why);
			q->name = known ? arena_strdup(arena, known) : NULL;
		}
		arena_unref(mx->arena);
	}
	pthread_mutex_unlock(&lock);
}

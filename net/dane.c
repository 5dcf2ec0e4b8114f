/*
 * dane.c - does the DNS vouch for a host's certificate?
 *
 *	[CNAME of the host] -> TLSA below its canonical name -> below its own
 *
 * An alias below _tcp is followed by the name servers: the name that was asked
 * for is the base all the same (RFC 7671, 7).
 */
#include "net/dane.h"

#include "base/clock.h"
#include "base/xalloc.h"

/* A set that is longer is somebody's joke. */
#define MOST_RECORDS 100

struct lookup {
	struct resolver *validator;
	struct dane_result *result;
	const char *bases[2]; /* where records may be */
	size_t at, count;
	uint16_t port;
	int64_t deadline;
	dane_done_fn *done;
	void *ctx;
};

static void finish(struct lookup *l)
{
	l->done(l->result, l->ctx);
	free(l);
}

/* What is known does not last longer than any part of it. */
static void note_expiry(struct lookup *l, const struct dns_answer *answer)
{
	if (answer->expires_at < l->result->expires_at)
		l->result->expires_at = answer->expires_at;
}

static void take_failure(struct lookup *l, const struct dns_answer *answer)
{
	l->result->status = DANE_FAILED;
	l->result->why = answer->why;
	finish(l);
}

static void take_records(struct lookup *l, const struct dns_answer *answer)
{
	struct dane_result *result = l->result;
	struct tlsa_set *set = &result->set;

	set->base = l->bases[l->at];
	set->records =
	    ARENA_ARRAY(result->arena, struct tlsa_record, answer->count + 1);
	for (size_t i = 0; i < answer->count && i < MOST_RECORDS; i++)
		if (tlsa_parse(answer->rows[i].data, answer->rows[i].len,
			&set->records[set->count]))
			set->count++;
	result->status = set->count ? DANE_USABLE : DANE_UNUSABLE;
}

static void ask_records(struct lookup *l);

static void on_records(const struct dns_answer *answer, void *ctx)
{
	struct lookup *l = ctx;

	note_expiry(l, answer);
	switch (answer->status) {
	case DNS_OK:
		if (!answer->count || !answer->secure)
			break;
		take_records(l, answer);
		finish(l);
		return;
	case DNS_NXDOMAIN:
		break;
	case DNS_FAILED:
	case DNS_BOGUS:
		take_failure(l, answer);
		return;
	}
	l->at++;
	ask_records(l);
}

static void ask_records(struct lookup *l)
{
	struct arena *arena = l->result->arena;

	if (l->at == l->count) {
		finish(l);
		return;
	}
	resolver_ask(l->validator,
	    arena_printf(
		arena, "_%u._tcp.%s", (unsigned)l->port, l->bases[l->at]),
	    DNS_TLSA, l->deadline, arena, on_records, l);
}

static void on_alias(const struct dns_answer *answer, void *ctx)
{
	struct lookup *l = ctx;

	note_expiry(l, answer);
	if (answer->status == DNS_FAILED || answer->status == DNS_BOGUS) {
		take_failure(l, answer);
		return;
	}
	if (answer->status != DNS_OK || !answer->count || !answer->secure)
		l->count = 0;
	ask_records(l);
}

void dane_lookup(struct resolver *validator, const struct dane_host *host,
    uint16_t port, int64_t deadline, dane_done_fn *done, void *ctx)
{
	struct arena *arena = arena_new(0);
	struct lookup *l = xcalloc(1, sizeof *l);

	l->validator = validator;
	l->result = ARENA_NEW(arena, struct dane_result);
	l->result->arena = arena;
	l->result->why = "";
	l->result->expires_at = INT64_MAX;
	l->port = port;
	l->deadline = deadline;
	l->done = done;
	l->ctx = ctx;
	if (host->secure && host->canonical)
		l->bases[l->count++] = arena_strdup(arena, host->canonical);
	l->bases[l->count++] = arena_strdup(arena, host->name);
	/* Of an insecure host that is no alias this finds no CNAME. */
	if (host->secure)
		ask_records(l);
	else
		resolver_ask(validator, l->bases[0], DNS_CNAME, deadline, arena,
		    on_alias, l);
}

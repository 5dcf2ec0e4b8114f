/*
 * dane.c - does the DNS vouch for a host's certificate?
 *
 * An alias is followed by the name servers; the name that was asked for is the
 * base, as long as the whole chain is secure (RFC 7672, 2.2.2).
 */
#include "net/dane.h"

#include "base/clock.h"
#include "base/xalloc.h"

/* A set that is longer is somebody's joke. */
#define MOST_RECORDS 100

struct lookup {
	struct dane_result *result;
	const char *host;
	dane_done_fn *done;
	void *ctx;
};

static void take_records(struct lookup *l, const struct dns_answer *answer)
{
	struct dane_result *result = l->result;
	struct tlsa_set *set = &result->set;

	set->base = l->host;
	set->records =
	    ARENA_ARRAY(result->arena, struct tlsa_record, answer->count + 1);
	for (size_t i = 0; i < answer->count && i < MOST_RECORDS; i++)
		if (tlsa_parse(answer->rows[i].data, answer->rows[i].len,
			&set->records[set->count]))
			set->count++;
	result->status = set->count ? DANE_USABLE : DANE_UNUSABLE;
}

static void on_answer(const struct dns_answer *answer, void *ctx)
{
	struct lookup *l = ctx;
	struct dane_result *result = l->result;

	result->expires_at = answer->expires_at;
	switch (answer->status) {
	case DNS_OK:
		if (answer->count && answer->secure)
			take_records(l, answer);
		break;
	case DNS_NXDOMAIN:
		break;
	case DNS_FAILED:
	case DNS_BOGUS:
		result->status = DANE_FAILED;
		result->why = answer->why;
		break;
	}
	l->done(result, l->ctx);
	free(l);
}

void dane_lookup(struct resolver *validator, const char *host, uint16_t port,
    int64_t deadline, dane_done_fn *done, void *ctx)
{
	struct arena *arena = arena_new(0);
	struct lookup *l = xcalloc(1, sizeof *l);

	l->result = ARENA_NEW(arena, struct dane_result);
	l->result->arena = arena;
	l->result->why = "";
	l->host = arena_strdup(arena, host);
	l->done = done;
	l->ctx = ctx;
	resolver_ask(validator,
	    arena_printf(arena, "_%u._tcp.%s", (unsigned)port, host), DNS_TLSA,
	    deadline, arena, on_answer, l);
}

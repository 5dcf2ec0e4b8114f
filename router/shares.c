/*
 * shares.c - what is finite, shared among hosts that answer and those that do
 *not
 *
 *	            messages               connections
 *	GOOD        all; less when scarce  all
 *	NEW         half                   a quarter, of 7/8 of all
 *	BAD         a quarter              a quarter, of 3/4 of all
 *
 * A new site that does not answer becomes a bad one and takes along what it
 * holds, so the bad can have more than their quarter: from half on the oldest
 * attempts are given up before their timeout.
 */
#include "router/shares.h"

#include "router/router.h"

#define REST_MS 1000
#define REST_MOST_MS 60000
#define FREE_FAILURES 3
/* A SYN is sent again after 1, 3 and 7 seconds. */
#define PATIENCE_MS 10000
#define LITTLE_PATIENCE_MS 3000

static size_t good(size_t leased)
{
	if (leased >= ROUTER_LEASED_MOST / 10 * 9)
		return 32;
	return leased >= ROUTER_LEASED_MOST / 4 * 3 ? 256 : SIZE_MAX;
}

static size_t unknown(size_t held)
{
	if (held >= ROUTER_LEASED_MOST / 2)
		return 0;
	if (held >= ROUTER_LEASED_MOST / 4)
		return 1;
	return held >= ROUTER_LEASED_MOST / 8 ? 4 : 20;
}

size_t shares_messages(
    const struct shares *s, enum standing standing, size_t leased)
{
	size_t held = s->messages[standing];

	switch (standing) {
	case STANDING_NEW:
		return unknown(held);
	case STANDING_BAD:
		return held < ROUTER_LEASED_MOST / 4;
	case STANDING_GOOD:
	case STANDING_COUNT:
		break;
	}
	return good(leased);
}

bool shares_may_open(
    const struct shares *s, enum standing standing, size_t open, size_t most)
{
	size_t share = most;

	if (standing == STANDING_GOOD)
		return open < most;
	share = most / 4 > 0 ? most / 4 : 1;
	if (s->connections[standing] >= share)
		return false;
	return open < most - (standing == STANDING_NEW ? most / 8 : most / 4);
}

static size_t excess(size_t held, size_t half)
{
	return held > half ? held - half : 0;
}

int64_t shares_patience_ms(const struct shares *s, size_t most, size_t *count)
{
	size_t messages = s->messages[STANDING_BAD];
	size_t connections = s->connections[STANDING_BAD];
	size_t a = excess(messages, ROUTER_LEASED_MOST / 2);
	size_t b = excess(connections, most / 2);

	*count = a > b ? a : b;
	if (*count == 0)
		return 0;
	return messages > ROUTER_LEASED_MOST / 4 * 3 ||
		       connections > most / 4 * 3
		   ? LITTLE_PATIENCE_MS
		   : PATIENCE_MS;
}

int64_t shares_rest_ms(int64_t failures, int64_t limit)
{
	int64_t ms = REST_MS;

	if (failures < FREE_FAILURES && failures <= limit)
		return 0;
	for (int64_t n = failures - limit; n > 1 && ms < REST_MOST_MS; n--)
		ms *= 2;
	return ms < REST_MOST_MS ? ms : REST_MOST_MS;
}

/*
 * local_addr.c - the addresses of this machine
 *
 * getifaddrs(3) is two netlink requests to the kernel: it does not wait, so
 * the loop may call it.
 */
#include "net/local_addr.h"

#include <ifaddrs.h>
#include <stdint.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"

#define FRESH_MS 60000

struct local_addr {
	struct {
		struct ip_addr *items;
		size_t count, size;
	} list;
	int64_t refresh_at;
};

struct local_addr *local_addr_new(void)
{
	return xcalloc(1, sizeof(struct local_addr));
}

void local_addr_free(struct local_addr *local)
{
	if (!local)
		return;
	ARRAY_FREE(&local->list);
	free(local);
}

/* On failure the old list stays. */
static void refresh(struct local_addr *local)
{
	struct ifaddrs *all = NULL;
	struct ip_addr ip;

	local->refresh_at = clock_now_ms() + FRESH_MS;
	if (getifaddrs(&all) < 0) {
		diag_warn("cannot list the addresses of this machine");
		return;
	}
	local->list.count = 0;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (i->ifa_addr && ip_from_sockaddr(i->ifa_addr, &ip, NULL))
			*ARRAY_ADD(&local->list) = ip;
	freeifaddrs(all);
}

bool local_addr_has(struct local_addr *local, const struct ip_addr *ip)
{
	if (ip_is_any(ip))
		return true;
	if (clock_now_ms() >= local->refresh_at)
		refresh(local);
	for (size_t i = 0; i < local->list.count; i++)
		if (ip_eq(&local->list.items[i], ip))
			return true;
	return false;
}

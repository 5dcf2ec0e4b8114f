/*
 * servers.c - addresses of ours that a stranger may connect to
 */
#include "trial/servers.h"

#include "trial/outsider.h"

#define MOST_SERVERS 12

static void add_server(
    struct words *servers, const struct harvest *h, const char *text)
{
	if (servers->count < MOST_SERVERS)
		words_add(h->arena, servers, text);
}

/* Addresses that the policy has a block for are perhaps ours. */
static void add_via(struct words *servers, const struct harvest *h,
    const struct value *via, unsigned port)
{
	char text[ENDPOINT_TEXT];
	struct cidr block;
	struct err err;

	if (!via || via->type != VALUE_MAP)
		return;
	VALUE_EACH (entry, via)
		if (cidr_parse(entry->key, &block, &err) && block.ip.family)
			add_server(servers, h,
			    ip_port_print(text, &block.ip, (int)port));
}

void servers_find(
    struct words *servers, struct harvest *h, const struct policy_setup *setup)
{
	char text[ENDPOINT_TEXT];

	for (size_t i = 0; i < setup->listener_count; i++) {
		const struct listener *l = setup->listeners[i];
		struct ip_addr ip;
		uint16_t port;

		if (!listener_listen_parse(l->listen, &ip, &port))
			continue;
		if (ip_is_any(&ip))
			(void)ip_parse(ip.family == AF_INET6 ? "2001:db8:25::25"
							     : "198.51.100.25",
			    &ip);
		add_server(servers, h, ip_port_print(text, &ip, port));
		add_via(servers, h, l->via, port);
		for (size_t j = 0; j < l->relay_hosts.count; j++)
			harvest_add_block(h, &l->relay_hosts.items[j]);
	}
	if (servers->count == 0)
		add_server(servers, h, "198.51.100.25:25");
}

/*
 * listener.c - which listener has a connection, and with which parameters
 *
 * Own keys first, then the peer block, then the via block; blocks nest and one
 * entry of each map applies (policy language, 5.3).
 */
#include "policy/listener.h"

#include "base/str.h"
#include "policy/param_rows.h"

bool listener_listen_parse(const char *text, struct ip_addr *ip, uint16_t *port)
{
	char spelled[ENDPOINT_TEXT];

	/* Two spellings that people use and that no grammar has. */
	if (str_starts(text, "0:"))
		(void)snprintf(spelled, sizeof spelled, "0.0.0.0%s", text + 1);
	else if (str_starts(text, ":::"))
		(void)snprintf(spelled, sizeof spelled, "[::]%s", text + 2);
	else if (!str_copy(spelled, sizeof spelled, text))
		return false;
	return ip_port_parse(spelled, ip, port);
}

/* How well a listener fits, best first (policy language, 5.2). */
enum fit {
	FIT_ADDRESS_AND_PORT,
	FIT_WILDCARD_AND_PORT,
	FIT_ADDRESS,
	FIT_WILDCARD,
	FIT_NOT,
};

static enum fit fit(
    const struct listener *listener, const struct ip_addr *local, uint16_t port)
{
	struct ip_addr ip;
	uint16_t listen_port;
	bool same, wildcard, same_port;

	if (!listener_listen_parse(listener->listen, &ip, &listen_port) ||
	    ip.family != local->family)
		return FIT_NOT;
	same = ip_eq(&ip, local);
	wildcard = ip_is_any(&ip);
	same_port = port == 0 || port == listen_port;
	if (same)
		return same_port ? FIT_ADDRESS_AND_PORT : FIT_ADDRESS;
	if (wildcard)
		return same_port ? FIT_WILDCARD_AND_PORT : FIT_WILDCARD;
	return FIT_NOT;
}

const struct listener *listener_find(const struct listener *const *all,
    size_t count, const struct ip_addr *local, uint16_t port)
{
	const struct listener *found = NULL;
	enum fit best = FIT_NOT;

	for (size_t i = 0; local && local->family && i < count; i++) {
		enum fit this = fit(all[i], local, port);

		if (this < best) {
			best = this;
			found = all[i];
		}
	}
	return found ? found : count == 1 ? all[0] : NULL;
}

/* Everything but the blocks, which follow when the address is compared. */
static struct value without_blocks(
    const struct value *block, struct arena *arena)
{
	struct value own = *block;

	if (block->type != VALUE_MAP)
		return own;
	own.entries = ARENA_ARRAY(arena, struct value_entry, block->count);
	own.count = 0;
	VALUE_EACH (e, block) {
		if (!str_eq(e->key, "via") && !str_eq(e->key, "peer"))
			own.entries[own.count++] = *e;
	}
	return own;
}

static void tell_meta(
    const struct value *block, listener_meta_fn *meta, void *ctx)
{
	const struct value *hostname = value_get(block, "hostname");
	const struct value *table = value_get(block, "meta");

	if (!meta)
		return;
	if (hostname && hostname->type == VALUE_STRING)
		meta("hostname", hostname, ctx);
	if (!table || table->type != VALUE_MAP)
		return;
	VALUE_EACH (e, table)
		meta(e->key, &e->value, ctx);
}

/* The block with the longest prefix that holds ip; *out NULL: none. */
static bool find_block(const struct value *blocks, const struct ip_addr *ip,
    struct arena *arena, const struct value **out, struct err *err)
{
	struct cidr *keys;
	int at;

	*out = NULL;
	if (!blocks || blocks->type != VALUE_MAP || !ip || !ip->family)
		return true;
	keys = ARENA_ARRAY(arena, struct cidr, blocks->count);
	for (size_t i = 0; i < blocks->count; i++)
		if (!cidr_parse(blocks->entries[i].key, &keys[i], err))
			return err_prefix(err, "%s", blocks->entries[i].key);
	at = cidr_longest(keys, blocks->count, ip);
	if (at >= 0)
		*out = &blocks->entries[at].value;
	return true;
}

struct applying {
	const struct ip_addr *peer, *local;
	struct arena *arena;
	listener_meta_fn *meta;
	void *ctx;
};

static bool apply_block(const struct param_set *set, struct listener *record,
    const struct value *block, const struct applying *a, struct err *err)
{
	const struct {
		const char *key;
		const struct ip_addr *ip;
	} nested[] = {{"peer", a->peer}, {"via", a->local}};
	struct value own = without_blocks(block, a->arena);

	if (!param_fill_over(set, &own, a->arena, record, err))
		return false;
	if (block->type != VALUE_MAP)
		return true;
	tell_meta(block, a->meta, a->ctx);
	for (size_t i = 0; i < COUNT(nested); i++) {
		const struct value *found;

		if (!find_block(value_get(block, nested[i].key), nested[i].ip,
			a->arena, &found, err))
			return err_prefix(err, "%s", nested[i].key);
		if (found && !apply_block(&listener_override_params, record,
				 found, a, err))
			return err_prefix(err, "%s", nested[i].key);
	}
	return true;
}

bool listener_apply(struct listener *record, const struct value *block,
    bool is_top, const struct ip_addr *peer, const struct ip_addr *local,
    struct arena *arena, listener_meta_fn *meta, void *ctx, struct err *err)
{
	const struct param_set *set =
	    is_top ? &listener_params : &listener_override_params;
	const struct applying a = {peer, local, arena, meta, ctx};
	struct listener whole;

	if (!is_top &&
	    !param_parse_over(set, record, block, arena, &whole, err))
		return false;
	return apply_block(set, record, block, &a, err) ||
	       err_prefix(err, "%s", set->name);
}

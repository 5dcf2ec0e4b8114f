/*
 * milter_batch.c - one transaction, several messages
 */
#include "milter/milter_batch.h"

#include <stdint.h>

#include "base/diag.h"
#include "base/map.h"
#include "base/str.h"

static struct address copy_address(struct arena *arena, const struct address *a)
{
	return (struct address){
	    .local = arena_strdup(arena, a->local),
	    .user = arena_strdup(arena, a->user),
	    .domain = arena_strdup(arena, a->domain),
	    .email = arena_strdup(arena, a->email),
	};
}

void batch_set_sender(struct message *m, const struct envelope_sender *sender)
{
	struct envelope_sender *to = &m->sender;

	*to = *sender;
	to->address = copy_address(m->arena, &sender->address);
	to->body = arena_strdup(m->arena, sender->body);
	to->ret = arena_strdup(m->arena, sender->ret);
	to->envid = arena_strdup(m->arena, sender->envid);
	to->auth = arena_strdup(m->arena, sender->auth);
}

void batch_add_recipient(
    struct message *m, const struct envelope_recipient *recipient)
{
	struct envelope_recipient *to = ARRAY_ADD(&m->recipients);

	*to = (struct envelope_recipient){
	    .address = copy_address(m->arena, &recipient->address),
	    .notify = arena_strdup(m->arena, recipient->notify),
	    .orcpt = arena_strdup(m->arena, recipient->orcpt),
	};
}

static struct message *add_batch(struct batches *out, struct message *base)
{
	struct message *m = message_derive(base);

	*ARRAY_ADD(out) = (struct batch){.message = m};
	return m;
}

/* The whole transaction is one batch: the message is there already. */
static void take_whole(struct batches *out, struct message *base)
{
	*ARRAY_ADD(out) = (struct batch){.message = message_ref(base)};
}

static void split_each(struct batches *out, struct message *base)
{
	for (size_t i = 0; i < base->recipients.count; i++)
		batch_add_recipient(
		    add_batch(out, base), &base->recipients.items[i]);
}

static void split_by_domain(struct batches *out, struct message *base)
{
	struct map *domains = map_new();

	for (size_t i = 0; i < base->recipients.count; i++) {
		const struct envelope_recipient *r = &base->recipients.items[i];
		const char *domain =
		    address_domain_lower(&r->address, base->arena);
		struct message *m = map_get(domains, domain);

		if (!m) {
			m = add_batch(out, base);
			(void)map_put(domains, domain, m);
		}
		batch_add_recipient(m, r);
	}
	map_free(domains, NULL);
}

/* An empty Lua table cannot say whether it is a list. */
static bool is_list(const struct value *v)
{
	return v->type == VALUE_LIST || (v->type == VALUE_MAP && v->count == 0);
}

static const struct envelope_recipient *known(
    const struct message *base, const char *email)
{
	for (size_t i = 0; i < base->recipients.count; i++)
		if (str_eq(base->recipients.items[i].address.email, email))
			return &base->recipients.items[i];
	return NULL;
}

static bool add_wanted(struct message *m, const struct message *base,
    const struct value *v, struct err *err)
{
	struct envelope_recipient fresh = {0};
	const struct envelope_recipient *r;

	if (v->type != VALUE_STRING)
		return err_set(err, ERR_CONFIG, "expected an address, got a %s",
		    value_type_name(v->type));
	r = known(base, v->s);
	if (!r) {
		if (!address_parse(v->s, v->len, m->arena, &fresh.address, err))
			return false;
		if (!*fresh.address.domain)
			return err_set(err, ERR_CONFIG,
			    "the address \"%.100s\" has no domain", v->s);
		r = &fresh;
	}
	batch_add_recipient(m, r);
	return true;
}

static bool split_as_wanted(struct batches *out, struct message *base,
    const struct value *wanted, struct err *err)
{
	if (!is_list(wanted))
		return err_set(err, ERR_CONFIG,
		    "expected an array of arrays of addresses, got a %s",
		    value_type_name(wanted->type));
	for (size_t i = 0; i < wanted->count; i++) {
		const struct value *inner = &wanted->items[i];
		struct message *m;

		if (!is_list(inner))
			return err_set(err, ERR_CONFIG,
			    "expected an array of addresses, got a %s",
			    value_type_name(inner->type));
		if (inner->count == 0)
			continue;
		m = add_batch(out, base);
		for (size_t j = 0; j < inner->count; j++)
			if (!add_wanted(m, base, &inner->items[j], err))
				return false;
	}
	return true;
}

bool batches_split(struct batches *out, struct message *base,
    enum batch_handling how, const struct value *wanted, struct err *err)
{
	*out = (struct batches){0};
	if (wanted && wanted->type != VALUE_NIL) {
		if (split_as_wanted(out, base, wanted, err))
			return true;
		batches_release(out);
		return false;
	}
	if (base->recipients.count == 1) {
		take_whole(out, base);
		return true;
	}
	switch (how) {
	case BATCH_BIFURCATE_ALWAYS:
		split_each(out, base);
		break;
	case BATCH_BY_DOMAIN:
		split_by_domain(out, base);
		break;
	}
	return true;
}

void batches_release(struct batches *batches)
{
	for (size_t i = 0; i < batches->count; i++)
		message_unref(batches->items[i].message);
	ARRAY_FREE(batches);
}

/*
 * trace_header.c - Received and the supplemental header
 */
#include "mail/trace_header.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "mail/header.h"

#define PRODUCT "Penstock"
#define FOLD_AT 75
#define MARKER "_@_"
#define MARKER_VALUE "\\_/"
#define SIGNED "penstock"
#define ID_DIGITS (MESSAGE_ID_SIZE - 1)
#define RECIPIENTS_MOST 10000
#define HELO_MOST 255
/* Larger ones are not ours. */
#define SUPPLEMENTAL_MOST ((size_t)256 * 1024)

/* A header must stay one, whatever the client said. */
static void add_printable(struct buf *out, const char *s)
{
	for (size_t i = 0; i < HELO_MOST && s[i]; i++) {
		unsigned char c = (unsigned char)s[i];

		buf_addch(out,
		    c <= ' ' || c == 0x7f || c == '(' || c == ')' ? '?' : s[i]);
	}
}

static const char *protocol(const struct received_facts *f)
{
	if (!f->tls_version)
		return "ESMTP";
	return f->authenticated ? "ESMTPSA" : "ESMTPS";
}

void trace_prepend_received(struct message *m, const struct received_facts *f)
{
	struct buf v = BUF_INIT;
	char date[40];

	buf_addstr(&v, "from ");
	add_printable(&v, f->helo && *f->helo ? f->helo : "unspecified");
	buf_addf(&v, " (%s)\r\n  by %s (" PRODUCT,
	    f->client_ip ? f->client_ip : "unknown",
	    f->hostname ? f->hostname : "localhost");
	if (f->local_ip)
		buf_addf(&v, " %s", f->local_ip);
	buf_addf(&v, ")\r\n  with %s", protocol(f));
	if (f->tls_version)
		buf_addf(&v, " (%s:%s)", f->tls_version,
		    f->tls_cipher ? f->tls_cipher : "unknown");
	buf_addf(&v, " id %s", m->id);
	if (m->recipients.count == 1)
		buf_addf(&v, " for <%s>", m->recipients.items[0].address.email);
	buf_addf(&v, ";\r\n  %s", clock_rfc5322(date, f->unix_seconds));
	message_prepend_header(m, "Received", buf_str(&v));
	buf_release(&v);
}

static void add_recipient(
    struct json_object *o, const struct message *m, bool all)
{
	if (m->recipients.count == 1) {
		json_add_string(
		    o, "recipient", m->recipients.items[0].address.email);
	} else if (!all) {
		json_add_string(o, "id", m->id);
	} else {
		json_key(o, "recipient");
		buf_addch(o->buf, '[');
		for (size_t i = 0; i < m->recipients.count; i++) {
			const char *email =
			    m->recipients.items[i].address.email;

			if (i)
				buf_addch(o->buf, ',');
			json_write_string(o->buf, email, strlen(email));
		}
		buf_addch(o->buf, ']');
	}
}

static bool is_ours(const char *name)
{
	return str_eq(name, MARKER) || str_eq(name, "recipient") ||
	       str_eq(name, "id") || str_eq(name, SIGNED);
}

/* Signs for those recipients that the header names.  That of a message with
 * several names none as a rule, because each reads the others' (D33): it proves
 * the message only. */
static void add_signed(
    struct json_object *o, const struct message *m, bool include_recipients)
{
	size_t count = m->recipients.count;
	const char **recipients = xcalloc(count + 1, sizeof *recipients);
	char key[TRACE_KEY_NAME_SIZE], mac[TRACE_MAC_SIZE];
	struct trace_signed what = {.id = m->id, .at = clock_unix()};
	struct buf queue = BUF_INIT, veiled = BUF_INIT, shown = BUF_INIT;
	struct buf text = BUF_INIT;
	struct json_object in;

	for (size_t i = 0; i < count; i++)
		recipients[i] = m->recipients.items[i].address.email;
	what.recipients = recipients;
	what.count = count == 1 || include_recipients ? count : 0;
	if (!message_queue_name(m, &queue, NULL))
		buf_reset(&queue);
	what.queue = buf_str(&queue);
	if (trace_sign(&what, key, mac) &&
	    trace_veil(&what, key, queue.data, queue.len, &veiled)) {
		base64_encode(&shown, veiled.data, veiled.len);
		json_open(&in, &text);
		json_add_string(&in, "id", what.id);
		json_add_string(&in, "queue", buf_str(&shown));
		json_add_int(&in, "time", what.at);
		json_add_string(&in, "key", key);
		json_add_string(&in, "mac", mac);
		json_close(&in);
		json_key(o, SIGNED);
		buf_add(o->buf, text.data, text.len);
	}
	buf_release(&queue);
	buf_release(&veiled);
	buf_release(&shown);
	buf_release(&text);
	free(recipients);
}

static void fold(struct buf *out, const struct buf *text, size_t column)
{
	for (size_t i = 0; i < text->len;) {
		size_t piece = column < FOLD_AT ? FOLD_AT - column : 0;

		if (piece > text->len - i)
			piece = text->len - i;
		buf_add(out, text->data + i, piece);
		i += piece;
		if (i < text->len)
			buf_addstr(out, "\r\n\t");
		column = 1;
	}
}

void trace_prepend_supplemental(struct message *m, const char *header_name,
    const char *const *include_meta_names, size_t count,
    bool include_recipients)
{
	struct buf json = BUF_INIT, text = BUF_INIT, folded = BUF_INIT;
	struct json_object o;

	json_open(&o, &json);
	json_add_string(&o, MARKER, MARKER_VALUE);
	add_recipient(&o, m, include_recipients);
	for (size_t i = 0; i < count; i++) {
		const struct value *v =
		    meta_get(m->meta, include_meta_names[i]);

		if (v && !is_ours(include_meta_names[i]))
			json_add_value(&o, include_meta_names[i], v);
	}
	add_signed(&o, m, include_recipients);
	json_close(&o);
	base64_encode(&text, json.data, json.len);
	fold(&folded, &text, strlen(header_name) + 2);
	message_prepend_header(m, header_name, buf_str(&folded));
	buf_release(&json);
	buf_release(&text);
	buf_release(&folded);
}

/* All of the object, or NULL when it is none of ours. */
static const struct value *decode(
    const struct header_field *f, struct arena *arena)
{
	struct buf json = BUF_INIT;
	struct value *v = ARENA_NEW(arena, struct value);
	const struct value *marker;
	bool ok;

	if (f->name_len < 3 || !str_ncase_eq(f->name, "X-", 2) ||
	    f->value_len > SUPPLEMENTAL_MOST)
		return NULL;
	ok = base64_decode(&json, f->value, f->value_len) && json.len &&
	     *json.data == '{' &&
	     json_parse(json.data, json.len, arena, v, NULL);
	buf_release(&json);
	if (!ok)
		return NULL;
	marker = value_get(v, MARKER);
	if (!marker || marker->type != VALUE_STRING ||
	    !str_eq(marker->s, MARKER_VALUE))
		return NULL;
	return v;
}

/* What the policy and its consumers see. */
static const struct value *without_ours(
    const struct value *v, struct arena *arena)
{
	struct value *out = ARENA_NEW(arena, struct value);
	size_t kept = 0;

	*out = *v;
	for (size_t i = 0; i < v->count; i++)
		if (!str_eq(v->entries[i].key, MARKER) &&
		    !str_eq(v->entries[i].key, SIGNED))
			out->entries[kept++] = v->entries[i];
	out->count = kept;
	return out;
}

const struct value *trace_decode(
    const char *headers, size_t len, struct arena *arena)
{
	struct header_field f;
	size_t pos = 0;

	while (header_next(headers, len, &pos, &f)) {
		const struct value *v = decode(&f, arena);

		if (v)
			return without_ours(v, arena);
	}
	return NULL;
}

/* ---- what it claims ---- */

/* NULL: not there, or longer than a queue or an address can be. */
static const char *text_of(const struct value *v, const char *key)
{
	const struct value *member = value_get(v, key);

	return member && member->type == VALUE_STRING && member->len <= 2000 &&
		       strlen(member->s) == member->len
		   ? member->s
		   : NULL;
}

static const char *id_of(const struct value *v)
{
	const char *id = text_of(v, "id");

	return id && strlen(id) == ID_DIGITS &&
		       strspn(id, "0123456789abcdef") == ID_DIGITS
		   ? id
		   : NULL;
}

static void recipients_of(
    const struct value *v, struct arena *arena, struct trace_signed *out)
{
	const struct value *r = value_get(v, "recipient");
	const char **list;

	if (!r || (r->type == VALUE_LIST && r->count > RECIPIENTS_MOST))
		return;
	list = ARENA_ARRAY(
	    arena, const char *, r->type == VALUE_LIST ? r->count + 1 : 1);
	out->recipients = list;
	if (r->type == VALUE_STRING)
		list[out->count++] = r->s;
	for (size_t i = 0; r->type == VALUE_LIST && i < r->count; i++)
		if (r->items[i].type == VALUE_STRING)
			list[out->count++] = r->items[i].s;
}

/* NULL: cannot be read. */
static const char *queue_of(const struct trace_signed *what, const char *key,
    const char *shown, struct arena *arena)
{
	struct buf veiled = BUF_INIT, name = BUF_INIT;
	const char *queue = NULL;

	if (base64_decode(&veiled, shown, strlen(shown)) &&
	    trace_veil(what, key, veiled.data, veiled.len, &name) &&
	    strlen(buf_str(&name)) == name.len)
		queue = arena_strdup(arena, buf_str(&name));
	buf_release(&veiled);
	buf_release(&name);
	return queue;
}

static struct trace_claim claim_of(const struct value *v, struct arena *arena)
{
	const struct value *inner = value_get(v, SIGNED), *at;
	struct trace_claim claim = {.says = {.id = id_of(v)}};
	const char *id, *key, *mac, *queue;

	recipients_of(v, arena, &claim.says);
	if (!inner || inner->type != VALUE_MAP)
		return claim;
	id = id_of(inner);
	queue = text_of(inner, "queue");
	at = value_get(inner, "time");
	key = text_of(inner, "key");
	mac = text_of(inner, "mac");
	if (id)
		claim.says.id = id;
	if (!id || !queue || !at || at->type != VALUE_INT || !key || !mac)
		return claim;
	claim.says.at = at->i;
	claim.says.queue = queue_of(&claim.says, key, queue, arena);
	claim.verified =
	    claim.says.queue && trace_verify(&claim.says, key, mac);
	return claim;
}

bool trace_find_claim(const char *headers, size_t len, struct arena *arena,
    struct trace_claim *out)
{
	struct header_field f;
	size_t pos = 0, seen = 0;

	while (
	    seen < TRACE_CLAIMS_MOST && header_next(headers, len, &pos, &f)) {
		const struct value *v = decode(&f, arena);
		struct trace_claim claim;

		if (!v)
			continue;
		claim = claim_of(v, arena);
		if (seen++ == 0 || claim.verified)
			*out = claim;
		if (claim.verified)
			break;
	}
	return seen > 0;
}

/*
 * milter_session.c - one connection of a client, as the MTA tells it
 *
 * The message is rebuilt as it was: each header's name, a colon, the value
 * with the space that stood before it, folds turned from LF back to CRLF, an
 * empty line, the body.  Nothing is parsed on the way; DKIM signatures that an
 * earlier milter made stay good.
 */
#include "milter/milter_session.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "milter/milter_compare.h"
#include "milter/milter_event.h"

struct session *session_new(struct service *service)
{
	struct session *s = xcalloc(1, sizeof *s);

	s->service = service;
	s->arena = arena_new(0);
	message_id_new(s->id);
	s->policy = service_policy(service);
	s->params_policy = script_policy_ref(s->policy);
	s->params = *listener_defaults();
	s->listener_text = "";
	s->meta = meta_new();
	s->has_leading_space = true;
	atomic_fetch_add(&service->sessions, 1);
	atomic_fetch_add(&service->connections, 1);
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	session_reset(s);
	service_disconnected(s->service, s->counted);
	atomic_fetch_sub(&s->service->sessions, 1);
	domain_cache_clear(&s->domains);
	meta_free(s->meta);
	script_policy_unref(s->policy);
	script_policy_unref(s->params_policy);
	arena_unref(s->scratch);
	arena_unref(s->arena);
	free(s);
}

struct arena *session_scratch(struct session *s)
{
	if (!s->scratch)
		s->scratch = arena_new(0);
	return s->scratch;
}

void session_wake(struct session *s)
{
	arena_unref(s->scratch);
	s->scratch = NULL;
	if (atomic_load(&s->service->generation) ==
	    script_policy_generation(s->policy))
		return;
	script_policy_unref(s->policy);
	s->policy = service_policy(s->service);
	domain_cache_clear(&s->domains);
}

void session_reset(struct session *s)
{
	struct transaction *tx = s->tx;

	if (!tx)
		return;
	s->tx = NULL;
	content_builder_free(tx->content);
	buf_release(&tx->line);
	ARRAY_FREE(&tx->rcpts);
	map_free(tx->said, NULL);
	arena_unref(tx->arena);
	free(tx);
	atomic_fetch_sub(&s->service->transactions, 1);
}

/* ---- HELO ---- */

static void set_list_of_one(
    struct session *s, const char *name, const char *text)
{
	struct value item = {
	    .type = VALUE_STRING, .s = text, .len = strlen(text)};
	struct value list = {.type = VALUE_LIST, .count = 1, .items = &item};

	meta_set(s->meta, name, &list);
}

/* Postfix names a certificate only when it trusts it; Sendmail names any and
 * says in {verify} what it thinks. */
static void read_tls(struct session *s, const struct macros *macros)
{
	const char *version = macro(macros, "{tls_version}");
	const char *cipher = macro(macros, "{cipher}");
	const char *subject = macro(macros, "{cert_subject}");
	const char *verify = macro(macros, "{verify}");

	if (!version)
		return;
	meta_set_string(s->meta, "tls_protocol_version", version);
	if (cipher)
		meta_set_string(s->meta, "tls_cipher", cipher);
	if (subject && (!verify || str_eq(verify, "OK")))
		set_list_of_one(s, "tls_peer_subject_name", subject);
}

static struct value offered(struct session *s)
{
	const struct policy_setup *setup =
	    script_policy_setup(s->params_policy);
	int64_t size = listener_largest_message(
	    setup->listeners, setup->listener_values, setup->listener_count);

	if (s->params.max_message_size > size)
		size = s->params.max_message_size;
	return listener_extensions(&s->params, size, s->is_postfix,
	    meta_get(s->meta, "tls_protocol_version") != NULL,
	    session_scratch(s));
}

static void warn_about_extensions(struct session *s, const struct value *result)
{
	if (result && result->type == VALUE_BOOL && result->b &&
	    service_once(s->service, "extensions"))
		diag_warn("%s: policy: smtp_server_ehlo: a list of extensions "
			  "was returned: ignored, the MTA has answered EHLO",
		    s->id);
}

struct answer session_helo(
    struct session *s, const char *domain, const struct macros *macros)
{
	struct answer refusal;
	struct script_call *call;
	struct value extensions;
	bool ok = true;

	read_tls(s, macros);
	call = event_begin(s, "smtp_server_ehlo");
	if (call) {
		script_arg_string(call, domain);
		script_arg_conn_meta(call, s->meta);
		extensions = offered(s);
		script_arg_value(call, &extensions);
		ok = event_run(
		    s, call, "smtp_server_ehlo", event_deadline(), &refusal);
		if (ok)
			warn_about_extensions(s, script_call_result(call));
		script_call_free(call);
	}
	if (!ok)
		return refusal;
	s->helo = arena_strdup(s->arena, domain);
	meta_set_string(s->meta, "ehlo_domain", domain);
	return answer_continue();
}

/* ---- MAIL ---- */

/* On Postfix {auth_author} is the AUTH= parameter of MAIL, not an identity. */
static void read_identity(struct session *s, const struct macros *macros)
{
	const char *authn = macro(macros, "{auth_authen}");
	const char *authz = macro(macros, "{auth_author}");

	s->authenticated = authn != NULL;
	if (!authn) {
		meta_unset(s->meta, "authn_id");
		meta_unset(s->meta, "authz_id");
		return;
	}
	meta_set_string(s->meta, "authn_id", authn);
	meta_set_string(
	    s->meta, "authz_id", authz && !s->is_postfix ? authz : authn);
}

static struct transaction *transaction_new(void)
{
	struct transaction *tx = xcalloc(1, sizeof *tx);

	tx->arena = arena_new(2048);
	return tx;
}

/* Mail made on this machine may name users without a domain. */
bool session_parse_address(struct session *s, const char *text,
    struct arena *arena, struct address *out, struct err *err)
{
	size_t len = strlen(text);

	if (address_parse(text, len, arena, out, err) &&
	    (*out->domain || address_is_null(out) || !s->is_local_submission))
		return true;
	if (!s->is_local_submission || strpbrk(text, "@<> \"") || len == 0)
		return false;
	text = arena_printf(arena, "%s@%s", text, session_hostname(s));
	return address_parse(text, strlen(text), arena, out, err);
}

const char *session_hostname(const struct session *s)
{
	return s->params.hostname && *s->params.hostname ? s->params.hostname
							 : s->service->hostname;
}

struct answer session_no_room(struct session *s, const struct err *why)
{
	if (queue_poisoned(s->service->queue) || why->class == ERR_PERM)
		return answer_shed(session_scratch(s), 451, "4.3.0",
		    "mail cannot be stored now, try again later");
	/* The queue itself is full; else what the policy keeps free, or its
	 * records (policy language, 15.1). */
	if (!queue_has_room(s->service->queue, NULL))
		return answer_shed(session_scratch(s), 452, "4.3.1",
		    "no room for mail now, try again later");
	return answer_shed(session_scratch(s), 451, "4.3.2",
	    "no room for mail now, try again later");
}

struct answer session_mail(
    struct session *s, char **argv, const struct macros *macros)
{
	struct transaction *tx;
	struct answer refusal = answer_continue();
	struct script_call *call;
	struct err err = {0};

	session_reset(s);
	if (atomic_load(&s->service->draining))
		return answer_shed(session_scratch(s), 421, "4.3.2",
		    "shutting down, try again later");
	read_tls(s, macros);
	compare_tls(s);
	read_identity(s, macros);
	meta_unset(s->meta, "mta_queue_id"); /* the last message's */
	if (!service_has_room(s->service, SERVICE_PATIENCE_MS, &err))
		return session_no_room(s, &err);

	tx = s->tx = transaction_new();
	atomic_fetch_add(&s->service->transactions, 1);
	if (!session_parse_address(
		s, argv[0], tx->arena, &tx->sender.address, &err)) {
		session_reset(s);
		return answer_refuse(session_scratch(s), 553, "5.1.7",
		    "the sender's address is not valid");
	}
	envelope_sender_args(&tx->sender, argv + 1, tx->arena);
	if (tx->sender.size > s->params.max_message_size)
		return answer_refuse(session_scratch(s), 552, "5.3.4",
		    "message is larger than %lld bytes",
		    (long long)s->params.max_message_size);
	call = event_begin(s, "smtp_server_mail_from");
	if (!call)
		return answer_continue();
	script_arg_address(call, &tx->sender.address);
	script_arg_conn_meta(call, s->meta);
	if (event_run(
		s, call, "smtp_server_mail_from", event_deadline(), &refusal))
		refusal = answer_continue();
	script_call_free(call);
	return refusal;
}

/* ---- the message ---- */

static void add(
    struct transaction *tx, struct session *s, const void *p, size_t len)
{
	struct err err = {0};

	tx->size += (int64_t)len;
	if (tx->too_large || tx->content_lost)
		return;
	/* At the limit is too large (policy language, 5.1); from here on only
	 * the bytes are counted. */
	if (tx->size >= s->params.max_message_size) {
		tx->too_large = true;
	} else {
		if (!tx->content)
			tx->content = content_builder_new(
			    s->service->spill_dir, SPILL_AT);
		if (content_builder_add(tx->content, p, len, &err))
			return;
		diag_error("%s: spill: %s", s->id, err.text);
		tx->content_lost = true;
	}
	content_builder_free(tx->content);
	tx->content = NULL;
}

/* The MTA unfolds nothing, but ends folded lines with LF alone. */
static void add_value(struct buf *line, const char *value)
{
	while (*value) {
		size_t len = strcspn(value, "\n");
		bool has_cr = len > 0 && value[len - 1] == '\r';

		buf_add(line, value, len);
		if (!value[len])
			return;
		if (!has_cr)
			buf_addch(line, '\r');
		buf_addch(line, '\n');
		value += len + 1;
	}
}

void header_rebuild(struct buf *line, const char *name, const char *value,
    bool has_leading_space)
{
	buf_addstr(line, name);
	buf_addch(line, ':');
	/* An MTA that cannot say what stood there has dropped one space. */
	if (!has_leading_space)
		buf_addch(line, ' ');
	add_value(line, value);
	buf_add(line, "\r\n", 2);
}

void session_header(struct session *s, const char *name, const char *value)
{
	struct transaction *tx = s->tx;

	if (!tx)
		return;
	buf_reset(&tx->line);
	header_rebuild(&tx->line, name, value, s->has_leading_space);
	add(tx, s, tx->line.data, tx->line.len);
}

void session_end_of_headers(struct session *s)
{
	struct transaction *tx = s->tx;

	if (!tx || tx->header_ended)
		return;
	tx->header_ended = true;
	add(tx, s, "\r\n", 2);
}

void session_body(struct session *s, const void *p, size_t len)
{
	if (!s->tx || len == 0)
		return;
	session_end_of_headers(s);
	add(s->tx, s, p, len);
}

/*
 * client.c - a client's conversation with an MTA that is not there
 *
 *	CLOSED		refused at connect or EHLO, or told 421: nothing is
 *asked READY -> MAIL -> (RCPT accepted) -> READY
 */
#include "trial/client.h"

#include <arpa/inet.h>

#include "base/array.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "milter/milter_event.h"
#include "milter/milter_steps.h"

#define MOST_MACROS 64

struct client {
	struct world *world;
	struct session *session;
	struct arena *arena;
	struct client_facts facts;
	struct {
		const char *name, *value;
	} macros[MOST_MACROS];
	size_t macro_count, constant; /* constant: told for good */
	unsigned transactions;        /* numbers the MTA's queue ids */
	bool in_mail;
	size_t accepted, ours; /* recipients of this transaction */
	const struct client_reply *greeting;
	const struct client_reply *closed; /* to everything from now on */
};

/* ---- what the MTA tells ---- */

static const char *get_macro(void *ctx, const char *name)
{
	const struct client *c = ctx;

	/* The last one that was set counts. */
	for (size_t i = c->macro_count; i-- > 0;)
		if (str_eq(c->macros[i].name, name))
			return c->macros[i].value;
	return NULL;
}

static void tell(struct client *c, const char *name, const char *value)
{
	if (!value || c->macro_count == MOST_MACROS)
		return;
	c->macros[c->macro_count].name = name;
	c->macros[c->macro_count++].value = value;
}

static void tell_server(
    struct client *c, const struct ip_addr *ip, uint16_t port)
{
	char text[IP_TEXT];
	const char *address = arena_printf(c->arena, "%s%s",
	    ip->family == AF_INET6 ? "IPv6:" : "", ip_print(text, ip));

	if (c->facts.is_sendmail) {
		tell(c, "{daemon_addr}", "0.0.0.0");
		tell(c, "{if_addr}", address);
	} else {
		tell(c, "{daemon_addr}", address);
	}
	tell(c, "{daemon_port}", arena_printf(c->arena, "%u", (unsigned)port));
}

static void tell_connection(struct client *c)
{
	tell(c, "v", c->facts.is_sendmail ? "8.17.1" : "Postfix 3.7.11");
	tell(c, "j", c->world->service.hostname);
	if (c->facts.name && c->facts.is_sendmail)
		tell(c, "{client_resolve}", "OK");
}

/* What may change is told anew at each step. */
static struct macros macros_of(struct client *c)
{
	const struct client_facts *f = &c->facts;

	c->macro_count = c->constant;
	if (f->tls.version) {
		tell(c, "{tls_version}", f->tls.version);
		tell(c, "{cipher}", f->tls.cipher);
		tell(c, "{cert_subject}", f->tls.subject);
		tell(c, "{verify}", f->tls.verify);
	}
	tell(c, "{auth_authen}", f->auth);
	if (f->auth && f->authz)
		tell(c, "{auth_author}", f->authz);
	if (c->in_mail)
		tell(c, "i",
		    arena_printf(c->arena, "4Test%04u", c->transactions));
	for (const char *const *m = f->macros; m && m[0]; m += 2)
		tell(c, m[0], m[1]);
	return (struct macros){.get = get_macro, .ctx = c};
}

/* ---- replies ---- */

static struct client_reply *reply_new(
    struct client *c, int code, const char *enhanced, const char *text)
{
	struct client_reply *r = ARENA_NEW(c->arena, struct client_reply);

	r->code = code;
	(void)str_copy(r->enhanced, sizeof r->enhanced, enhanced);
	r->text = text;
	return r;
}

static const struct client_reply *from_mta(
    struct client *c, int code, const char *enhanced, const char *text)
{
	struct client_reply *r = reply_new(c, code, enhanced, text);

	r->by_mta = true;
	return r;
}

static struct client_reply *from_answer(
    struct client *c, const struct answer *a, int code)
{
	struct client_reply *r;
	char dsn[16];

	if (a->kind != ANSWER_REFUSE)
		return reply_new(c, code, "", "ok");
	smtp_reply_dsn(dsn, &a->reply);
	r = reply_new(c, a->reply.code, dsn,
	    arena_strdup(c->arena, a->reply.text ? a->reply.text : ""));
	/* The MTA hangs up. */
	if (r->code == 421)
		c->closed = r;
	return r;
}

/* ---- connecting ---- */

static bool read_address(const struct client_facts *facts,
    struct sockaddr_storage *out, struct err *err)
{
	struct sockaddr_in *sin = (void *)out;
	struct sockaddr_in6 *sin6 = (void *)out;

	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, facts->ip, &sin->sin_addr) == 1) {
		sin->sin_family = AF_INET;
		sin->sin_port = htons(facts->port);
		return true;
	}
	/* IPv4-mapped ones stay what they are: as a dual-stack MTA has it. */
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET6, facts->ip, &sin6->sin6_addr) == 1) {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(facts->port);
		return true;
	}
	return err_set(err, ERR_CONFIG,
	    "ip: expected an address, got \"%.80s\"", facts->ip);
}

/* Where the first listener of the policy listens, or port 25. */
static bool find_server(
    const struct client *c, struct ip_addr *ip, uint16_t *port, struct err *err)
{
	const struct policy_setup *setup =
	    script_policy_setup(c->session->policy);
	const char *text = c->facts.server;

	*port = 25;
	if (text) {
		if (ip_port_parse(text, ip, port) || ip_parse(text, ip))
			return true;
		return err_set(err, ERR_CONFIG,
		    "server: expected ADDRESS:PORT, got \"%.80s\"", text);
	}
	ip->family = 0;
	/* The policy has checked what it listens on. */
	if (setup->listener_count == 0 ||
	    !listener_listen_parse(setup->listeners[0]->listen, ip, port))
		ip->family = 0;
	if (!ip->family || ip_is_any(ip))
		(void)ip_parse(ip->family == AF_INET6 ? "2001:db8:25::25"
						      : "198.51.100.25",
		    ip);
	return true;
}

static void keep_facts(struct client *c, const struct client_facts *facts)
{
	struct arena *a = c->arena;

	c->facts = *facts;
	c->facts.ip = arena_strdup(a, facts->ip);
	c->facts.name = arena_strdup(a, facts->name);
	c->facts.server = arena_strdup(a, facts->server);
	client_set_auth(c, facts->auth, facts->authz);
	client_set_tls(c, &facts->tls);
}

static struct answer connect_session(struct client *c, struct err *err)
{
	struct sockaddr_storage addr;
	struct ip_addr server;
	struct macros macros;
	const char *name = c->facts.name;
	uint16_t port;

	if (c->facts.ip && !read_address(&c->facts, &addr, err))
		return answer_continue();
	if (!find_server(c, &server, &port, err))
		return answer_continue();
	tell_connection(c);
	if (c->facts.is_local_submission)
		tell(c, "{daemon_port}", "0");
	else
		tell_server(c, &server, port);
	c->constant = c->macro_count;
	if (!name)
		name = c->facts.is_sendmail && c->facts.ip
			   ? arena_printf(c->arena, "[%s]", c->facts.ip)
			   : "unknown";
	macros = macros_of(c);
	session_wake(c->session);
	return step_connect(c->session, name,
	    c->facts.ip ? (struct sockaddr *)&addr : NULL, &macros);
}

bool client_connect(struct client **out, struct world *world,
    const struct client_facts *facts, struct err *err)
{
	struct arena *arena = arena_new(0);
	struct client *c = ARENA_NEW(arena, struct client);
	struct answer a;

	*err = (struct err){0};
	c->arena = arena;
	c->world = world;
	c->session = session_new(&world->service);
	keep_facts(c, facts);
	if (facts->is_local_submission) {
		c->facts.ip = "127.0.0.1";
		c->facts.port = 0;
		c->facts.name = "localhost";
	}
	a = connect_session(c, err);
	if (err->class != ERR_NONE) {
		client_free(c);
		return false;
	}
	c->greeting = from_answer(c, &a, 220);
	if (a.kind == ANSWER_REFUSE)
		c->closed = c->greeting;
	*out = c;
	return true;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	session_free(c->session);
	arena_unref(c->arena);
}

const struct client_reply *client_greeting(const struct client *c)
{
	return c->greeting;
}

const struct session *client_session(const struct client *c)
{
	return c->session;
}

void client_set_auth(struct client *c, const char *authn, const char *authz)
{
	c->facts.auth = arena_strdup(c->arena, authn);
	c->facts.authz = arena_strdup(c->arena, authz);
}

void client_set_tls(struct client *c, const struct client_tls *tls)
{
	c->facts.tls = (struct client_tls){
	    .version = arena_strdup(c->arena, tls->version),
	    .cipher = arena_strdup(c->arena, tls->cipher),
	    .subject = arena_strdup(c->arena, tls->subject),
	    .verify = arena_strdup(c->arena, tls->verify),
	};
}

/* ---- the envelope ---- */

const struct client_reply *client_ehlo(struct client *c, const char *name)
{
	struct macros macros = macros_of(c);
	const struct client_reply *r;
	struct answer a;

	if (c->closed)
		return c->closed;
	(void)client_rset(c);
	session_wake(c->session);
	a = step_helo(c->session, name, &macros);
	r = from_answer(c, &a, 250);
	/* The MTA gives this answer to all that follows, to another EHLO too.
	 */
	if (a.kind == ANSWER_REFUSE)
		c->closed = r;
	return r;
}

/* The step's argv: the address in <>, then what the client added. */
static char **make_argv(
    struct client *c, const char *address, const char *const *parameters)
{
	size_t n = 0, at = 0;
	char **argv;
	bool as_is;

	while (parameters && parameters[n])
		n++;
	argv = ARENA_ARRAY(c->arena, char *, n + 2);
	/* A user of this machine is written as it is. */
	as_is = *address == '<' || (c->facts.is_local_submission && *address &&
				       !strchr(address, '@'));
	argv[at++] = as_is ? arena_strdup(c->arena, address)
			   : arena_printf(c->arena, "<%s>", address);
	for (size_t i = 0; i < n; i++)
		argv[at++] = arena_strdup(c->arena, parameters[i]);
	argv[at] = NULL;
	return argv;
}

const struct client_reply *client_mail(
    struct client *c, const char *address, const char *const *parameters)
{
	struct macros macros;
	struct answer a;

	if (c->closed)
		return c->closed;
	if (c->in_mail)
		return from_mta(c, 503, "5.5.1", "nested MAIL command");
	c->transactions++;
	macros = macros_of(c);
	session_wake(c->session);
	a = step_mail(c->session, make_argv(c, address, parameters), &macros);
	c->in_mail = a.kind == ANSWER_CONTINUE;
	c->accepted = c->ours = 0;
	return from_answer(c, &a, 250);
}

const struct client_reply *client_rcpt(
    struct client *c, const char *address, const char *const *parameters)
{
	const struct transaction *tx;
	struct client_reply *reply;
	struct macros macros;
	struct answer a;

	if (c->closed)
		return c->closed;
	if (!c->in_mail)
		return from_mta(c, 503, "5.5.1", "need MAIL command");
	macros = macros_of(c);
	session_wake(c->session);
	a = step_rcpt(c->session, make_argv(c, address, parameters), &macros);
	reply = from_answer(c, &a, 250);
	tx = c->session->tx;
	if (a.kind != ANSWER_CONTINUE)
		return reply;
	c->accepted++;
	/* Refused, but held back until the end of a local submission. */
	if (!tx || tx->rcpts.count == 0 ||
	    c->session->held.kind == ANSWER_REFUSE)
		return reply;
	reply->owner = tx->rcpts.items[tx->rcpts.count - 1].is_ours
			   ? OWNER_PENSTOCK
			   : OWNER_MTA;
	reply->rule = arena_strdup(
	    c->arena, tx->rcpts.items[tx->rcpts.count - 1].admitted_by);
	return reply;
}

const struct client_reply *client_rset(struct client *c)
{
	if (c->closed)
		return c->closed;
	session_wake(c->session);
	session_reset(c->session);
	c->in_mail = false;
	c->accepted = c->ours = 0;
	return from_mta(c, 250, "2.0.0", "ok");
}

/* ---- the message ---- */

/* A field's name and colon; 0: this line is no header field. */
static size_t name_length(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] > ' ' && line[n] < 0x7f && line[n] != ':')
		n++;
	return n > 0 && n < len && line[n] == ':' ? n : 0;
}

static size_t line_length(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', (size_t)(end - p));

	return nl ? (size_t)(nl - p) + 1 : (size_t)(end - p);
}

/* As the MTA hands it on: lines of a folded value end with LF. */
static void add_without_end(struct buf *out, const char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	buf_add(out, line, len);
}

static const char *send_headers(
    struct client *c, const char *p, const char *end)
{
	struct buf name = BUF_INIT, value = BUF_INIT;

	while (p < end) {
		size_t len = line_length(p, end), n = name_length(p, len);

		if (!n)
			break;
		buf_reset(&name);
		buf_reset(&value);
		buf_add(&name, p, n);
		add_without_end(&value, p + n + 1, len - n - 1);
		p += len;
		while (p < end && (*p == ' ' || *p == '\t')) {
			len = line_length(p, end);
			buf_addch(&value, '\n');
			add_without_end(&value, p, len);
			p += len;
		}
		session_wake(c->session);
		session_header(c->session, buf_str(&name), buf_str(&value));
	}
	buf_release(&name);
	buf_release(&value);
	/* The empty line belongs to neither. */
	if (p < end &&
	    (*p == '\n' || (*p == '\r' && p + 1 < end && p[1] == '\n')))
		p += *p == '\r' ? 2 : 1;
	session_wake(c->session);
	session_end_of_headers(c->session);
	return p;
}

static void send_body(struct client *c, const char *p, const char *end)
{
	struct buf body = BUF_INIT;

	for (; p < end; p++) {
		if (*p == '\n' &&
		    (body.len == 0 || body.data[body.len - 1] != '\r'))
			buf_addch(&body, '\r');
		buf_addch(&body, *p);
	}
	if (body.len > 0 && body.data[body.len - 1] != '\n')
		buf_add(&body, "\r\n", 2);
	session_wake(c->session);
	if (body.len > 0)
		session_body(c->session, body.data, body.len);
	buf_release(&body);
}

static bool progress(void *ctx)
{
	return true;
}

static const struct client_reply *end_message(struct client *c)
{
	struct macros macros = macros_of(c);
	size_t before = 0, after = 0;
	struct client_reply *reply;
	struct err err = {0};
	struct answer a;

	session_wake(c->session);
	if (!world_stored_count(c->world, &before, &err))
		return from_mta(
		    c, 451, "4.3.0", arena_strdup(c->arena, err.text));
	a = step_end(c->session, &macros, progress, NULL);
	reply = from_answer(c, &a, 250);
	reply->is_discarded = a.kind == ANSWER_DISCARD;
	if (world_stored_count(c->world, &after, &err))
		reply->stored = after - before;
	step_done(c->session);
	c->in_mail = false;
	return reply;
}

const struct client_reply *client_message(
    struct client *c, const char *text, size_t len)
{
	const char *end = text + len;
	struct answer a;

	if (c->closed)
		return c->closed;
	if (!c->in_mail)
		return from_mta(c, 503, "5.5.1", "need RCPT command");
	if (c->accepted == 0)
		return from_mta(c, 554, "5.5.1", "no valid recipients");
	session_wake(c->session);
	a = step_data(c->session);
	if (a.kind == ANSWER_REFUSE)
		return from_answer(c, &a, 250);
	text = send_headers(c, text, end);
	send_body(c, text, end);
	return end_message(c);
}

/* ---- looking ---- */

bool client_listener_domain(struct client *c, const char *domain,
    struct value *out, const struct client_reply **reply)
{
	static const char name[] = "get_listener_domain";
	struct session *s = c->session;
	struct script_call *call;
	struct answer refusal;
	bool ok;

	*out = (struct value){.type = VALUE_NIL};
	session_wake(s);
	call = event_begin(s, name);
	if (!call)
		return true;
	script_arg_string(call, domain);
	script_arg_string(call, s->listener_text);
	script_arg_conn_meta(call, s->meta);
	ok = event_run(s, call, name, event_deadline(), &refusal);
	if (ok && script_call_outcome(call) == SCRIPT_VALUE)
		*out = value_copy(c->arena, script_call_result(call));
	else if (!ok)
		*reply = from_answer(c, &refusal, 250);
	script_call_free(call);
	return ok;
}

struct value client_parameters(struct client *c, struct arena *arena)
{
	return param_read_all(&listener_params, &c->session->params, arena);
}

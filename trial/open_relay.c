/*
 * open_relay.c - may a stranger relay?  Thousands of sessions try
 *
 *	each address with each of our own addresses; each EHLO name; each client
 *	name; identities; then whatever chance brings together
 *
 * A session has three senders and eight recipients, which go round, so that
 * every one of them meets many clients.  The first recipient is a plain one.
 * What RCPT admits is followed by a message: only what is stored counts.
 */
#include "trial/open_relay.h"

#include "base/array.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/terminal.h"
#include "base/xalloc.h"
#include "milter/milter_session.h"
#include "trial/client.h"
#include "trial/outsider.h"
#include "trial/runner.h"
#include "trial/servers.h"

#define SENDERS_EACH 3
#define RECIPIENTS_EACH 8
#define MOST_SHOWN 10
#define MOST_FOUND 100 /* then it is clear */

struct search {
	const struct open_relay_options *o;
	struct world *world;
	struct harvest harvest;
	struct outsiders out;
	struct dice dice;
	struct words servers, identities, rules;
	struct {
		struct named_domain *items;
		size_t count, size;
	} domains;
	size_t next_sender, next_recipient;
	int64_t sessions, recipients, left_to_mta, errors, found;
	int64_t answers;      /* that say something: all but 4yz */
	char last_error[256]; /* the reply */
	char last_cause[512]; /* what the operator would read, or empty */
	bool any_identity;    /* whom the MTA authenticated may relay */
};

/* A session that is to be tried; NULL: not said. */
struct attempt {
	const char *server, *ip, *name, *helo, *auth;
	bool unverified_certificate;
};

/* ---- one session ---- */

static const char *next_of(const struct words *words, size_t *next)
{
	return words->items[(*next)++ % words->count];
}

/* Nothing can be said about what this session would have asked. */
static void closed(struct search *s, const struct client_reply *reply)
{
	s->errors++;
	s->answers += reply->code >= 500;
	(void)snprintf(s->last_error, sizeof s->last_error, "%d %s %.200s",
	    reply->code, reply->enhanced, reply->text);
	(void)diag_last_error(s->last_cause, sizeof s->last_cause);
}

static bool open_session(
    struct search *s, const struct attempt *a, struct client **out)
{
	struct client_facts facts = {
	    .ip = *a->ip ? a->ip : NULL,
	    .port = 40000,
	    .name = a->name && *a->name ? a->name : NULL,
	    .server = a->server,
	    .auth = a->auth,
	};
	const struct client_reply *reply;
	struct err err = {0};

	if (a->unverified_certificate) {
		facts.is_sendmail = true;
		facts.tls = (struct client_tls){.version = "TLSv1.3",
		    .cipher = "TLS_AES_256_GCM_SHA384",
		    .subject =
			arena_printf(s->harvest.arena, "/CN=%s", a->helo),
		    .verify = "FAIL"};
	}
	diag_forget_error();
	if (!client_connect(out, s->world, &facts, &err)) {
		diag_warn("open relay: %s", err.text);
		return false;
	}
	reply = client_greeting(*out);
	if (reply->code < 400)
		reply = client_ehlo(*out, a->helo);
	if (reply->code < 400)
		return true;
	closed(s, reply);
	client_free(*out);
	return false;
}

/* ---- what was found ---- */

static const char *text_of(const char *s)
{
	return s ? s : "";
}

static void print_line(FILE *out, const char *command, int code)
{
	char quoted[512];

	(void)fprintf(out, "    %-56s %d\n",
	    diag_quote(quoted, sizeof quoted, command, strlen(command)), code);
}

static void print_session(struct search *s, const struct attempt *a,
    const char *sender, const char *recipient, const struct stored *m)
{
	struct arena *arena = s->harvest.arena;
	FILE *out = s->o->out;
	bool bracketed = *recipient == '<';

	terminal_printf(out, "open relay: %s\n", m->admitted_by);
	terminal_printf(out, "    client %s, name %s%s%s, to %s\n",
	    *a->ip ? a->ip : "without an address",
	    a->name && *a->name ? a->name : "unknown",
	    a->auth ? ", authenticated as " : "", text_of(a->auth),
	    a->server ? a->server : "the first listener");
	if (a->unverified_certificate)
		terminal_printf(out,
		    "    TLS, certificate not verified: /CN=%s\n", a->helo);
	print_line(out, arena_printf(arena, "EHLO %s", a->helo), 250);
	print_line(out, arena_printf(arena, "MAIL FROM:<%s>", sender), 250);
	print_line(out,
	    arena_printf(arena, "RCPT TO:%s%s%s", bracketed ? "" : "<",
		recipient, bracketed ? "" : ">"),
	    250);
	print_line(out, "DATA, a message, the final dot", 250);
	terminal_printf(out, "    stored in the queue %s for %s\n", m->queue,
	    m->recipient_count ? m->recipients[0] : "nobody");
}

static bool is_new_rule(struct search *s, const char *rule)
{
	size_t before = s->rules.count;

	words_add(s->harvest.arena, &s->rules, rule);
	return s->rules.count > before;
}

/* The last `stored` messages of the queue came from this session. */
static bool report(struct search *s, const struct attempt *a,
    const char *sender, const char *recipient, size_t stored, struct err *err)
{
	struct arena *arena = arena_new(0);
	struct stored *all;
	size_t count;
	bool ok = world_stored(s->world, arena, &all, &count, err);

	for (size_t i = count - (ok ? stored : count); ok && i < count; i++) {
		const char *rule = text_of(all[i].admitted_by);

		s->found++;
		if (is_new_rule(s, rule) && s->rules.count <= MOST_SHOWN)
			print_session(s, a, sender, recipient, &all[i]);
	}
	arena_unref(arena);
	return ok;
}

/* ---- one transaction a recipient that was admitted ---- */

enum tried { TRIED_REFUSED, TRIED_STORED, TRIED_CLOSED };

static enum tried try_message(
    struct search *s, struct client *c, size_t *stored)
{
	static const char text[] = "Subject: relay test\r\n\r\nA message.\r\n";
	const struct client_reply *reply =
	    client_message(c, text, sizeof text - 1);

	*stored = reply->stored;
	if (reply->code == 421)
		return TRIED_CLOSED;
	return reply->stored ? TRIED_STORED : TRIED_REFUSED;
}

static enum tried try_recipient(struct search *s, struct client *c,
    const char *sender, const char *recipient, size_t *stored)
{
	const struct client_reply *reply = client_mail(c, sender, NULL);
	enum tried tried = TRIED_REFUSED;

	*stored = 0;
	s->answers += reply->code >= 500;
	if (reply->code < 400) {
		reply = client_rcpt(c, recipient, NULL);
		s->recipients += reply->code != 421;
		s->answers += reply->code < 400 || reply->code >= 500;
		if (reply->code < 400 && reply->owner == OWNER_PENSTOCK)
			tried = try_message(s, c, stored);
		else if (reply->owner == OWNER_MTA)
			s->left_to_mta++;
	}
	if (reply->code == 421) {
		closed(s, reply);
		return TRIED_CLOSED;
	}
	(void)client_rset(c);
	return tried;
}

/* True: the session could go on. */
static bool try_one(struct search *s, struct client *c, const struct attempt *a,
    const char *sender, const char *recipient, bool *admitted, struct err *err)
{
	size_t stored;
	enum tried tried = try_recipient(s, c, sender, recipient, &stored);

	if (tried == TRIED_STORED) {
		*admitted = true;
		return report(s, a, sender, recipient, stored, err);
	}
	return tried != TRIED_CLOSED;
}

static bool try_session(
    struct search *s, const struct attempt *a, struct err *err)
{
	bool admitted = false, goes_on;
	struct client *c;

	s->sessions++;
	if (!open_session(s, a, &c))
		return true;
	goes_on = true;
	for (int i = 0; i < SENDERS_EACH && goes_on; i++) {
		const char *sender = next_of(&s->out.senders, &s->next_sender);

		goes_on = try_one(s, c, a, sender, s->out.recipients.items[0],
		    &admitted, err);
		for (int j = 1; j < RECIPIENTS_EACH && goes_on; j++)
			goes_on = try_one(s, c, a, sender,
			    next_of(&s->out.recipients, &s->next_recipient),
			    &admitted, err);
	}
	client_free(c);
	return err->class == ERR_NONE && s->found < MOST_FOUND &&
	       !script_is_stuck();
}

/* ---- which sessions ---- */

static struct attempt random_attempt(struct search *s)
{
	struct attempt a = {
	    .server = dice_pick(&s->dice, &s->servers),
	    .ip = dice_pick(&s->dice, &s->out.addresses),
	    .name = dice_pick(&s->dice, &s->out.names),
	    .helo = dice_pick(&s->dice, &s->out.helos),
	    .unverified_certificate = dice_roll(&s->dice) % 16 == 0,
	};

	if (!s->any_identity && dice_roll(&s->dice) % 4 == 0)
		a.auth = dice_pick(&s->dice, &s->identities);
	return a;
}

static bool try_addresses(struct search *s, struct err *err)
{
	for (size_t i = 0; i < s->servers.count; i++)
		for (size_t j = 0; j < s->out.addresses.count; j++) {
			/* Nothing else that is odd: a finding is plain. */
			const struct attempt a = {
			    .server = s->servers.items[i],
			    .ip = s->out.addresses.items[j],
			    .helo = s->out.helos.items[0],
			};

			if (!try_session(s, &a, err))
				return false;
		}
	return true;
}

static bool try_names(struct search *s, struct err *err)
{
	for (size_t i = 0; i < s->out.helos.count; i++) {
		struct attempt a = random_attempt(s);

		a.auth = NULL;
		a.helo = s->out.helos.items[i];
		if (!try_session(s, &a, err))
			return false;
	}
	for (size_t i = 0; i < s->out.names.count; i++) {
		struct attempt a = random_attempt(s);

		a.auth = NULL;
		a.name = s->out.names.items[i];
		if (!try_session(s, &a, err))
			return false;
	}
	return true;
}

static bool try_everything(struct search *s, struct err *err)
{
	if (!try_addresses(s, err) || !try_names(s, err))
		return false;
	while (s->sessions < s->o->sessions) {
		struct attempt a = random_attempt(s);

		if (!try_session(s, &a, err))
			return false;
	}
	return true;
}

/* ---- identities ---- */

static const struct attempt *plain_attempt(struct search *s)
{
	static struct attempt a;

	a = (struct attempt){
	    .server = s->servers.items[0],
	    .ip = s->out.addresses.items[0],
	    .helo = s->out.helos.items[0],
	};
	return &a;
}

/* May this identity send from anywhere to anywhere? */
static bool identity_relays(struct search *s, const char *identity)
{
	struct attempt a = *plain_attempt(s);
	enum tried tried = TRIED_REFUSED;
	struct client *c;
	size_t stored;

	a.auth = identity;
	if (!open_session(s, &a, &c))
		return false;
	for (size_t i = 0; i < 2 && tried == TRIED_REFUSED; i++)
		tried = try_recipient(s, c, s->out.senders.items[i + 1],
		    s->out.recipients.items[0], &stored);
	client_free(c);
	return tried == TRIED_STORED;
}

static bool is_word(const struct search *s, const char *text)
{
	for (size_t i = 0; i < s->harvest.words.count; i++)
		if (str_eq(s->harvest.words.items[i], text))
			return true;
	return false;
}

static void add_identity(struct search *s, const char *text)
{
	if (!is_word(s, text))
		words_add(s->harvest.arena, &s->identities, text);
}

/* Nobody's: random ones, and what is like those that may. */
static void make_identities(struct search *s)
{
	struct arena *arena = s->harvest.arena;
	const char *nobody = arena_printf(
	    arena, "nobody-%06x", (unsigned)(dice_roll(&s->dice) & 0xffffff));

	/* An open relay needs none. */
	if (identity_relays(s, nobody)) {
		s->any_identity = !identity_relays(s, NULL);
		return;
	}
	add_identity(s, nobody);
	add_identity(
	    s, arena_printf(arena, "%s@%s", nobody, s->out.outside.items[0]));
	for (size_t i = 0; i < s->harvest.words.count; i++) {
		const char *word = s->harvest.words.items[i];
		char *upper;

		if (strlen(word) > 64 || !identity_relays(s, word))
			continue;
		upper = arena_strdup(arena, word);
		for (char *p = upper; *p; p++)
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 'a' + 'A');
		add_identity(s, upper);
		add_identity(s, arena_printf(arena, "%sx", word));
		add_identity(s, arena_printf(arena, "x%s", word));
		add_identity(s, arena_printf(arena, "%s@%s", word,
				    s->out.outside.items[0]));
	}
}

/* ---- what the policy knows ---- */

static bool flag_of(const struct value *map, const char *key)
{
	const struct value *v = value_get(map, key);

	return v && v->type == VALUE_BOOL && v->b;
}

static void ask_domains(struct search *s)
{
	const struct attempt a = {.server = s->servers.items[0],
	    .ip = "203.0.113.77",
	    .helo = "mx.stranger.test"};
	const struct client_reply *reply;
	struct client *c;

	if (!open_session(s, &a, &c))
		return;
	for (size_t i = 0; i < s->harvest.domains.count; i++) {
		struct named_domain d = {.name = s->harvest.domains.items[i]};
		struct value v;

		if (client_listener_domain(c, d.name, &v, &reply) &&
		    v.type == VALUE_MAP) {
			d.listed = true;
			d.relay_to = flag_of(&v, "relay_to");
			d.routed = flag_of(&v, "allow_routed_local_part");
		}
		*ARRAY_ADD(&s->domains) = d;
	}
	client_free(c);
}

static bool add_trusted(struct search *s, struct err *err)
{
	for (size_t i = 0; i < s->o->trusted_count; i++) {
		struct cidr block;

		if (!cidr_parse(s->o->trusted[i], &block, err))
			return err_prefix(err, "--trust");
		*ARRAY_ADD(&s->out.trusted) = block;
	}
	return true;
}

/* ---- the end ---- */

static void print_trusted(struct search *s)
{
	char text[IP_TEXT + 4];

	(void)fputs("# insiders:", s->o->out);
	for (size_t i = 0; i < s->out.trusted.count; i++)
		(void)fprintf(s->o->out, " %s",
		    cidr_print(text, &s->out.trusted.items[i]));
	(void)fputc('\n', s->o->out);
}

static void print_sum(struct search *s)
{
	FILE *out = s->o->out;

	print_trusted(s);
	if (s->any_identity)
		(void)fputs("# whoever the MTA authenticated may relay: only "
			    "clients without an identity were tried\n",
		    out);
	if (s->left_to_mta)
		terminal_printf(out,
		    "# %lld recipients were left to the MTA: its own rules "
		    "decide about them\n",
		    (long long)s->left_to_mta);
	if (s->errors)
		terminal_printf(out,
		    "# %lld sessions were refused or closed before they "
		    "were through; the last one: %s\n",
		    (long long)s->errors, s->last_error);
	if (s->errors && *s->last_cause)
		terminal_printf(out, "# because of: %s\n", s->last_cause);
	(void)fprintf(out, "%lld sessions, %lld recipients, seed %llu: ",
	    (long long)s->sessions, (long long)s->recipients,
	    (unsigned long long)s->o->seed);
	if (s->found)
		terminal_printf(out,
		    "%s%lld messages of strangers were taken, by "
		    "%zu rule%s\n",
		    s->found >= MOST_FOUND ? "at least " : "",
		    (long long)s->found, s->rules.count,
		    s->rules.count == 1 ? "" : "s");
	else if (s->answers == 0)
		(void)fputs("the policy did not come to an answer: nothing is "
			    "known\n",
		    out);
	else
		(void)fputs("no stranger may relay\n", out);
}

static bool prepare(struct search *s, struct err *err)
{
	if (!harvest_policy(&s->harvest, s->o->policy, err))
		return false;
	s->dice.state = s->o->seed;
	s->out.arena = s->harvest.arena;
	s->out.dice = &s->dice;
	servers_find(&s->servers, &s->harvest,
	    script_policy_setup(s->world->service.policy));
	outsiders_trust(&s->out, &s->harvest.blocks);
	if (!add_trusted(s, err))
		return false;
	ask_domains(s);
	outsiders_make(
	    &s->out, &s->harvest, s->domains.items, s->domains.count);
	make_identities(s);
	/* Those were questions, no attempts. */
	s->recipients = s->errors = s->left_to_mta = s->answers = 0;
	return true;
}

static void release(struct search *s)
{
	outsiders_release(&s->out);
	ARRAY_FREE(&s->servers);
	ARRAY_FREE(&s->identities);
	ARRAY_FREE(&s->rules);
	ARRAY_FREE(&s->domains);
	world_end(s->world);
	harvest_release(&s->harvest);
}

static enum open_relay search_in(
    struct search *s, const char *dir, struct err *err)
{
	const struct world_options options = {
	    .policy = s->o->policy, .dir = dir};

	if (!world_start(&s->world, &options, err) || !prepare(s, err))
		return OPEN_RELAY_FAILED;
	(void)try_everything(s, err);
	if (err->class != ERR_NONE)
		return OPEN_RELAY_FAILED;
	if (script_is_stuck()) {
		(void)err_set(err, ERR_CONFIG,
		    "handlers of the policy do not end; see its log");
		return OPEN_RELAY_FAILED;
	}
	print_sum(s);
	if (s->found)
		return OPEN_RELAY_FOUND;
	return s->answers ? OPEN_RELAY_NONE : OPEN_RELAY_UNKNOWN;
}

enum open_relay open_relay_search(
    const struct open_relay_options *options, struct err *err)
{
	struct search s = {.o = options};
	enum diag_level level = diag_level();
	enum open_relay result;
	char *dir = scratch_make(err);

	if (!dir)
		return OPEN_RELAY_FAILED;
	diag_set_level(DIAG_FATAL);
	result = search_in(&s, dir, err);
	diag_set_level(level);
	release(&s);
	scratch_remove(dir);
	free(dir);
	return result;
}

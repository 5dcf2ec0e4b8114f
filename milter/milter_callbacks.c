/*
 * milter_callbacks.c - the smfi table
 *
 * Thin on purpose: milter_steps.h decides.  What is negotiated: header values
 * with the space that stands before them (or DKIM signatures made before us
 * would break); no refused recipients (they would get into our envelope); no
 * replies to headers and body when the MTA agrees.  NOREPLY without that
 * agreement hangs the session until a timeout, so it is a property of the
 * session.
 *
 * ACCEPT before end of message would let every later recipient pass unasked, an
 * open relay: answer_to_smfi() refuses to say it there.
 */
#include "milter/milter_callbacks.h"

#include <libmilter/mfapi.h>

#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "milter/milter_steps.h"

/* What was agreed on when the MTA connected. */
enum {
	NO_REPLY_HEADER = 1,
	NO_REPLY_EOH = 2,
	NO_REPLY_BODY = 4,
	LEADING_SPACE = 8,
	AGREEMENTS = 16
};

/* A connection as libmilter holds it: made before there is a session, because
 * negotiation comes before connect. */
struct context {
	struct session *session;
	unsigned agreed;
	struct context *next; /* of those left behind */
};

static struct service *the_service; /* libmilter's callbacks carry none */
/* Closed while the process was ending; kept where a leak checker looks. */
static _Atomic(struct context *) left_behind;

#define WANTED_STEPS                                                           \
	(SMFIP_HDR_LEADSPC | SMFIP_NR_HDR | SMFIP_NR_EOH | SMFIP_NR_BODY |     \
	    SMFIP_NOUNKNOWN)

static const char *get_macro(void *ctx, const char *name)
{
	/* libmilter does not write to the name. */
	return smfi_getsymval(ctx, (char *)(uintptr_t)name);
}

static struct macros macros_of(SMFICTX *ctx)
{
	return (struct macros){.get = get_macro, .ctx = ctx};
}

static bool progress(void *ctx)
{
	return smfi_progress(ctx) == MI_SUCCESS;
}

/* ---- answers ---- */

static sfsistat say(SMFICTX *ctx, struct session *s, const struct answer *a)
{
	struct reply_lines r;
	char **l = r.lines;

	reply_lines_format(&r, a, session_scratch(s));
	/* A reply that libmilter will not have is replaced by the MTA's own
	 * text; the class stays. */
	if (smfi_setmlreply(ctx, r.rcode, r.xcode, l[0], l[1], l[2], l[3], l[4],
		l[5], l[6], l[7], l[8], l[9], l[10], l[11], l[12], l[13], l[14],
		l[15], l[16], l[17], l[18], l[19], l[20], l[21], l[22], l[23],
		l[24], l[25], l[26], l[27], l[28], l[29], l[30], l[31],
		NULL) != MI_SUCCESS)
		diag_warn("%s: libmilter refused the reply \"%s %s\"", s->id,
		    r.rcode, r.xcode);
	return a->reply.code < 500 ? SMFIS_TEMPFAIL : SMFIS_REJECT;
}

/* Before the end of the message. */
static sfsistat answer(SMFICTX *ctx, struct session *s, struct answer a)
{
	invariant(a.kind == ANSWER_CONTINUE || a.kind == ANSWER_REFUSE);
	return a.kind == ANSWER_CONTINUE ? SMFIS_CONTINUE : say(ctx, s, &a);
}

/* ---- entering and leaving ---- */

/* NULL: answer SMFIS_TEMPFAIL and touch nothing. */
static struct session *enter(SMFICTX *ctx)
{
	struct context *c = smfi_getpriv(ctx);

	if (!c || !c->session || !service_enter(the_service))
		return NULL;
	session_wake(c->session);
	return c->session;
}

static sfsistat leave(sfsistat result)
{
	service_leave(the_service);
	return result;
}

/* ---- the table ---- */

/* An MTA may keep its connection to us for another client (SMFIC_QUIT_NC):
 * xxfi_close is called, which cannot know whether that was the end, and then
 * xxfi_connect without a negotiation.  What was agreed on still holds, and a
 * reply too many or too few hangs the MTA.  It is kept beside libmilter's
 * context (whose private pointer has to be NULL after xxfi_close), in the low
 * bits of its address; another context that falls into the same place drops
 * it, and such a connection is answered 4yz. */
#define REMEMBERED 1024
static _Atomic uintptr_t remembered[REMEMBERED];

static _Atomic uintptr_t *place_of(const SMFICTX *ctx)
{
	/* Fibonacci hashing of the address. */
	uint64_t h = (uint64_t)(uintptr_t)ctx * 0x9e3779b97f4a7c15u;

	return &remembered[h >> 54];
}

static void remember(const SMFICTX *ctx, unsigned agreed)
{
	if ((uintptr_t)ctx % AGREEMENTS == 0) /* as malloc aligns */
		atomic_store(place_of(ctx), (uintptr_t)ctx | agreed);
}

static bool recall(const SMFICTX *ctx, unsigned *agreed)
{
	uintptr_t found = atomic_load(place_of(ctx));

	*agreed = found % AGREEMENTS;
	return found - *agreed == (uintptr_t)ctx;
}

/* False: the process is stopping. */
static bool begin(SMFICTX *ctx, unsigned agreed)
{
	struct context *c = xcalloc(1, sizeof *c);

	if (!service_enter(the_service)) {
		free(c);
		return false;
	}
	c->agreed = agreed;
	c->session = session_new(the_service);
	c->session->has_leading_space = agreed & LEADING_SPACE;
	(void)smfi_setpriv(ctx, c);
	service_leave(the_service);
	return true;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long actions,
    unsigned long steps, unsigned long unused2, unsigned long unused3,
    unsigned long *want_actions, unsigned long *want_steps,
    unsigned long *want2, unsigned long *want3)
{
	static const int where[MACRO_STAGES] = {
	    [MACROS_CONNECT] = SMFIM_CONNECT,
	    [MACROS_HELO] = SMFIM_HELO,
	    [MACROS_MAIL] = SMFIM_ENVFROM,
	    [MACROS_RCPT] = SMFIM_ENVRCPT,
	    [MACROS_DATA] = SMFIM_DATA,
	    [MACROS_EOH] = SMFIM_EOH,
	    [MACROS_EOM] = SMFIM_EOM,
	};
	unsigned agreed = (steps & SMFIP_NR_HDR ? NO_REPLY_HEADER : 0u) |
			  (steps & SMFIP_NR_EOH ? NO_REPLY_EOH : 0u) |
			  (steps & SMFIP_NR_BODY ? NO_REPLY_BODY : 0u) |
			  (steps & SMFIP_HDR_LEADSPC ? LEADING_SPACE : 0u);

	if (!(actions & SMFIF_DELRCPT)) {
		diag_error("the MTA offers no removal of recipients, which "
			   "leave_to_mta needs; refusing to work with it");
		return SMFIS_REJECT;
	}
	if (!begin(ctx, agreed))
		return SMFIS_REJECT; /* the MTA's default action: tempfail */
	remember(ctx, agreed);
	if (actions & SMFIF_SETSYMLIST)
		for (int i = 0; i < MACRO_STAGES; i++)
			(void)smfi_setsymlist(
			    ctx, where[i], (char *)(uintptr_t)macro_lists[i]);
	*want_actions = actions & (SMFIF_DELRCPT | SMFIF_SETSYMLIST);
	*want_steps = steps & WANTED_STEPS;
	*want2 = *want3 = 0;
	return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *ctx, char *hostname, struct sockaddr *addr)
{
	struct macros macros = macros_of(ctx);
	struct session *s;
	unsigned agreed;

	if (!smfi_getpriv(ctx) && recall(ctx, &agreed))
		(void)begin(ctx, agreed);
	s = enter(ctx);
	if (!s)
		return SMFIS_TEMPFAIL;
	return leave(answer(ctx, s, step_connect(s, hostname, addr, &macros)));
}

static sfsistat on_helo(SMFICTX *ctx, char *domain)
{
	struct session *s = enter(ctx);
	struct macros macros = macros_of(ctx);

	if (!s)
		return SMFIS_TEMPFAIL;
	return leave(answer(ctx, s, step_helo(s, domain, &macros)));
}

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
	struct session *s = enter(ctx);
	struct macros macros = macros_of(ctx);

	if (!s)
		return SMFIS_TEMPFAIL;
	return leave(answer(ctx, s, step_mail(s, argv, &macros)));
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
	struct session *s = enter(ctx);
	struct macros macros = macros_of(ctx);

	if (!s)
		return SMFIS_TEMPFAIL;
	return leave(answer(ctx, s, step_rcpt(s, argv, &macros)));
}

static sfsistat on_data(SMFICTX *ctx)
{
	struct session *s = enter(ctx);

	if (!s)
		return SMFIS_TEMPFAIL;
	return leave(answer(ctx, s, step_data(s)));
}

/* NOREPLY where that was agreed on; without a context the MTA waits. */
static sfsistat unless(
    const struct context *c, unsigned agreement, sfsistat result)
{
	return c && c->agreed & agreement ? SMFIS_NOREPLY : result;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct context *c = smfi_getpriv(ctx);
	struct session *s = enter(ctx);

	if (!s)
		return unless(c, NO_REPLY_HEADER, SMFIS_TEMPFAIL);
	session_header(s, name, value);
	return leave(unless(c, NO_REPLY_HEADER, SMFIS_CONTINUE));
}

static sfsistat on_eoh(SMFICTX *ctx)
{
	struct context *c = smfi_getpriv(ctx);
	struct session *s = enter(ctx);

	if (!s)
		return unless(c, NO_REPLY_EOH, SMFIS_TEMPFAIL);
	session_end_of_headers(s);
	return leave(unless(c, NO_REPLY_EOH, SMFIS_CONTINUE));
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *p, size_t len)
{
	struct context *c = smfi_getpriv(ctx);
	struct session *s = enter(ctx);

	if (!s)
		return unless(c, NO_REPLY_BODY, SMFIS_TEMPFAIL);
	session_body(s, p, len);
	return leave(unless(c, NO_REPLY_BODY, SMFIS_CONTINUE));
}

/* Ours are committed: from here on the MTA keeps the others only.  Should the
 * MTA die before it has heard all of this, it has accepted nothing, and the
 * client sends again: duplicates of ours, no loss.  Nor may it accept when one
 * of ours would stay with it: it would relay that one by its own rules. */
static bool remove_ours(SMFICTX *ctx, const struct session *s)
{
	const struct transaction *tx = s->tx;
	bool removed = true;

	for (size_t i = 0; i < tx->rcpts.count; i++) {
		const struct rcpt *r = &tx->rcpts.items[i];

		if (!r->is_ours ||
		    smfi_delrcpt(ctx, (char *)(uintptr_t)r->mta_text) ==
			MI_SUCCESS)
			continue;
		diag_error("%s: the MTA could not be told to drop %s: "
			   "deferred, what is queued may come twice",
		    tx->queue_id ? tx->queue_id : s->id,
		    r->envelope.address.email);
		removed = false;
	}
	return removed;
}

static sfsistat on_end(SMFICTX *ctx)
{
	struct session *s = enter(ctx);
	struct macros macros = macros_of(ctx);
	sfsistat result = SMFIS_TEMPFAIL;
	struct answer a;

	if (!s)
		return SMFIS_TEMPFAIL;
	a = step_end(s, &macros, progress, ctx);
	switch (a.kind) {
	case ANSWER_CONTINUE:
		diag_panic("%s: no verdict at end of message", s->id);
	case ANSWER_ACCEPT:
		if (!s->tx || !s->tx->is_done || remove_ours(ctx, s))
			result = SMFIS_ACCEPT;
		break;
	case ANSWER_DISCARD:
		result = SMFIS_DISCARD;
		break;
	case ANSWER_REFUSE:
		result = say(ctx, s, &a);
		break;
	}
	step_done(s);
	return leave(result);
}

static sfsistat on_abort(SMFICTX *ctx)
{
	struct session *s = enter(ctx);

	if (!s)
		return SMFIS_CONTINUE;
	session_reset(s);
	return leave(SMFIS_CONTINUE);
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct context *c = smfi_getpriv(ctx);

	if (!c)
		return SMFIS_CONTINUE;
	(void)smfi_setpriv(ctx, NULL);
	/* While stopping the rest is gone already; so will be this. */
	if (!service_enter(the_service)) {
		c->next = atomic_exchange(&left_behind, c);
		return SMFIS_CONTINUE;
	}
	session_free(c->session);
	service_leave(the_service);
	free(c);
	return SMFIS_CONTINUE;
}

bool milter_register(struct service *service, struct err *err)
{
	struct smfiDesc table = {
	    .xxfi_name = (char *)(uintptr_t) "penstock",
	    .xxfi_version = SMFI_VERSION,
	    .xxfi_flags = SMFIF_DELRCPT,
	    .xxfi_connect = on_connect,
	    .xxfi_helo = on_helo,
	    .xxfi_envfrom = on_mail,
	    .xxfi_envrcpt = on_rcpt,
	    .xxfi_header = on_header,
	    .xxfi_eoh = on_eoh,
	    .xxfi_body = on_body,
	    .xxfi_eom = on_end,
	    .xxfi_abort = on_abort,
	    .xxfi_close = on_close,
	    .xxfi_data = on_data,
	    .xxfi_negotiate = on_negotiate,
	};

	the_service = service;
	if (smfi_register(table) != MI_SUCCESS)
		return err_set(
		    err, ERR_TEMP, "libmilter: smfi_register failed");
	return true;
}

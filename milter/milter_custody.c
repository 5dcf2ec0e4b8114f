/*
 * milter_custody.c - end of message: policy, queue, answer
 *
 *	content -> smtp_server_data -> batches -> for each: Received,
 *	smtp_server_message_received, trace header, relay decision, is it a
 *	report? -> records of reports that are not kept, on disk
 *	-> COMMIT of all that is kept -> records -> answer
 *
 * The answer that makes the MTA forget its copy is given after the COMMIT and
 * never before; whatever goes wrong until then is 4yz, and nothing of the
 * transaction is in the queue.  Where the MTA gives up on us between the COMMIT
 * and our answer (it was killed, or the client went away meanwhile) the client
 * sends again: a duplicate, never a loss.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "mail/line_endings.h"
#include "mail/queue_name.h"
#include "mail/trace_header.h"
#include "milter/milter_event.h"
#include "milter/milter_history.h"
#include "milter/milter_record.h"
#include "milter/milter_report.h"
#include "milter/milter_suppression.h"

struct ending {
	struct session *s;
	struct transaction *tx;
	int64_t deadline; /* policy's and custody's together */
	custody_progress_fn *progress;
	void *progress_ctx;
	struct content *content; /* as received; NULL: not finished yet */
	struct batches batches;
	struct report_reading *readings;
	struct report_rows report_rows; /* for the history */
	struct answer answer;           /* once something refused */
	struct hooked hooked;           /* what log hooks want queued */
};

/* ---- before anything is asked ---- */

/* Mail made on this machine that the policy leaves where it is, whatever its
 * handlers, which are for mail from elsewhere, have said. */
static bool is_the_mtas_own(const struct session *s)
{
	return s->is_local_submission &&
	       script_policy_setup(s->policy)->local_submission ==
		   LOCAL_SUBMISSION_LEAVE_TO_MTA;
}

/* True: go on.  False: e->answer is the verdict. */
static bool may_proceed(struct ending *e)
{
	struct session *s = e->s;
	const struct policy_setup *setup = script_policy_setup(s->policy);
	struct err err = {0};

	e->answer = answer_continue();
	if (is_the_mtas_own(s)) {
		e->answer.kind = ANSWER_ACCEPT;
	} else if (s->held.kind == ANSWER_REFUSE) {
		e->answer = s->held;
	} else if (s->is_local_submission &&
		   setup->local_submission == LOCAL_SUBMISSION_REFUSE) {
		e->answer = answer_refuse(session_scratch(s), 550, "5.7.1",
		    "mail made on this machine is not accepted");
	} else if (e->tx->rcpts.count == 0) {
		/* Whoever it is for, nobody asked us. */
		e->answer = answer_refuse(session_scratch(s), 451, "4.3.0",
		    "no recipient was accepted");
	} else if (e->tx->ours == 0) {
		/* At end of message accepting means this message only. */
		e->answer.kind = ANSWER_ACCEPT;
	} else if (e->tx->too_large) {
		e->answer = answer_refuse(session_scratch(s), 552, "5.3.4",
		    "message is larger than %lld bytes",
		    (long long)s->params.max_message_size);
	} else if (e->tx->content_lost) {
		e->answer = answer_refuse(session_scratch(s), 451, "4.3.0",
		    "the message could not be stored, try again later");
	} else if (!service_has_room(s->service, SERVICE_PATIENCE_MS, &err)) {
		e->answer = session_no_room(s, &err);
	} else {
		return true;
	}
	return false;
}

static bool failed(struct ending *e, const char *what, const struct err *err)
{
	diag_error("%s: %s: %s", e->s->id, what, err->text);
	e->answer = answer_refuse(session_scratch(e->s), 451, "4.3.0",
	    "the message could not be stored, try again later");
	return false;
}

/* ---- the message as received ---- */

static bool finish_content(struct ending *e, struct err *err)
{
	struct transaction *tx = e->tx;

	/* No header, no body, not even the empty line. */
	if (!tx->content)
		e->content = content_from_bytes("", 0);
	else
		e->content = content_builder_finish(tx->content, err);
	tx->content = NULL;
	return e->content != NULL;
}

static bool set_content(struct ending *e, struct message *m)
{
	struct err err = {0};

	if (!finish_content(e, &err))
		return failed(e, "content", &err);
	m->content = content_ref(e->content);
	return true;
}

/* What no later step could mend.  The MTA has turned lone CRs and LFs into
 * something else, as a rule; one that does not is caught here. */
static bool check_lines(struct ending *e, struct message *m)
{
	struct session *s = e->s;
	const struct content_facts *facts = content_facts(m->content);
	struct content *fixed;
	struct err err = {0};

	if (facts->longest_line > s->params.line_length_hard_limit) {
		e->answer = answer_refuse(session_scratch(s), 500, "5.2.3",
		    "a line of %lld bytes is longer than %lld",
		    (long long)facts->longest_line,
		    (long long)s->params.line_length_hard_limit);
		return false;
	}
	if (!facts->has_bare_cr_or_lf)
		return true;
	switch (s->params.invalid_line_endings) {
	case LINE_ENDINGS_ALLOW:
		return true;
	case LINE_ENDINGS_DENY:
		e->answer = answer_refuse(session_scratch(s), 552, "5.6.0",
		    "message data must use CRLF for line endings");
		return false;
	case LINE_ENDINGS_FIX:
		break;
	}
	fixed = content_with_crlf(
	    m->content, s->service->spill_dir, SPILL_AT, &err);
	if (!fixed)
		return failed(e, "content", &err);
	content_unref(m->content);
	m->content = fixed;
	return true;
}

static void set_envelope(struct ending *e, struct message *m)
{
	const struct transaction *tx = e->tx;

	batch_set_sender(m, &tx->sender);
	for (size_t i = 0; i < tx->rcpts.count; i++)
		if (tx->rcpts.items[i].is_ours &&
		    !tx->rcpts.items[i].is_repeated)
			batch_add_recipient(m, &tx->rcpts.items[i].envelope);
	if (tx->queue_id)
		meta_set_string(e->s->meta, "mta_queue_id", tx->queue_id);
	meta_free(m->meta);
	m->meta = meta_copy(e->s->meta);
}

/* True: passed.  *result, when asked for, is in the message's arena. */
static bool ask_about(
    struct ending *e, const char *name, struct message *m, struct value *result)
{
	struct script_call *call = event_begin(e->s, name);
	bool ok;

	if (!call)
		return true;
	script_arg_message(call, m);
	script_arg_conn_meta(call, e->s->meta);
	/* Once this has expired the handler may still hold the message: all
	 * we do with it from there on is to drop our reference. */
	ok = event_run(e->s, call, name, e->deadline, &e->answer);
	if (ok && result && script_call_outcome(call) == SCRIPT_VALUE)
		*result = value_copy(m->arena, script_call_result(call));
	script_call_free(call);
	return ok;
}

static bool split(struct ending *e, struct message *base)
{
	static const char name[] = "smtp_server_split_transaction";
	struct value wanted = {.type = VALUE_NIL};
	struct err err = {0};

	if (!ask_about(e, "smtp_server_data", base, NULL))
		return false;
	/* A sender that was changed there is not carried on (6.1, #8). */
	if (base->sender_changed) {
		batch_set_sender(base, &e->tx->sender);
		base->sender_changed = false;
	}
	if (!ask_about(e, name, base, &wanted))
		return false;
	if (batches_split(
		&e->batches, base, e->s->params.batch_handling, &wanted, &err))
		return true;
	e->answer = event_failed(e->s, name, err.text);
	return false;
}

static bool receive(struct ending *e)
{
	struct message *base = message_new();
	bool ok = set_content(e, base) && check_lines(e, base);

	if (ok) {
		set_envelope(e, base);
		ok = split(e, base);
	}
	message_unref(base);
	return ok;
}

/* ---- each batch ---- */

static void add_received(struct ending *e, struct message *m)
{
	const struct session *s = e->s;
	const struct received_facts facts = {
	    .helo = s->helo,
	    .client_ip = *s->peer_text ? s->peer_text : NULL,
	    .hostname = session_hostname(s),
	    .local_ip = *s->local_text ? s->local_text : "unknown",
	    .authenticated = s->authenticated,
	    .tls_version = meta_get_string(s->meta, "tls_protocol_version"),
	    .tls_cipher = meta_get_string(s->meta, "tls_cipher"),
	    .unix_seconds = clock_unix(),
	};

	trace_prepend_received(m, &facts);
}

static void add_supplemental(struct ending *e, struct message *m)
{
	const struct trace_headers *t = &e->s->params.trace_headers;

	trace_prepend_supplemental(m, t->header_name,
	    t->include_meta_names.items, t->include_meta_names.count,
	    t->include_recipients);
}

/* What was promised to <postmaster> at RCPT holds, whatever the policy says of
 * the domain of this host. */
static bool is_promised(const struct ending *e, const struct address *a)
{
	for (size_t i = 0; i < e->tx->rcpts.count; i++) {
		const struct rcpt *r = &e->tx->rcpts.items[i];

		if (r->is_postmaster &&
		    str_eq(r->envelope.address.email, a->email))
			return true;
	}
	return false;
}

/* Decided again, with what the policy made of sender and recipients. */
static bool decide_fate(struct ending *e, struct batch *b)
{
	struct message *m = b->message;
	const struct address *first = &m->recipients.items[0].address;
	struct rcpt_decision decision;
	struct err err = {0};

	b->fate = BATCH_DROPPED;
	if (is_promised(e, first)) {
		b->admitted_by = "postmaster";
		b->fate = BATCH_KEPT;
		return true;
	}
	if (!rcpt_decide(e->s, &m->sender.address, first, e->deadline,
		e->tx->arena, &decision, &e->answer))
		return false;
	b->admitted_by = decision.admitted_by;
	if (decision.relay.verdict == RELAY_REFUSED_ROUTED)
		return true;
	if (decision.relay.relay)
		b->fate = BATCH_KEPT;
	/* What goes to "null" is not even looked at. */
	return str_eq(b->queue, "null") ||
	       report_judge(
		   e->s, &e->readings, b, &decision.relay, e->deadline, &err) ||
	       failed(e, "report", &err);
}

static bool judge(struct ending *e, struct batch *b)
{
	static const char name[] = "smtp_server_message_received";
	const struct trace_headers *trace = &e->s->params.trace_headers;
	struct message *m = b->message;
	struct buf queue = BUF_INIT;
	struct err err = {0};

	if (trace->received_header)
		add_received(e, m);
	if (e->s->params.deferred_queue)
		/* The router asks, and only then says which queue. */
		meta_set_string(m->meta, "queue", QUEUE_NAME_DEFERRED);
	else if (!ask_about(e, name, m, NULL))
		return false;
	if (m->recipients.count == 0) {
		b->queue = "";
		return true;
	}
	if (trace->supplemental_header)
		add_supplemental(e, m);
	if (!message_queue_name(m, &queue, &err)) {
		e->answer = event_failed(e->s, name, err.text);
		buf_release(&queue);
		return false;
	}
	b->queue = arena_strdup(e->tx->arena, buf_str(&queue));
	buf_release(&queue);
	if (!decide_fate(e, b))
		return false;
	if (str_eq(b->queue, "null"))
		b->fate = BATCH_NULL;
	return suppression_batch(e->s, b, e->deadline, &e->answer);
}

static bool judge_all(struct ending *e)
{
	const struct smtp_reply *suppressed;
	size_t accepted = 0;

	for (size_t i = 0; i < e->batches.count; i++) {
		const struct batch *b = &e->batches.items[i];

		if (!judge(e, &e->batches.items[i]))
			return false;
		accepted += b->fate != BATCH_DROPPED ||
			    (b->suppressed_count && suppression_drops(e->s));
	}
	if (accepted > 0)
		return true;
	record_receptions(e->s, &e->batches, false);
	if (hooks_needed(e->s)) {
		e->hooked.deadline = e->deadline;
		record_for_hooks(&e->hooked, &e->batches, false);
		hooked_commit(&e->hooked);
	}
	suppressed = suppression_refusal(e->s, &e->batches);
	e->answer = answer_refuse(session_scratch(e->s), 550, "5.7.1",
	    "relaying not permitted for %s",
	    *e->s->peer_text ? e->s->peer_text : "a client without an address");
	if (suppressed)
		e->answer.reply = *suppressed;
	return false;
}

/* ---- reports that are logged and not kept, recipients that are dropped ----
 */

static bool log_reports(struct ending *e)
{
	struct err err = {0};
	bool any = false, taken_out = false;

	for (size_t i = 0; i < e->batches.count; i++) {
		any = any || e->batches.items[i].fate == BATCH_LOGGED;
		taken_out =
		    taken_out || e->batches.items[i].suppressed_count > 0;
	}
	if (any && !record_reports(e->s, &e->batches, e->deadline, e->progress,
		       e->progress_ctx, &err))
		return failed(e, "report", &err);
	return !taken_out ||
	       record_suppressed(e->s, &e->batches, e->deadline, e->progress,
		   e->progress_ctx, &err) ||
	       failed(e, "suppressed", &err);
}

/* The MTA goes on with what is its own; reports in it are logged. */
static void log_left_reports(struct ending *e)
{
	struct err err = {0};

	if (!report_wanted_of_left(e->tx) || e->tx->too_large ||
	    e->tx->content_lost)
		return;
	if (e->content || finish_content(e, &err))
		report_log_left(e->s, &e->readings, e->content,
		    event_deadline(), e->progress, e->progress_ctx);
	else
		diag_warn(
		    "%s: a report could not be logged: %s", e->s->id, err.text);
}

/* ---- custody ---- */

static struct queue_intake *prepare(struct ending *e)
{
	size_t most = e->batches.count + e->hooked.messages.count + 1;
	struct session *s = e->s;
	struct arena *arena = e->tx->arena;
	struct queue_intake *intake = ARENA_NEW(arena, struct queue_intake);
	const char **admitted_by = ARENA_ARRAY(arena, const char *, most);
	struct suppression_hits hits;

	intake->messages = ARENA_ARRAY(arena, struct message *, most);
	for (size_t i = 0; i < e->batches.count; i++) {
		if (e->batches.items[i].fate != BATCH_KEPT)
			continue;
		admitted_by[intake->count] = e->batches.items[i].admitted_by;
		intake->messages[intake->count++] = e->batches.items[i].message;
	}
	for (size_t i = 0; i < e->hooked.messages.count; i++)
		intake->messages[intake->count++] = e->hooked.messages.items[i];
	hits = suppression_hits(s, e->batches.items, e->batches.count);
	intake->hits = hits.items;
	intake->hit_count = hits.count;
	for (size_t i = 0; i < e->batches.count; i++)
		report_rows_add(&e->report_rows, s, &e->batches.items[i]);
	intake->reports = e->report_rows.items;
	intake->report_count = e->report_rows.count;
	intake->admitted_by = admitted_by;
	intake->session_id = s->id;
	intake->mta_queue_id = e->tx->queue_id;
	intake->client_addr = *s->peer_text ? s->peer_text : NULL;
	intake->client_name = s->client_name;
	intake->helo = s->helo;
	intake->authn_id = meta_get_string(s->meta, "authn_id");
	intake->reception_protocol = "ESMTP";
	intake->listener = s->listener_text;
	intake->hostname = session_hostname(s);
	return intake;
}

#ifdef ENABLE_DEVEL
/* The bug that the crash test must find: the MTA is told to forget the message
 * while its commit is still to come.  Nothing is freed, on purpose. */
struct planted {
	struct queue_writer *writer;
	struct queue_intake *intake;
};

static void *commit_too_late(void *ctx)
{
	struct planted *p = ctx;
	struct err err = {0};

	(void)usleep(500000);
	(void)custody_wait(custody_begin(p->writer, p->intake),
	    clock_now_ms() + CUSTODY_LIMIT_MS, NULL, NULL, &err);
	return NULL;
}

static void reply_before_commit(struct ending *e, struct queue_intake *intake)
{
	struct planted *p = xcalloc(1, sizeof *p);
	/* The session may be gone by then. */
	const char **texts[] = {&intake->session_id, &intake->client_addr,
	    &intake->client_name, &intake->helo, &intake->authn_id,
	    &intake->listener, &intake->hostname};

	for (size_t i = 0; i < COUNT(texts); i++)
		if (*texts[i])
			*texts[i] = arena_strdup(e->tx->arena, *texts[i]);
	p->writer = e->s->service->writer;
	p->intake = intake;
	(void)arena_ref(e->tx->arena);
	for (size_t i = 0; i < intake->count; i++)
		(void)message_ref(intake->messages[i]);
	(void)worker_thread_start("planted", commit_too_late, p);
}
#endif

static void ask_hooks(struct ending *e)
{
	if (!hooks_needed(e->s))
		return;
	e->hooked.deadline = e->deadline;
	record_for_hooks(&e->hooked, &e->batches, true);
}

static bool take_custody(struct ending *e)
{
	struct queue_intake *intake;
	struct session *s = e->s;
	struct custody *custody;
	enum custody_result result;
	struct err err = {0};

	ask_hooks(e);
	intake = prepare(e);
	if (intake->count == 0 && intake->hit_count == 0 &&
	    intake->report_count == 0)
		return true;
	/* Also tells whether the MTA is still there: nothing is committed for
	 * one that has gone and will send again. */
	if (!e->progress(e->progress_ctx)) {
		(void)err_set(&err, ERR_TEMP, "the MTA has gone");
		return failed(e, "custody", &err);
	}
#ifdef ENABLE_DEVEL
	if (FAULT_POINT("custody.reply-before-commit")) {
		reply_before_commit(e, intake);
		return true;
	}
#endif
	custody = custody_begin(s->service->writer, intake);
	result = custody_wait(
	    custody, e->deadline, e->progress, e->progress_ctx, &err);
	custody_free(custody);
	switch (result) {
	case CUSTODY_COMMITTED:
		if (intake->count == 0)
			return true;
		atomic_fetch_add(&s->service->messages, 1);
		atomic_fetch_add(&s->service->recipients,
		    (int64_t)(e->tx->ours - e->tx->repeated));
		return true;
	case CUSTODY_ABANDONED:
		atomic_fetch_add(&s->service->abandoned, 1);
		return failed(e, "custody abandoned", &err);
	case CUSTODY_FAILED:
		return failed(e, "custody", &err);
	}
	diag_panic("%s: custody: unknown result", s->id);
}

static int64_t end_deadline(const struct session *s)
{
	int64_t limit = s->params.data_processing_timeout.ms;

	if (limit <= 0 || limit > CUSTODY_LIMIT_MS)
		limit = CUSTODY_LIMIT_MS;
	return clock_now_ms() + limit;
}

/* Of mail made on this machine, whose MAIL we would have refused. */
static struct answer end_without_transaction(struct session *s)
{
	if (is_the_mtas_own(s))
		return (struct answer){.kind = ANSWER_ACCEPT};
	if (s->held.kind == ANSWER_REFUSE)
		return s->held;
	return answer_refuse(
	    session_scratch(s), 451, "4.3.0", "no transaction is open");
}

struct answer session_end(struct session *s, const struct macros *macros,
    custody_progress_fn *progress, void *progress_ctx)
{
	struct ending e = {
	    .s = s,
	    .tx = s->tx,
	    .progress = progress,
	    .progress_ctx = progress_ctx,
	    .hooked = {.s = s},
	};

	if (!s->tx)
		return end_without_transaction(s);
	s->at_end = true;
	e.deadline = end_deadline(s);
	if (macro(macros, "i"))
		e.tx->queue_id = arena_strdup(e.tx->arena, macro(macros, "i"));
	session_end_of_headers(s);

	if (may_proceed(&e) && receive(&e) && judge_all(&e) &&
	    log_reports(&e) && take_custody(&e)) {
		record_receptions(s, &e.batches, true);
		e.tx->is_done = true;
		/* What is left belongs to the MTA. */
		e.answer.kind = e.tx->ours == e.tx->rcpts.count ? ANSWER_DISCARD
								: ANSWER_ACCEPT;
	}
	if (e.answer.kind == ANSWER_ACCEPT) {
		atomic_fetch_add(&s->service->left_to_mta, 1);
		log_left_reports(&e);
	}
	report_readings_release(&e.readings);
	report_rows_release(&e.report_rows);
	hooked_release(&e.hooked);
	batches_release(&e.batches);
	content_unref(e.content);
	s->at_end = false;
	return e.answer;
}

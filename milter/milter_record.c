/*
 * milter_record.c - what a session leaves behind: log records and lines
 */
#include "milter/milter_record.h"

#include "base/clock.h"
#include "base/diag.h"
#include "milter/milter_event.h"
#include "milter/milter_report.h"
#include "milter/milter_suppression.h"

/* What records of this connection have in common. */
static struct log_record of_session(const struct session *s, enum log_type type)
{
	const struct value *subject =
	    meta_get(s->meta, "tls_peer_subject_name");

	return (struct log_record){
	    .type = type,
	    .peer_name = s->helo,
	    .peer_addr = *s->peer_text ? s->peer_text : NULL,
	    .event_ms = clock_unix_ms(),
	    .created_ms = clock_unix_ms(),
	    .reception_protocol = "ESMTP",
	    .tls_cipher = meta_get_string(s->meta, "tls_cipher"),
	    .tls_protocol_version =
		meta_get_string(s->meta, "tls_protocol_version"),
	    .tls_peer_subject_name =
		subject && subject->type == VALUE_LIST && subject->count > 0 &&
			subject->items[0].type == VALUE_STRING
		    ? subject->items[0].s
		    : NULL,
	    .session_id = s->id,
	};
}

/* Of the policy that the connection has; before it has one, none. */
static void classify(const struct session *s, struct log_record *r)
{
	if (s->policy)
		log_record_classify(
		    r, script_policy_setup(s->policy)->classifier);
}

static const char *last_recipient(const struct session *s)
{
	const struct transaction *tx = s->tx;

	if (!tx || tx->rcpts.count == 0)
		return "";
	return tx->rcpts.items[tx->rcpts.count - 1].envelope.address.email;
}

static void line_of_refusal(struct session *s, const struct answer *answer,
    const char *command, const char *sender, const char *recipient)
{
	char quoted[4][256];
	struct buf text = BUF_INIT;
	const char *id = s->tx && s->tx->queue_id ? s->tx->queue_id : s->id;

	smtp_reply_one_line(&text, &answer->reply);
	diag_info("%s: reject: client=%s command=\"%s\" from=<%s> to=<%s> "
		  "said=\"%s\"%s",
	    id, *s->peer_text ? s->peer_text : "unknown",
	    diag_quote(quoted[0], sizeof quoted[0], command ? command : "",
		command ? strlen(command) : 0),
	    diag_quote(quoted[1], sizeof quoted[1], sender, strlen(sender)),
	    diag_quote(
		quoted[2], sizeof quoted[2], recipient, strlen(recipient)),
	    diag_quote(quoted[3], sizeof quoted[3], buf_str(&text), text.len),
	    answer->shed ? " shed=yes" : "");
	buf_release(&text);
}

void record_refusal(
    struct session *s, const struct answer *answer, const char *command)
{
	struct service *service = s->service;
	struct log_record r = of_session(s, LOG_REJECTION);
	const char *sender = s->tx ? s->tx->sender.address.email : NULL;
	const char *recipient = last_recipient(s);
	struct log_batch *batch;

	line_of_refusal(s, answer, command, sender ? sender : "", recipient);
	if (answer->shed) {
		atomic_fetch_add(&service->shed, 1);
		return;
	}
	atomic_fetch_add(
	    answer->reply.code < 500 ? &service->deferred : &service->refused,
	    1);
	r.sender = sender;
	r.recipients = &recipient;
	r.recipient_count = 1;
	r.response = answer->reply;
	r.response.command = command;
	r.meta = s->meta;
	classify(s, &r);
	batch = log_batch_new(service->log);
	log_batch_add(batch, &r);
	log_writer_submit(batch, NULL, NULL);
	if (s->policy && hooks_needed(s)) {
		struct hooked hooked = {.s = s, .deadline = event_deadline()};

		hook_ask(&hooked, &r, NULL);
		hooked_commit(&hooked);
		hooked_release(&hooked);
	}
}

/* ---- receptions ---- */

/* Where the records of a transaction go: first to the hooks, before its
 * custody, then to the log. */
struct to {
	struct session *s;
	struct hooked *hooked; /* NULL: log */
	struct log_batch *log;
	int64_t deadline; /* of filter events */
};

static void emit(
    struct to *to, struct log_record *r, const struct message *about)
{
	const struct log_writer *w = to->s->service->log;

	classify(to->s, r);
	if (to->hooked) {
		hook_ask(to->hooked, r, about);
		return;
	}
	log_batch_add(to->log, r);
	for (size_t i = 0; i < log_writer_filters(w); i++) {
		const char *event = log_writer_filter(w, i, r->type);
		struct buf text = BUF_INIT;
		int where;

		if (!event || !hook_filter(to->s, event, about, to->deadline))
			continue;
		where = log_batch_format(to->log, i, r, &text);
		log_batch_put(to->log, where, &text);
		buf_release(&text);
	}
}

static void line_of_custody(const struct session *s, const struct batch *b)
{
	const struct message *m = b->message;
	const char *to =
	    m->recipients.count ? m->recipients.items[0].address.email : "";
	char quoted[3][256];

	diag_info("%s: custody=%s from=<%s> to=<%s> size=%lld nrcpt=%zu "
		  "queue=%s",
	    s->tx->queue_id ? s->tx->queue_id : s->id, m->id,
	    diag_quote(quoted[0], sizeof quoted[0], m->sender.address.email,
		strlen(m->sender.address.email)),
	    diag_quote(quoted[1], sizeof quoted[1], to, strlen(to)),
	    (long long)message_size(m), m->recipients.count,
	    diag_quote(
		quoted[2], sizeof quoted[2], b->queue, strlen(b->queue)));
}

/* Prefix and header of the content, for loggers that copy headers. */
static void read_header(const struct message *m, struct buf *out)
{
	const struct content_facts *facts = content_facts(m->content);
	size_t len = (size_t)facts->header_size;
	struct err err;

	buf_add(out, m->prefix.data, m->prefix.len);
	buf_reserve(out, len);
	if (content_read(m->content, 0, out->data + out->len, len, &err)) {
		out->len += len;
		out->data[out->len] = '\0';
	}
}

/* What all records of a batch have in common.  The result points into `header`,
 * which the caller releases. */
static struct log_record of_batch(struct session *s, const struct batch *b,
    enum log_type type, struct buf *header)
{
	const struct message *m = b->message;
	struct log_record r = of_session(s, type);
	size_t count = m->recipients.count;
	const char **recipients = ARENA_ARRAY(
	    s->tx->arena, const char *, count + b->suppressed_count + 1);

	for (size_t i = 0; i < count; i++)
		recipients[i] = m->recipients.items[i].address.email;
	for (size_t i = 0; i < b->suppressed_count; i++)
		recipients[count++] = b->suppressed[i].address;
	r.id = m->id;
	r.sender = m->sender.address.email;
	r.recipients = recipients;
	r.recipient_count = count;
	r.queue = b->queue;
	r.size = message_size(m);
	r.created_ms = m->created_ms;
	r.response = (struct smtp_reply){.code = 250, .text = ""};
	r.meta = m->meta;
	if (s->service->log_wants_headers) {
		read_header(m, header);
		r.header_block = buf_str(header);
		r.header_len = header->len;
	}
	return r;
}

static void add_record(struct to *to, const struct batch *b, enum log_type type)
{
	struct session *s = to->s;
	struct buf header = BUF_INIT;
	struct log_record r = of_batch(s, b, type, &header);

	if (type == LOG_BOUNCE)
		r.response = smtp_reply_make(
		    s->tx->arena, 550, "5.7.1", "%s", "relaying not permitted");
	if (type == LOG_FEEDBACK) {
		r.feedback_report = b->reading->feedback;
		report_links_show(
		    b->links->items, b->links->count, s->tx->arena, &r);
	}
	emit(to, &r, b->message);
	buf_release(&header);
}

/* A Bounce for each recipient that the suppression list took out, or one for a
 * batch that no rule kept. */
static void add_suppressed(struct to *to, const struct batch *b)
{
	struct session *s = to->s;

	for (size_t i = 0; i < b->suppressed_count; i++) {
		const struct suppressed *of = &b->suppressed[i];
		struct buf header = BUF_INIT;
		struct log_record r = of_batch(s, b, LOG_BOUNCE, &header);

		r.recipients = &of->address;
		r.recipient_count = 1;
		r.response =
		    suppression_reply(s->tx->arena, of->address, of->entry);
		emit(to, &r, b->message);
		buf_release(&header);
	}
}

static bool was_refused(const struct batch *b)
{
	return b->fate == BATCH_DROPPED && !b->suppressed_count;
}

/* The sender of the original is who the report was sent to. */
static size_t add_oob(struct to *to, const struct batch *b)
{
	struct session *s = to->s;
	const struct dsn *dsn = &b->reading->dsn;
	struct buf header = BUF_INIT;
	struct log_record r = of_batch(s, b, LOG_OOB, &header);
	int64_t now = r.event_ms;
	size_t failed = 0;

	r.sender = b->message->recipients.items[0].address.email;
	r.peer_name = dsn->reporting_mta.name;
	r.size = 0;
	for (size_t i = 0; i < dsn->count; i++) {
		const struct dsn_recipient *of = &dsn->recipients[i];
		const char *blamed = dsn_blames(of);

		if (of->action != REPORT_FAILED)
			continue;
		failed++;
		r.recipients = &blamed;
		r.recipient_count = 1;
		r.response = dsn_reply(of, s->tx->arena);
		report_links_show(&b->links->items[i], 1, s->tx->arena, &r);
		r.event_ms = of->last_attempt_date.known
				 ? of->last_attempt_date.unix_seconds * 1000
				 : now;
		emit(to, &r, b->message);
	}
	buf_release(&header);
	return failed;
}

static void line_of_report(
    const struct session *s, const struct batch *b, size_t failed)
{
	const char *to = b->message->recipients.items[0].address.email;
	bool oob = b->report == BATCH_OOB;
	const char *by = oob ? b->reading->dsn.reporting_mta.name
			     : b->reading->arf.user_agent;
	char quoted[2][256];

	diag_info("%s: report=%s id=%s to=<%s> by=\"%s\" failed=%zu kept=%s",
	    s->tx->queue_id ? s->tx->queue_id : s->id, oob ? "oob" : "feedback",
	    b->message->id,
	    diag_quote(quoted[0], sizeof quoted[0], to, strlen(to)),
	    diag_quote(quoted[1], sizeof quoted[1], by, strlen(by)), failed,
	    b->fate == BATCH_KEPT ? "yes" : "no");
}

/* What it says, and the numbers for status. */
static void add_report(struct to *to, const struct batch *b)
{
	struct session *s = to->s;
	struct service *service = s->service;

	if (to->hooked) {
		if (b->report == BATCH_OOB)
			(void)add_oob(to, b);
		if (b->report == BATCH_FEEDBACK)
			add_record(to, b, LOG_FEEDBACK);
		return;
	}

	switch (b->report) {
	case BATCH_ORDINARY:
		break;
	case BATCH_UNREADABLE:
		atomic_fetch_add(&service->unreadable_reports, 1);
		break;
	case BATCH_OOB:
		atomic_fetch_add(&service->oob_reports, 1);
		line_of_report(s, b, add_oob(to, b));
		break;
	case BATCH_FEEDBACK:
		atomic_fetch_add(&service->feedback_reports, 1);
		add_record(to, b, LOG_FEEDBACK);
		line_of_report(s, b, 0);
		break;
	}
}

static void add_all(struct to *to, const struct batch *b)
{
	/* A Feedback stands instead of the Reception, an OOB behind it. */
	if (b->report != BATCH_FEEDBACK)
		add_record(to, b, LOG_RECEPTION);
	add_report(to, b);
}

static struct to to_log(struct session *s, int64_t deadline)
{
	return (struct to){.s = s,
	    .log = log_batch_new(s->service->log),
	    .deadline = deadline};
}

bool record_reports(struct session *s, const struct batches *batches,
    int64_t deadline, custody_progress_fn *progress, void *progress_ctx,
    struct err *err)
{
	struct to to = to_log(s, deadline);

	for (size_t i = 0; i < batches->count; i++)
		if (batches->items[i].fate == BATCH_LOGGED)
			add_all(&to, &batches->items[i]);
	return log_writer_write(to.log, deadline, progress, progress_ctx, err);
}

bool record_suppressed(struct session *s, const struct batches *batches,
    int64_t deadline, custody_progress_fn *progress, void *progress_ctx,
    struct err *err)
{
	struct to to = to_log(s, deadline);

	for (size_t i = 0; i < batches->count; i++)
		add_suppressed(&to, &batches->items[i]);
	return log_writer_write(to.log, deadline, progress, progress_ctx, err);
}

void record_left_report(
    struct session *s, const struct batch *b, int64_t deadline)
{
	struct to to = to_log(s, deadline);

	add_report(&to, b);
	log_writer_submit(to.log, NULL, NULL);
}

void record_for_hooks(
    struct hooked *hooked, const struct batches *batches, bool accepted)
{
	struct to to = {.s = hooked->s, .hooked = hooked};

	for (size_t i = 0; i < batches->count; i++) {
		const struct batch *b = &batches->items[i];

		add_all(&to, b);
		if (accepted)
			add_suppressed(&to, b);
		if (was_refused(b) && accepted)
			add_record(&to, b, LOG_BOUNCE);
	}
}

void record_receptions(
    struct session *s, const struct batches *batches, bool accepted)
{
	struct to to = to_log(s, event_deadline());

	for (size_t i = 0; i < batches->count; i++) {
		const struct batch *b = &batches->items[i];

		if (b->fate == BATCH_LOGGED)
			continue;
		add_all(&to, b);
		/* Those that were suppressed have theirs already. */
		if (was_refused(b) && accepted)
			add_record(&to, b, LOG_BOUNCE);
		if (b->fate == BATCH_KEPT)
			line_of_custody(s, b);
	}
	log_writer_submit(to.log, NULL, NULL);
}

/*
 * smtp_jobs.c - the messages of one session: fetched, begun, reported
 *
 * While the reply to a final dot is awaited the next job is fetched, so that
 * its first flight leaves in the same turn of the loop that the reply arrives
 * in, even before done() is called for the one before.
 *
 * See: smtp_session.c for the connection that they go over.
 */
#include "base/arena.h"
#include "deliver/smtp_session_private.h"

static bool may_go_on(const struct smtp_session *s)
{
	return !s->stop && !s->abort &&
	       s->deliveries < s->plan->path->max_deliveries_per_connection;
}

void smtp_jobs_fetch_ahead(struct smtp_session *s)
{
	if (!s->ahead && may_go_on(s))
		s->ahead = s->ops->next(s->owner, true);
}

static enum smtp_step begin(struct smtp_session *s, struct delivery_job *job)
{
	enum smtp_step step;

	s->now.job = job;
	s->now.texts = job->arena ? NULL : arena_new(0);
	s->idle = false;
	if (s->ops->begins)
		s->ops->begins(s->owner, job);
	step = smtp_engine_begin(
	    s->engine, job, job->arena ? job->arena : s->now.texts);
	/* What was refused here did not burden the peer. */
	if (step != STEP_DONE)
		s->deliveries++;
	return step;
}

enum smtp_step smtp_jobs_next(struct smtp_session *s)
{
	struct delivery_job *job = s->ahead;

	if (!may_go_on(s)) {
		s->quitting = true;
		smtp_engine_quit(s->engine);
		return STEP_WAIT;
	}
	s->ahead = NULL;
	s->woken = false;
	if (!job)
		job = s->ops->next(s->owner, false);
	if (job)
		return begin(s, job);
	s->idle = true;
	return STEP_WAIT;
}

static void report(struct smtp_session *s, struct work *work)
{
	s->ops->done(s->owner, work->job, &s->facts);
	arena_unref(work->texts);
	*work = (struct work){0};
}

/* try_next_host_on_transport_error: the message is not failed while there is
 * another host to try it on. */
static bool may_try_elsewhere(const struct smtp_session *s)
{
	return s->plan->path->try_next_host_on_transport_error &&
	       smtp_engine_cut_short(s->engine) && !s->abort && !s->stop &&
	       s->route.at < s->plan->count;
}

/* Recipients that were refused before keep their reply. */
static void take_back_failures(struct delivery_job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		struct delivery_recipient *r = &job->recipients[i];
		bool is_ours =
		    r->reply.code == 400 ||
		    (!r->reply.command && (r->reply.code == 421 ||
					      (r->reply.code == 451 &&
						  r->reply.enhanced[1] == 4)));

		if (!is_ours)
			continue;
		r->reply = (struct smtp_reply){0};
		r->retry_at_once = true;
	}
}

enum smtp_step smtp_jobs_done(struct smtp_session *s, bool more)
{
	struct work work = s->now;
	enum smtp_step step = STEP_WAIT;

	s->now = (struct work){0};
	smtp_content_stop(&s->content);
	if (!smtp_engine_usable(s->engine)) {
		s->hurt = true;
		if (may_try_elsewhere(s))
			take_back_failures(work.job);
		report(s, &work);
		return STEP_CLOSED;
	}
	s->made_progress = true;
	if (s->ahead && !more && may_go_on(s)) {
		struct delivery_job *job = s->ahead;

		s->ahead = NULL;
		step = begin(s, job);
		smtp_wire_flush(s->wire);
		report(s, &work);
		return step;
	}
	report(s, &work);
	return STEP_READY;
}

/*
 * setup.h - what a policy declared while it loaded and in init
 *
 * One per generation of the policy.  lua/ fills it; milter/ and router/ read
 * it.
 */
#ifndef POLICY_SETUP_H
#define POLICY_SETUP_H

#include "policy/bounce_class.h"
#include "policy/listener.h"
#include "policy/log_config.h"
#include "policy/relay.h"
#include "policy/suppression.h"

enum local_submission {
	LOCAL_SUBMISSION_QUEUE,
	LOCAL_SUBMISSION_LEAVE_TO_MTA,
	LOCAL_SUBMISSION_REFUSE,
};

#define POLICY_SPOOLS 16

struct policy_setup {
	struct arena *arena;
	const struct listener **listeners;    /* in order of declaration */
	const struct value **listener_values; /* the tables they came from */
	const char **listener_where;          /* "policy.lua:12" */
	size_t listener_count;
	const struct log_config **logs;
	size_t log_count;
	const struct log_hook **hooks; /* of both kinds */
	size_t hook_count;
	struct bounce_classifier *classifier; /* NULL: none */
	enum unlisted_domains unlisted_domains;
	enum local_submission local_submission;
	bool mta_sts_disabled;  /* kumo.dns.set_mta_sts_enabled(false) */
	const char *spool_path; /* of the first define_spool; NULL: none */
	/* of each define_spool: what stays free where the queue is */
	struct free_floors spool_floors[POLICY_SPOOLS];
	size_t spool_count;
	const struct suppression_config *suppression; /* NULL: not set up */
};

/* Says what was declared and has no effect beside the daemon's options: a spool
 * elsewhere than the queue. */
void policy_setup_warn(
    const struct policy_setup *setup, const char *queue_path);

#endif

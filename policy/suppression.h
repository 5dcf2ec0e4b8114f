/*
 * suppression.h - which addresses get no more mail, and why
 *
 * What suppression:setup{} says (penstock.suppression): rules about records,
 * and what reception does with mail to an address that is on the list
 * (mail/suppression.h).  The first rule that fits does not end the search: each
 * counts for itself.
 *
 * Ownership: a record lives in the arena it was parsed into.
 * Threads:   never changes once parsed.
 */
#ifndef POLICY_SUPPRESSION_H
#define POLICY_SUPPRESSION_H

#include "base/duration.h"
#include "mail/suppression.h"
#include "policy/param.h"

enum suppression_record {
	SUPPRESSION_BOUNCE,
	SUPPRESSION_OOB,
	SUPPRESSION_FEEDBACK,
};

enum suppression_reach { SUPPRESSION_TENANT, SUPPRESSION_GLOBAL };

enum suppression_action {
	SUPPRESSION_REFUSE, /* 550 5.1.1 */
	SUPPRESSION_DROP,   /* accepted; a Bounce record says what became of it
			     */
	SUPPRESSION_NONE,   /* the policy asks by itself, or nobody does */
};

struct suppression_rule {
	uint64_t given[2];
	enum suppression_record record;
	struct string_list class, code;
	int64_t count;
	struct duration within;
	bool forever;
	struct duration keep;
	enum suppression_reach scope;
	const char *name; /* what it says, in one line */
};

struct suppression_config {
	uint64_t given[2];
	struct {
		const struct suppression_rule *items;
		size_t count;
	} rules;
	enum suppression_reach scope; /* of rules that do not say */
	enum suppression_action action;
	bool null_sender; /* mail from <> is looked up, too */
	bool postmaster;  /* so is mail to postmaster */
};

extern const struct param_set suppression_params;
extern const struct param_set suppression_rule_params; /* of `rules` */

/* After param_parse: the rules that hold when none are given, and what rules
 * take from the rest. */
void suppression_complete(
    struct suppression_config *config, struct arena *arena);

/* Do rules match?  Then *hit has them as marks; the caller sets address,
 * tenant, message and time.  `class`: of a bounce (NULL: Uncategorized) or the
 * type of a feedback report.  `reply`: NULL for feedback.  Texts are in
 * `arena`. */
bool suppression_judge(const struct suppression_config *config,
    enum suppression_record record, const char *class,
    const struct smtp_reply *reply, struct arena *arena,
    struct suppression_hit *hit) MUST_USE;
/* Is any rule about such records? */
bool suppression_wants(
    const struct suppression_config *config, enum suppression_record record);

/* "5.1.1", "5.1.x", "550", "5xx". */
bool suppression_code_matches(
    const char *pattern, const struct smtp_reply *reply);

#endif

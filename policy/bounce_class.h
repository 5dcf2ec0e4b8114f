/*
 * bounce_class.h - kumo.configure_bounce_classifier: what sort of failure does
 * a reply tell of? (policy language, 15.5)
 *
 * Rules are regular expressions in files; each belongs to a class.  The first
 * rule that matches the reply in one line, "550 5.1.1 no such user", names its
 * class.  Rules count in this order: files as they are listed, classes as they
 * stand in a file, rules as they stand in their class.
 *
 *	file  = TOML or JSON: { "rules": { class: [ regex, ... ], ... } }
 *
 * Bounded (base/regex_list.h): nothing that a peer answers and no rule makes a
 * classification take longer than a few milliseconds; see bounce_class.c.
 *
 * Ownership: bounce_classifier_free gives it back.  What it returns lives as
 *	      long as it does.
 * Threads:   once filled any number of users.
 * Errors:    ERR_CONFIG, with file, class, rule and position.
 */
#ifndef POLICY_BOUNCE_CLASS_H
#define POLICY_BOUNCE_CLASS_H

#include "mail/smtp_reply.h"
#include "policy/param.h"

/* The parameters. */
struct bounce_config {
	uint64_t given[2];
	struct string_list files;
	int64_t cache_size, uncategorized_cache_size; /* texts */
	int64_t back_pressure, pool_size;             /* without effect */
};

extern const struct param_set bounce_classifier_params;

#define BOUNCE_UNCATEGORIZED "Uncategorized"

struct bounce_classifier;

struct bounce_classifier *bounce_classifier_new(
    const struct bounce_config *config) MUST_USE;
void bounce_classifier_free(struct bounce_classifier *c); /* NULL is fine */
/* Its rules come after those that are there.  `file` is its name: its ending
 * says in which language `text` is. */
bool bounce_classifier_add(struct bounce_classifier *c, const char *file,
    const char *text, size_t len, struct err *err) MUST_USE;
size_t bounce_classifier_rules(const struct bounce_classifier *c);

/* Why a reply is in its class. */
struct bounce_rule {
	const char *class, *file, *pattern;
	size_t number; /* in its class in its file, from 1 */
};

/* The rule for "550 5.1.1 no such user"; NULL: Uncategorized.  `text` may hold
 * any bytes. */
const struct bounce_rule *bounce_classifier_find(
    struct bounce_classifier *c, const char *text, size_t len);
/* The class of a reply, BOUNCE_UNCATEGORIZED when no rule knows it.  c may be
 * NULL: then every reply is. */
const char *bounce_class_of(
    struct bounce_classifier *c, const struct smtp_reply *reply);

#endif

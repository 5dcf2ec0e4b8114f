/*
 * test_values.h - values and records for tests, written as JSON
 */
#ifndef TESTS_UNIT_POLICY_TEST_VALUES_H
#define TESTS_UNIT_POLICY_TEST_VALUES_H

#include "base/ip.h"
#include "policy/param.h"

/* Of the test that runs; what the functions below return lives in it. */
extern struct arena *arena;
void arena_begin(void); /* fixtures */
void arena_end(void);

struct value json(const char *text);
char *as_json(struct value v);
/* NULL for NULL; fails the test when it is none. */
const struct ip_addr *ip(const char *text);

/* A case of a table of parameters. */
struct parse_case {
	const char *label;
	const char *table; /* JSON */
	/* NULL: accepted.  Beginning with the name of the set, the whole
	 * message; otherwise some words of it. */
	const char *want;
};

/* Parses and holds the outcome against the case. */
void check_parse(const struct param_set *set, const struct parse_case *c);
/* Parses what has to be right; returns the record. */
void *parsed(const struct param_set *set, const char *table);
/* One effective value of a parsed table, as JSON. */
char *read_back(
    const struct param_set *set, const char *table, const char *key);

#endif

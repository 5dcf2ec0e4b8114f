/*
 * sts_policy.h - what a domain says about TLS to its mail hosts (RFC 8461)
 *
 * The text of a policy and of its record in the DNS, parsed; no I/O.
 *
 * Threads: a policy never changes once parsed.
 */
#ifndef NET_STS_POLICY_H
#define NET_STS_POLICY_H

#include <stdint.h>

#include "base/err.h"

struct arena;

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

#define STS_ID_MOST 32
#define STS_POLICY_MOST 65536

struct sts_policy {
	enum sts_mode mode;
	int64_t max_age;             /* seconds */
	const char *const *patterns; /* "mx.example.com", "*.example.net" */
	size_t count;
};

/* The text of the policy file; strings in `arena`. */
bool sts_policy_parse(const char *text, size_t len, struct arena *arena,
    struct sts_policy *out, struct err *err) MUST_USE;
/* May mail go to this host?  A "*" stands for one label. */
bool sts_policy_matches(const struct sts_policy *policy, const char *host);
/* "v=STSv1; id=20160831085700Z;" -> the id.  False: it is no such record. */
bool sts_record_parse(const char *text, size_t len, char id[STS_ID_MOST + 1]);

#endif

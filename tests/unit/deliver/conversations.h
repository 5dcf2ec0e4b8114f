/*
 * conversations.h - what a peer may say, and what has to come of it
 *
 * A script is what the peer says ("S:", several replies of one packet parted by
 * '\n') and what we must have said by then ("C:"), in order.  Ready, the engine
 * gets the message; asked for content, "CONTENT" and the dot.  "TLS ok" and
 * "TLS bad" end the handshake, "LOST" and "TIMEOUT" the connection.
 */
#ifndef TESTS_UNIT_DELIVER_CONVERSATIONS_H
#define TESTS_UNIT_DELIVER_CONVERSATIONS_H

#include <stddef.h>

#include "policy/egress_path.h"

#define RCPTS 4
#define LINES 28

enum conversation_flags {
	NO_PIPELINING = 1,
	NO_RSET = 2,
	LMTP = 4,
	IGNORE_8BIT = 8,
	HAS_8BIT = 16,
	HEADER_8BIT = 32,
	BARE_LF = 64,
	CLIENT_UTF8 = 128,
	DSN_PARAMS = 256,
	TLS_FIRST = 512, /* the connection came with TLS */
	WITH_AUTH = 1024,
	AUTH_IN_CLEAR = 2048,
	AUTH_UNVERIFIED = 4096,
	RECONNECT = 8192, /* opportunistic_tls_reconnect_on_failed_handshake */
};

struct conversation {
	const char *label;
	unsigned flags;
	enum tls_mode tls;
	int jobs; /* how often the message goes, 0 is 1 */
	const char *sender, *rcpts[RCPTS];
	const char *script[LINES];
	const char *want; /* a reply for each recipient, " / " between jobs; or
			     "failed: reason", "closed" */
};

/* The first is one message without extensions. */
extern const struct conversation conversations[];
extern const size_t conversation_count;

#endif

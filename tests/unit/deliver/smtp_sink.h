/*
 * smtp_sink.h - a server on 127.0.0.1 that follows a script
 *
 * Each connection plays the next script (the last one again and again).  Lines:
 *
 *	"> text"	say text and CRLF; "\n" in it is CRLF too
 *	"= text"	say exactly that, without CRLF
 *	"< text"	read a line, which must begin so
 *	"data"		read up to the final dot, and keep it
 *	"tls"		take the server's part of a handshake
 *	"junk"		answer the handshake with something else
 *	"close"		hang up here
 *	"rest"		read until the client hangs up
 *	"drip N"	say N bytes of an endless reply, each 10 ms apart
 *
 * After the last line it reads until the client hangs up.
 *
 * Threads: one of its own; look at the results after smtp_sink_stop().
 */
#ifndef TESTS_UNIT_DELIVER_SMTP_SINK_H
#define TESTS_UNIT_DELIVER_SMTP_SINK_H

#include <stdbool.h>
#include <stdint.h>

#define SINK_LINES 40
#define SINK_MESSAGES 64

struct smtp_sink;

struct sink_script {
	const char *lines[SINK_LINES];
};

/* Its certificate is fresh and self-signed, for mx.test and 127.0.0.1; written
 * to `path` as PEM when that is not NULL.  `socket_path`: a unix socket instead
 * of a port. */
struct smtp_sink *smtp_sink_start(const struct sink_script *scripts, int count,
    const char *path, const char *socket_path);
uint16_t smtp_sink_port(const struct smtp_sink *sink);
void smtp_sink_stop(struct smtp_sink *sink);

/* NULL: every script went well; else what did not. */
const char *smtp_sink_complaint(const struct smtp_sink *sink);
int smtp_sink_connections(const struct smtp_sink *sink);
int smtp_sink_messages(const struct smtp_sink *sink);
/* With the final dot, as it came. */
const char *smtp_sink_message(const struct smtp_sink *sink, int i);
/* "127.0.0.2" */
const char *smtp_sink_client(const struct smtp_sink *sink);
/* How many times read(2) gave something on the last connection. */
int smtp_sink_reads(const struct smtp_sink *sink);
void smtp_sink_free(struct smtp_sink *sink);

#endif

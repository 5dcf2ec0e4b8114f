/*
 * sink.c - takes mail, counts it and throws it away
 *
 *   sink ADDRESS PORT [CERT.pem]
 *
 * For measurements: Postfix's smtp-sink knows no TLS, and takes one connection
 * after the other.  One thread, any number of connections.  Prints "mesg=N"
 * about ten times a second while N changes.  CERT.pem: key and certificate;
 * then it offers STARTTLS.  Input is trusted: the peers are ours.
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/attr.h"
#include "base/diag.h"
#include "base/xalloc.h"

static SSL_CTX *tls;
static struct event_base *loop;
static unsigned long messages, printed;

struct peer {
	struct bufferevent *bev;
	bool in_data, quitting;
};

static void say(struct peer *p, const char *text)
{
	(void)bufferevent_write(p->bev, text, strlen(text));
}

static void drop(struct peer *p)
{
	bufferevent_free(p->bev);
	free(p);
}

static void on_read(struct bufferevent *bev, void *ctx);
static void on_event(struct bufferevent *bev, short what, void *ctx);
static void on_written(struct bufferevent *bev, void *ctx);

static void start_tls(struct peer *p)
{
	evutil_socket_t fd = bufferevent_getfd(p->bev);
	static const char ready[] = "220 2.0.0 go ahead\r\n";

	/* Small, and the peer waits for it: the socket takes it at once. */
	if (send(fd, ready, sizeof ready - 1, MSG_NOSIGNAL) < 0) {
		drop(p);
		return;
	}
	(void)bufferevent_setfd(p->bev, -1);
	bufferevent_free(p->bev);
	p->bev = bufferevent_openssl_socket_new(loop, fd, SSL_new(tls),
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(p->bev, on_read, on_written, on_event, p);
	(void)bufferevent_enable(p->bev, EV_READ | EV_WRITE);
}

static bool is_encrypted(struct peer *p)
{
	return bufferevent_openssl_get_ssl(p->bev) != NULL;
}

/* False: the buffer is not this one's any more. */
static bool command(struct peer *p, const char *line)
{
	if (strncasecmp(line, "EHLO", 4) == 0) {
		say(p, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n");
		say(p, tls && !is_encrypted(p) ? "250 STARTTLS\r\n"
					       : "250 SIZE\r\n");
	} else if (strncasecmp(line, "STARTTLS", 8) == 0) {
		start_tls(p);
		return false;
	} else if (strncasecmp(line, "DATA", 4) == 0) {
		p->in_data = true;
		say(p, "354 end with a dot\r\n");
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		p->quitting = true;
		say(p, "221 2.0.0 bye\r\n");
	} else {
		say(p, "250 2.0.0 ok\r\n");
	}
	return true;
}

/* False: more has to come first. */
static bool content(struct peer *p, struct evbuffer *in)
{
	struct evbuffer_ptr dot = evbuffer_search(in, "\r\n.\r\n", 5, NULL);
	size_t have = evbuffer_get_length(in);

	if (dot.pos < 0) {
		/* What may be the beginning of the end stays. */
		if (have > 4)
			(void)evbuffer_drain(in, have - 4);
		return false;
	}
	(void)evbuffer_drain(in, (size_t)dot.pos + 5);
	p->in_data = false;
	messages++;
	say(p, "250 2.0.0 taken\r\n");
	return true;
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct peer *p = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);

	for (;;) {
		char *line;
		bool mine;

		if (p->in_data) {
			if (!content(p, in))
				return;
			continue;
		}
		line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF_STRICT);
		if (!line)
			return;
		mine = command(p, line);
		free(line);
		if (!mine)
			return;
	}
}

static void on_written(struct bufferevent *bev UNUSED, void *ctx)
{
	struct peer *p = ctx;

	if (p->quitting)
		drop(p);
}

static void on_event(struct bufferevent *bev UNUSED, short what, void *ctx)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		drop(ctx);
}

static void on_accept(struct evconnlistener *listener UNUSED,
    evutil_socket_t fd, struct sockaddr *sa UNUSED, int len UNUSED,
    void *ctx UNUSED)
{
	struct peer *p = xcalloc(1, sizeof *p);

	p->bev = bufferevent_socket_new(loop, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(p->bev, on_read, on_written, on_event, p);
	(void)bufferevent_enable(p->bev, EV_READ | EV_WRITE);
	say(p, "220 sink ESMTP\r\n");
}

static void on_tick(
    evutil_socket_t fd UNUSED, short what UNUSED, void *ctx UNUSED)
{
	if (messages == printed)
		return;
	printed = messages;
	(void)printf("mesg=%lu\n", messages);
	(void)fflush(stdout);
}

static void use_certificate(const char *path)
{
	tls = SSL_CTX_new(TLS_server_method());
	if (!tls || SSL_CTX_use_certificate_chain_file(tls, path) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, path, SSL_FILETYPE_PEM) != 1)
		diag_fatal(
		    EX_NOINPUT, "%s: not a key with its certificate", path);
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	struct timeval tenth = {.tv_usec = 100000};

	diag_init("sink", true);
	if (argc < 3 || argc > 4 ||
	    inet_pton(AF_INET, argv[1], &sa.sin_addr) != 1)
		diag_fatal(EX_USAGE, "usage: sink ADDRESS PORT [CERT.pem]");
	sa.sin_port = htons((uint16_t)atoi(argv[2]));
	(void)signal(SIGPIPE, SIG_IGN);
	if (argv[3])
		use_certificate(argv[3]);
	loop = event_base_new();
	if (!evconnlistener_new_bind(loop, on_accept, NULL,
		LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE, 4096,
		(struct sockaddr *)&sa, sizeof sa))
		diag_fatal(
		    EX_UNAVAILABLE, "%s:%s: cannot listen", argv[1], argv[2]);
	(void)event_add(event_new(loop, -1, EV_PERSIST, on_tick, NULL), &tenth);
	(void)event_base_dispatch(loop);
	return 0;
}

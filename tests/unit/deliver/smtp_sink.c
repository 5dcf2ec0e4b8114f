/*
 * smtp_sink.c - a server on 127.0.0.1 that follows a script
 */
#include "tests/unit/deliver/smtp_sink.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"

struct smtp_sink {
	const struct sink_script *scripts;
	int count;
	int listener, stop[2];
	uint16_t port;
	pthread_t thread;
	SSL_CTX *tls;
	int connections, message_count, reads;
	char *messages[SINK_MESSAGES];
	char client[INET_ADDRSTRLEN];
	struct buf complaint;
};

struct guest {
	struct smtp_sink *sink;
	int fd;
	SSL *ssl;
	struct buf in;
	const char *line; /* of the script, for complaints */
};

/* ---- a certificate ---- */

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ck_assert_ptr_nonnull(ext);
	ck_assert_int_eq(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static void make_certificate(SSL_CTX *ctx, const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	FILE *file;

	ck_assert_int_eq(X509_set_version(cert, 2), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"sink of the test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	add_extension(cert, NID_subject_alt_name, "DNS:mx.test,IP:127.0.0.1");
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	if (path) {
		file = fopen(path, "w");
		ck_assert_ptr_nonnull(file);
		ck_assert_int_eq(PEM_write_X509(file, cert), 1);
		(void)fclose(file);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* ---- reading and writing ---- */

static void complain(struct guest *g, const char *what, const char *got)
{
	buf_addf(&g->sink->complaint, "connection %d, \"%s\": %s \"%.200s\"; ",
	    g->sink->connections, g->line, what, got);
}

static void say(struct guest *g, const char *text, bool crlf)
{
	struct buf out = BUF_INIT;
	ssize_t ignored;

	for (; *text; text++)
		if (*text == '\n')
			buf_addstr(&out, "\r\n");
		else
			buf_addch(&out, *text);
	if (crlf)
		buf_addstr(&out, "\r\n");
	if (g->ssl)
		(void)SSL_write(g->ssl, out.data, (int)out.len);
	else
		ignored = send(g->fd, out.data, out.len, MSG_NOSIGNAL);
	(void)ignored;
	buf_release(&out);
}

/* False: the client hung up, or the test is over. */
static bool more(struct guest *g)
{
	char data[65536];
	ssize_t n;

	if (!g->ssl || !SSL_pending(g->ssl)) {
		struct pollfd fds[] = {
		    {g->fd, POLLIN, 0}, {g->sink->stop[0], POLLIN, 0}};

		(void)poll(fds, 2, -1);
		if (!fds[0].revents)
			return false;
	}
	if (g->ssl)
		n = SSL_read(g->ssl, data, sizeof data);
	else
		n = recv(g->fd, data, sizeof data, 0);
	if (n <= 0)
		return false;
	g->sink->reads++;
	buf_add(&g->in, data, (size_t)n);
	return true;
}

/* The input up to and with `end`. */
static char *take(struct guest *g, const char *end)
{
	size_t len = strlen(end), seen = 0;
	char *at, *out;

	for (;;) {
		at = g->in.len > seen
			 ? memmem(g->in.data + seen, g->in.len - seen, end, len)
			 : NULL;
		if (at)
			break;
		seen = g->in.len > len ? g->in.len - len : 0;
		if (!more(g))
			return NULL;
	}
	at += len;
	out = xstrndup(g->in.data, (size_t)(at - g->in.data));
	buf_consume(&g->in, (size_t)(at - g->in.data));
	return out;
}

/* ---- the lines of a script ---- */

static bool expect_line(struct guest *g, const char *want)
{
	char *line = take(g, "\r\n");
	bool ok = line && str_starts(line, want);

	if (!ok)
		complain(g, "got", line ? line : "nothing");
	free(line);
	return ok;
}

static bool keep_message(struct guest *g)
{
	struct smtp_sink *sink = g->sink;
	/* An empty one is a dot alone. */
	char *message;

	while (g->in.len < 3)
		if (!more(g))
			return false;
	message =
	    take(g, memcmp(g->in.data, ".\r\n", 3) ? "\r\n.\r\n" : ".\r\n");
	if (!message) {
		complain(g, "no end of data after", buf_str(&g->in));
		return false;
	}
	ck_assert_int_lt(sink->message_count, SINK_MESSAGES);
	sink->messages[sink->message_count++] = message;
	return true;
}

static bool handshake(struct guest *g)
{
	g->ssl = SSL_new(g->sink->tls);
	SSL_set_fd(g->ssl, g->fd);
	return SSL_accept(g->ssl) == 1;
}

static void drip(struct guest *g, int n)
{
	struct pollfd fd = {g->sink->stop[0], POLLIN, 0};

	say(g, "250-", false);
	for (int i = 0; i < n && !poll(&fd, 1, 10); i++)
		say(g, "x", false);
}

static bool perform(struct guest *g)
{
	const char *line = g->line;

	if (line[0] == '>')
		say(g, line + 2, true);
	else if (line[0] == '=')
		say(g, line + 2, false);
	else if (line[0] == '<')
		return expect_line(g, line + 2);
	else if (str_eq(line, "data"))
		return keep_message(g);
	else if (str_eq(line, "tls"))
		return handshake(g);
	else if (str_eq(line, "junk"))
		say(g, "this is no TLS\nat all", true);
	else if (str_starts(line, "drip "))
		drip(g, atoi(line + 5));
	else if (str_eq(line, "close"))
		return false;
	else if (str_eq(line, "rest"))
		while (more(g))
			;
	else
		complain(g, "what is", line);
	return true;
}

static void serve(struct smtp_sink *sink, int fd)
{
	const struct sink_script *script =
	    &sink->scripts[sink->connections < sink->count ? sink->connections
							   : sink->count - 1];
	struct guest g = {.sink = sink, .fd = fd};
	bool on = true;

	sink->connections++;
	sink->reads = 0;
	for (int i = 0; i < SINK_LINES && script->lines[i] && on; i++) {
		g.line = script->lines[i];
		on = perform(&g);
	}
	while (on && more(&g))
		;
	SSL_free(g.ssl);
	buf_release(&g.in);
	(void)close(fd);
}

static void *run(void *ctx)
{
	struct smtp_sink *sink = ctx;
	struct sockaddr_in from;
	socklen_t len = sizeof from;

	for (;;) {
		struct pollfd fds[] = {
		    {sink->listener, POLLIN, 0}, {sink->stop[0], POLLIN, 0}};
		int fd;

		(void)poll(fds, 2, -1);
		if (!fds[0].revents && fds[1].revents)
			return NULL;
		fd = accept(sink->listener, (struct sockaddr *)&from, &len);
		if (fd < 0)
			continue;
		(void)inet_ntop(
		    AF_INET, &from.sin_addr, sink->client, sizeof sink->client);
		serve(sink, fd);
	}
}

static void listen_on_port(struct smtp_sink *sink)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sin;

	sink->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(sink->listener, (void *)&sin, sizeof sin), 0);
	ck_assert_int_eq(getsockname(sink->listener, (void *)&sin, &len), 0);
	ck_assert_int_eq(listen(sink->listener, 16), 0);
	sink->port = ntohs(sin.sin_port);
}

static void listen_at(struct smtp_sink *sink, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	ck_assert(str_copy(un.sun_path, sizeof un.sun_path, path));
	sink->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(sink->listener, (void *)&un, sizeof un), 0);
	ck_assert_int_eq(listen(sink->listener, 16), 0);
}

struct smtp_sink *smtp_sink_start(const struct sink_script *scripts, int count,
    const char *path, const char *socket_path)
{
	struct smtp_sink *sink = xcalloc(1, sizeof *sink);

	sink->scripts = scripts;
	sink->count = count;
	sink->tls = SSL_CTX_new(TLS_server_method());
	make_certificate(sink->tls, path);
	if (socket_path)
		listen_at(sink, socket_path);
	else
		listen_on_port(sink);
	ck_assert_int_eq(pipe(sink->stop), 0);
	sink->thread = worker_thread_start("smtp-sink", run, sink);
	return sink;
}

uint16_t smtp_sink_port(const struct smtp_sink *sink)
{
	return sink->port;
}

void smtp_sink_stop(struct smtp_sink *sink)
{
	ssize_t ignored = write(sink->stop[1], "x", 1);

	(void)ignored;
	(void)pthread_join(sink->thread, NULL);
	(void)close(sink->listener);
	(void)close(sink->stop[0]);
	(void)close(sink->stop[1]);
	SSL_CTX_free(sink->tls);
	sink->tls = NULL;
}

const char *smtp_sink_complaint(const struct smtp_sink *sink)
{
	return sink->complaint.len ? sink->complaint.data : NULL;
}

int smtp_sink_connections(const struct smtp_sink *sink)
{
	return sink->connections;
}

int smtp_sink_messages(const struct smtp_sink *sink)
{
	return sink->message_count;
}

const char *smtp_sink_message(const struct smtp_sink *sink, int i)
{
	ck_assert_int_lt(i, sink->message_count);
	return sink->messages[i];
}

const char *smtp_sink_client(const struct smtp_sink *sink)
{
	return sink->client;
}

int smtp_sink_reads(const struct smtp_sink *sink)
{
	return sink->reads;
}

void smtp_sink_free(struct smtp_sink *sink)
{
	for (int i = 0; i < sink->message_count; i++)
		free(sink->messages[i]);
	buf_release(&sink->complaint);
	free(sink);
}

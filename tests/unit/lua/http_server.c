/*
 * http_server.c - a web server on 127.0.0.1, in clear and in TLS
 */
#include "http_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/str.h"

struct listener {
	int fd;
	SSL_CTX *tls; /* NULL: in clear */
};

struct connection {
	int fd;
	SSL_CTX *tls;
	int number;
	BIO *bio;
	char in[16384];
	size_t len;
};

static int ports[2]; /* clear, TLS: for redirections */

/* ---- pages ---- */

static const struct {
	const char *path, *answer; /* %d: the port in clear, then that of TLS */
} pages[] = {
    {"/ok", "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-One: 1\r\n"
	    "x-one: 2\r\nContent-Type: text/plain\r\n\r\nok"},
    {"/no-reason", "HTTP/1.1 204\r\n\r\n"},
    {"/refused", "HTTP/1.1 503 Not now\r\nContent-Length: 5\r\n\r\nlater"},
    {"/gone", "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"},
    {"/latin", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\xE9z"},
    {"/continue", "HTTP/1.1 100 Continue\r\nX-First: 1\r\n\r\n"
		  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    {"/moved", "HTTP/1.1 302 Found\r\nLocation: /echo\r\n"
	       "Content-Length: 0\r\n\r\n"},
    {"/kept", "HTTP/1.1 307 Temporary Redirect\r\nLocation: /echo\r\n"
	      "Content-Length: 0\r\n\r\n"},
    {"/round", "HTTP/1.1 302 Found\r\nLocation: /round\r\n"
	       "Content-Length: 0\r\n\r\n"},
    {"/to-file", "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\n"
		 "Content-Length: 0\r\n\r\n"},
    {"/to-clear", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/ok\r\n"
		  "Content-Length: 0\r\n\r\n"},
    {"/to-tls", "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:%2$d/ok\r\n"
		"Content-Length: 0\r\n\r\n"},
    {"/to-other", "HTTP/1.1 302 Found\r\n"
		  "Location: http://127.0.0.2:%d/echo\r\n"
		  "Content-Length: 0\r\n\r\n"},
    {"/nonsense", "220 mail.example.com ESMTP\r\n"},
    {"/nothing", ""},
};

static void say(struct connection *c, const char *text, size_t len)
{
	(void)BIO_write(c->bio, text, (int)len);
	(void)BIO_flush(c->bio);
}

static void say_forever(struct connection *c, const char *first)
{
	char block[4096];

	memset(block, 'x', sizeof block);
	memcpy(block, "X: ", 3);
	memcpy(block + sizeof block - 2, "\r\n", 2);
	say(c, first, strlen(first));
	while (BIO_write(c->bio, block, sizeof block) > 0)
		;
}

/* False: the connection is over. */
static bool answer(struct connection *c, const char *path)
{
	char text[512];
	int n;

	if (str_eq(path, "/echo")) {
		n = snprintf(text, sizeof text,
		    "HTTP/1.1 200 OK\r\nX-Connection: %d\r\n"
		    "Content-Length: %zu\r\n\r\n",
		    c->number, c->len);
		say(c, text, (size_t)n);
		say(c, c->in, c->len);
		return true;
	}
	if (str_eq(path, "/endless")) {
		say_forever(c, "HTTP/1.1 200 OK\r\n\r\n");
		return false;
	}
	if (str_eq(path, "/endless-header")) {
		say_forever(c, "HTTP/1.1 200 OK\r\n");
		return false;
	}
	if (str_eq(path, "/silence"))
		pause();
	for (size_t i = 0; i < COUNT(pages); i++) {
		if (!str_eq(pages[i].path, path))
			continue;
		n = snprintf(text, sizeof text, "%s", pages[i].answer);
		if (strchr(text, '%')) {
			const char *at = strstr(text, "%2$d");
			int port = at ? ports[1] : ports[0];

			if (!at)
				at = strstr(text, "%d");
			n = (int)(at - text);
			n += snprintf(text + n, sizeof text - (size_t)n, "%d%s",
			    port, pages[i].answer + n + (at[1] == '2' ? 4 : 2));
		}
		say(c, text, (size_t)n);
		return *text == 'H';
	}
	return false;
}

/* ---- connections ---- */

/* A whole request in `in`, of `len` bytes; false: there is no more. */
static bool read_request(struct connection *c)
{
	const char *end, *length;
	size_t want = 0;
	int n;

	c->len = 0;
	for (;;) {
		n = BIO_read(
		    c->bio, c->in + c->len, (int)(sizeof c->in - 1 - c->len));
		if (n <= 0)
			return false;
		c->len += (size_t)n;
		c->in[c->len] = '\0';
		end = strstr(c->in, "\r\n\r\n");
		if (!end)
			continue;
		length = strcasestr(c->in, "\r\nContent-Length: ");
		if (length && length < end)
			want = strtoul(length + 18, NULL, 10);
		if (c->len >= (size_t)(end + 4 - c->in) + want)
			return true;
	}
}

static void *serve(void *p)
{
	struct connection *c = p;
	char path[256];

	c->bio = BIO_new_socket(c->fd, BIO_CLOSE);
	if (c->tls) {
		BIO *tls = BIO_new_ssl(c->tls, 0);

		c->bio = BIO_push(tls, c->bio);
	}
	while (read_request(c) && sscanf(c->in, "%*s %255s", path) == 1 &&
	       answer(c, path))
		;
	BIO_free_all(c->bio);
	free(c);
	return NULL;
}

static void *listen_for(void *p)
{
	const struct listener *l = p;
	static int number;
	pthread_t thread;

	for (;;) {
		int fd = accept(l->fd, NULL, NULL);
		struct connection *c;

		if (fd < 0)
			continue;
		c = calloc(1, sizeof *c);
		ck_assert_ptr_nonnull(c);
		c->fd = fd;
		c->tls = l->tls;
		c->number = __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED);
		pthread_create(&thread, NULL, serve, c);
		pthread_detach(thread);
	}
	return NULL;
}

/* On all addresses of loopback, so that 127.0.0.2 is another host. */
static int start(struct listener *l)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof address;
	pthread_t thread;

	address.sin_addr.s_addr = htonl(INADDR_ANY);
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(l->fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(l->fd, 16), 0);
	ck_assert_int_eq(
	    getsockname(l->fd, (struct sockaddr *)&address, &size), 0);
	pthread_create(&thread, NULL, listen_for, l);
	pthread_detach(thread);
	return ntohs(address.sin_port);
}

static SSL_CTX *make_tls(const char *file)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *alt = X509V3_EXT_conf_nid(
	    NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	FILE *out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -86400L);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400L);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"the test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_add_ext(cert, alt, -1);
	X509_EXTENSION_free(alt);
	ck_assert_int_ne(X509_sign(cert, key, EVP_sha256()), 0);
	PEM_write_X509(out, cert);
	fclose(out);
	ck_assert_int_eq(SSL_CTX_use_certificate(tls, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(tls, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return tls;
}

void http_server_start(struct http_server *server, const char *file)
{
	static struct listener clear, tls;

	(void)signal(SIGPIPE, SIG_IGN);
	/* The threads are in it when the process ends. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	tls.tls = make_tls(file);
	ports[0] = server->port = start(&clear);
	ports[1] = server->tls_port = start(&tls);
}

/*
 * tls_profile.c - what a policy sets for a handshake
 *
 * Everything is parsed and tried once, when the profile is made, so that a
 * mistake has the name of its key and not that of a host.
 */
#include "net/tls_profile.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"

struct tls_profile {
	int refs;
	X509 *cert; /* NULL: none */
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	X509_STORE *store; /* NULL: the client's */
	char *cipher_list, *cipher_suites;
	uint64_t options;
};

/* As the rows of openssl_options name them; policy/egress_path.c has the same
 * names, and a test holds the two together. */
static const struct {
	const char *name;
	uint64_t bit;
} options[] = {
    {"ALL", SSL_OP_ALL},
    {"ALLOW_NO_DHE_KEX", SSL_OP_ALLOW_NO_DHE_KEX},
    {"ALLOW_UNSAFE_LEGACY_RENEGOTIATION",
	SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION},
    {"CIPHER_SERVER_PREFERENCE", SSL_OP_CIPHER_SERVER_PREFERENCE},
    {"COOKIE_EXCHANGE", SSL_OP_COOKIE_EXCHANGE},
    {"CRYPTOPRO_TLSEXT_BUG", SSL_OP_CRYPTOPRO_TLSEXT_BUG},
    {"DONT_INSERT_EMPTY_FRAGMENTS", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS},
    {"ENABLE_MIDDLEBOX_COMPAT", SSL_OP_ENABLE_MIDDLEBOX_COMPAT},
    {"LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT},
    {"NO_COMPRESSION", SSL_OP_NO_COMPRESSION},
    {"NO_ENCRYPT_THEN_MAC", SSL_OP_NO_ENCRYPT_THEN_MAC},
    {"NO_QUERY_MTU", SSL_OP_NO_QUERY_MTU},
    {"NO_RENEGOTIATION", SSL_OP_NO_RENEGOTIATION},
    {"NO_SESSION_RESUMPTION_ON_RENEGOTIATION",
	SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION},
    {"NO_SSLV2", SSL_OP_NO_SSLv2},
    {"NO_SSLV3", SSL_OP_NO_SSLv3},
    {"NO_SSL_MASK", SSL_OP_NO_SSL_MASK},
    {"NO_TICKET", SSL_OP_NO_TICKET},
    {"NO_TLSV1", SSL_OP_NO_TLSv1},
    {"NO_TLSV1_1", SSL_OP_NO_TLSv1_1},
    {"NO_TLSV1_2", SSL_OP_NO_TLSv1_2},
    {"NO_TLSV1_3", SSL_OP_NO_TLSv1_3},
    {"PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA},
    {"SAFARI_ECDHE_ECDSA_BUG", SSL_OP_SAFARI_ECDHE_ECDSA_BUG},
    {"SINGLE_DH_USE", SSL_OP_SINGLE_DH_USE},
    {"SINGLE_ECDH_USE", SSL_OP_SINGLE_ECDH_USE},
    {"TLSEXT_PADDING", SSL_OP_TLSEXT_PADDING},
    {"TLS_ROLLBACK_BUG", SSL_OP_TLS_ROLLBACK_BUG},
};

bool tls_openssl_failed(struct err *err, const char *what)
{
	char text[160];
	unsigned long code = ERR_get_error();

	ERR_error_string_n(code, text, sizeof text);
	ERR_clear_error();
	return err_set(
	    err, ERR_CONFIG, "%s: %s", what, code ? text : "cannot be used");
}

static bool read_options(uint64_t *out, const char *text, struct err *err)
{
	while (text && *text) {
		size_t len = strcspn(text, "|"), i = 0;

		while (i < COUNT(options) &&
		       (strlen(options[i].name) != len ||
			   memcmp(options[i].name, text, len) != 0))
			i++;
		if (i == COUNT(options))
			return err_set(err, ERR_CONFIG,
			    "openssl_options: \"%.*s\" is no option",
			    (int)(len < 60 ? len : 60), text);
		*out |= options[i].bit;
		text += len;
		text += *text == '|';
	}
	return true;
}

static BIO *pem_bio(const struct tls_pem *pem)
{
	BIO *bio = pem->len < INT32_MAX
		       ? BIO_new_mem_buf(pem->data, (int)pem->len)
		       : NULL;

	if (!bio)
		diag_panic("no memory for a certificate");
	return bio;
}

/* A key that is encrypted must not ask on the daemon's terminal. */
static int no_password(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

static bool read_certificate(
    struct tls_profile *p, const struct tls_pem *pem, struct err *err)
{
	BIO *bio = pem_bio(pem);
	X509 *more;

	p->cert = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
	p->chain = sk_X509_new_null();
	while (p->cert &&
	       (more = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
		(void)sk_X509_push(p->chain, more);
	BIO_free(bio);
	if (!p->cert)
		return tls_openssl_failed(err, "tls_certificate");
	ERR_clear_error(); /* the end of the file is no error */
	return true;
}

static bool read_key(
    struct tls_profile *p, const struct tls_pem *pem, struct err *err)
{
	BIO *bio = pem_bio(pem);

	p->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	if (!p->key)
		return tls_openssl_failed(err, "tls_private_key");
	if (X509_check_private_key(p->cert, p->key) != 1)
		return tls_openssl_failed(
		    err, "tls_private_key: does not belong to tls_certificate");
	return true;
}

static bool read_authorities(
    struct tls_profile *p, const struct tls_pem *pem, struct err *err)
{
	BIO *bio = pem_bio(pem);
	size_t count = 0;
	X509 *cert;

	p->store = X509_STORE_new();
	while (
	    (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
		if (X509_STORE_add_cert(p->store, cert) == 1)
			count++;
		X509_free(cert);
	}
	BIO_free(bio);
	if (!count)
		return tls_openssl_failed(err, "tls_ca_certificates");
	ERR_clear_error();
	return true;
}

bool tls_profile_apply(const struct tls_profile *p, SSL *ssl)
{
	if (p->cipher_list && SSL_set_cipher_list(ssl, p->cipher_list) != 1)
		return false;
	if (p->cipher_suites &&
	    SSL_set_ciphersuites(ssl, p->cipher_suites) != 1)
		return false;
	(void)SSL_set_options(ssl, p->options);
	if (p->store && SSL_set1_verify_cert_store(ssl, p->store) != 1)
		return false;
	return !p->cert ||
	       SSL_use_cert_and_key(ssl, p->cert, p->key, p->chain, 1) == 1;
}

/* Ciphers, for which only OpenSSL knows whether they are any. */
static bool try_out(const struct tls_profile *p, struct err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;
	bool ok = true;

	if (!ssl)
		diag_panic("no memory for a TLS context");
	if (p->cipher_list && SSL_set_cipher_list(ssl, p->cipher_list) != 1)
		ok = tls_openssl_failed(err, "openssl_cipher_list");
	else if (p->cipher_suites &&
		 SSL_set_ciphersuites(ssl, p->cipher_suites) != 1)
		ok = tls_openssl_failed(err, "openssl_cipher_suites");
	else if (!tls_profile_apply(p, ssl))
		ok = tls_openssl_failed(err, "tls_certificate");
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return ok;
}

struct tls_profile *tls_profile_new(
    const struct tls_profile_options *o, struct err *err)
{
	struct tls_profile *p = xcalloc(1, sizeof *p);

	p->refs = 1;
	p->cipher_list = o->cipher_list ? xstrdup(o->cipher_list) : NULL;
	p->cipher_suites = o->cipher_suites ? xstrdup(o->cipher_suites) : NULL;
	ERR_clear_error();
	if (read_options(&p->options, o->options, err) &&
	    (!o->certificate.len ||
		(read_certificate(p, &o->certificate, err) &&
		    read_key(p, &o->private_key, err))) &&
	    (!o->authorities.len ||
		read_authorities(p, &o->authorities, err)) &&
	    try_out(p, err))
		return p;
	tls_profile_unref(p);
	return NULL;
}

struct tls_profile *tls_profile_ref(struct tls_profile *p)
{
	p->refs++;
	return p;
}

void tls_profile_unref(struct tls_profile *p)
{
	if (!p || --p->refs > 0)
		return;
	X509_free(p->cert);
	sk_X509_pop_free(p->chain, X509_free);
	EVP_PKEY_free(p->key);
	X509_STORE_free(p->store);
	free(p->cipher_list);
	free(p->cipher_suites);
	free(p);
}

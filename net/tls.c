/*
 * tls.c - OpenSSL for outbound connections
 *
 * Two contexts: one verifies the chain and fails the handshake when it does not
 * hold; the other takes what it gets, old protocols included, because it is
 * only used where the alternative is clear text.  What a path sets besides
 * (net/tls_profile.c) is put on each connection.
 *
 * With TLSA records the first one verifies by them alone (RFC 7672, 3.1): the
 * names and the dates of a DANE-EE certificate do not matter, a DANE-TA needs
 * the name of the host or of the next hop.
 */
#include "net/tls.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/diag.h"
#include "base/ip.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/tls_profile.h"
#include "net/tlsa.h"

struct tls_client {
	SSL_CTX *verified, *any;
	bool has_authorities;
};

static SSL_CTX *context_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		diag_panic("no memory for a TLS context");
	/* A peer that closes without close_notify is common, and SMTP knows by
	 * itself whether it was told everything. */
	SSL_CTX_set_options(
	    ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
				  SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_max_cert_list(ctx, (long)TLS_CHAIN_MOST);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

/* Both contexts look into one store: hundreds of certificates take megabytes
 * and a tenth of a second. */
static bool load_authorities(
    struct tls_client *client, const char *ca_file, struct err *err)
{
	client->has_authorities = true;
	if (ca_file ? SSL_CTX_load_verify_file(client->verified, ca_file)
		    : SSL_CTX_set_default_verify_paths(client->verified)) {
		SSL_CTX_set1_cert_store(
		    client->any, SSL_CTX_get_cert_store(client->verified));
		return true;
	}
	tls_openssl_failed(
	    err, ca_file ? ca_file : "the system's certificate authorities");
	return false;
}

struct tls_client *tls_client_new(const char *ca_file, struct err *err)
{
	struct tls_client *client = xcalloc(1, sizeof *client);

	client->verified = context_new();
	client->any = context_new();
	SSL_CTX_set_verify(client->verified, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_min_proto_version(client->verified, TLS1_2_VERSION);
	if (SSL_CTX_dane_enable(client->verified) != 1)
		diag_panic("no memory for a TLS context");
	SSL_CTX_set_verify(client->any, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_min_proto_version(client->any, 0);
	SSL_CTX_set_security_level(client->any, 0);
	/* A file that was named may be wrong, which is said now.  The system's
	 * wait for the first handshake. */
	if (ca_file && !load_authorities(client, ca_file, err)) {
		tls_client_free(client);
		return NULL;
	}
	return client;
}

void tls_client_free(struct tls_client *client)
{
	if (!client)
		return;
	SSL_CTX_free(client->verified);
	SSL_CTX_free(client->any);
	free(client);
}

/* Subject alternative names of the sort that the name is. */
static bool demand_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	struct ip_addr ip;

	if (ip_parse(name, &ip))
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
	X509_VERIFY_PARAM_set_hostflags(
	    param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

/* Records that OpenSSL cannot use either are left out; none left is an error,
 * because then nothing would be verified. */
static bool demand_records(SSL *ssl, const struct tls_request *request)
{
	const struct tlsa_set *set = request->tlsa;
	size_t added = 0;

	if (SSL_dane_enable(ssl, set->base) != 1)
		return false;
	(void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	if (request->next_hop && SSL_add1_host(ssl, request->next_hop) != 1)
		return false;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < set->count; i++) {
		const struct tlsa_record *r = &set->records[i];

		if (SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching,
			r->data, r->len) == 1)
			added++;
	}
	return added > 0;
}

static bool prepare(SSL *ssl, const struct tls_request *request)
{
	if (request->profile && !tls_profile_apply(request->profile, ssl))
		return false;
	if (request->tlsa) {
		if (!demand_records(ssl, request))
			return false;
	} else if (request->verify_name &&
		   !demand_name(ssl, request->verify_name)) {
		return false;
	}
	return !request->sni ||
	       SSL_set_tlsext_host_name(ssl, request->sni) == 1;
}

struct bufferevent *tls_client_start(struct tls_client *client,
    struct event_base *base, int fd, const struct tls_request *request,
    struct err *err)
{
	bool verify =
	    (request->verify_name && !request->report_only) || request->tlsa;
	struct bufferevent *bev;
	SSL *ssl;

	ERR_clear_error();
	if (!client->has_authorities && !load_authorities(client, NULL, err)) {
		client->has_authorities = false;
		return NULL;
	}
	ssl = SSL_new(verify ? client->verified : client->any);
	if (!ssl) {
		tls_openssl_failed(err, "TLS");
		return NULL;
	}
	if (!prepare(ssl, request)) {
		tls_openssl_failed(err, "TLS");
		SSL_free(ssl);
		return NULL;
	}
	bev = bufferevent_openssl_socket_new(
	    base, fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (!bev) {
		err_set(err, ERR_TEMP, "TLS: cannot make a bufferevent");
		return NULL;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

void tls_facts_of(struct bufferevent *bev, struct tls_facts *out)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	X509 *peer = SSL_get1_peer_certificate(ssl);
	long verdict = SSL_get_verify_result(ssl);

	*out = (struct tls_facts){0};
	(void)str_copy(out->cipher, sizeof out->cipher, SSL_get_cipher(ssl));
	(void)str_copy(out->version, sizeof out->version, SSL_get_version(ssl));
	if (peer) {
		BIO *bio = BIO_new(BIO_s_mem());
		const char *text;
		long len;

		if (bio &&
		    X509_NAME_print_ex(bio, X509_get_subject_name(peer), 0,
			XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
			len = BIO_get_mem_data(bio, &text);
			(void)snprintf(out->subject, sizeof out->subject,
			    "%.*s", (int)len, text);
		}
		BIO_free(bio);
		X509_free(peer);
	}
	out->verified = peer && verdict == X509_V_OK;
	out->result = peer ? tls_result_of_verdict(verdict)
			   : TLS_RESULT_VALIDATION_FAILURE;
	if (!out->verified)
		(void)str_copy(out->why, sizeof out->why,
		    peer ? X509_verify_cert_error_string(verdict)
			 : "no certificate");
}

enum tls_result tls_error_of(struct bufferevent *bev, char *out, size_t size)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	unsigned long code, last = 0;
	long verdict = SSL_get_verify_result(ssl);
	bool unverified = verdict != X509_V_OK &&
			  (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER);
	const char *reason;

	/* libevent hands on what it found, which may be no code of OpenSSL's;
	 * that one is still queued then. */
	while ((code = bufferevent_get_openssl_error(bev)) != 0)
		if (ERR_reason_error_string(code))
			last = code;
	if (!last)
		last = ERR_peek_error();
	reason = last ? ERR_reason_error_string(last) : NULL;
	if (unverified)
		(void)snprintf(out, size, "certificate verify failed: %s",
		    X509_verify_cert_error_string(verdict));
	else if (reason)
		(void)str_copy(out, size, reason);
	else if (errno && errno != EAGAIN)
		(void)str_copy(out, size, strerror(errno));
	else
		(void)str_copy(out, size, "the peer closed the connection");
	ERR_clear_error();
	return unverified ? tls_result_of_verdict(verdict)
			  : TLS_RESULT_VALIDATION_FAILURE;
}

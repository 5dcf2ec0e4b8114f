/*
 * sys_tls.c - the sink's side of STARTTLS
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "tests/harness/sys.h"

#define SESSION "harness.tls"

struct session {
	SSL *ssl;
};

static X509_NAME *name_of(X509 *cert, const char *cn)
{
	X509_NAME *name = X509_get_subject_name(cert);

	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	return name;
}

static void extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	if (ext) {
		X509_add_ext(cert, ext, -1);
		X509_EXTENSION_free(ext);
	}
}

/* make_cert(name, alt, cert file, key file [, ca cert, ca key]): alt as OpenSSL
 * writes it ("DNS:mx.test,IP:127.0.0.1"); without a CA it signs itself and may
 * sign others. */
static int l_make_cert(lua_State *L)
{
	const char *cn = luaL_checkstring(L, 1), *alt = luaL_checkstring(L, 2);
	EVP_PKEY *key = EVP_EC_gen("P-256"), *ca_key = key;
	X509 *cert = X509_new(), *ca = cert;
	FILE *f;

	if (lua_isstring(L, 5)) {
		f = fopen(lua_tostring(L, 5), "r");
		if (!f)
			return luaL_error(L, "%s", lua_tostring(L, 5));
		ca = PEM_read_X509(f, NULL, NULL, NULL);
		(void)fclose(f);
		f = fopen(lua_tostring(L, 6), "r");
		if (!f)
			return luaL_error(L, "%s", lua_tostring(L, 6));
		ca_key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
		(void)fclose(f);
	}
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), random());
	X509_gmtime_adj(X509_getm_notBefore(cert), -86400L);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * 365);
	X509_set_pubkey(cert, key);
	name_of(cert, cn);
	X509_set_issuer_name(cert, X509_get_subject_name(ca));
	extend(cert, NID_subject_alt_name, alt);
	extend(
	    cert, NID_basic_constraints, ca == cert ? "CA:TRUE" : "CA:FALSE");
	X509_sign(cert, ca_key, EVP_sha256());
	f = fopen(luaL_checkstring(L, 3), "w");
	if (!f)
		return luaL_error(L, "%s", lua_tostring(L, 3));
	PEM_write_X509(f, cert);
	(void)fclose(f);
	f = fopen(luaL_checkstring(L, 4), "w");
	if (!f)
		return luaL_error(L, "%s", lua_tostring(L, 4));
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	(void)fclose(f);
	if (ca != cert) {
		X509_free(ca);
		EVP_PKEY_free(ca_key);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return 0;
}

/* tls_accept(fd, cert file, key file [, file of authorities]) -> session; with
 * the last the client has to show a certificate that one of them signed. */
static int l_accept(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct session *s = lua_newuserdatauv(L, sizeof *s, 0);

	s->ssl = NULL;
	luaL_setmetatable(L, SESSION);
	if (SSL_CTX_use_certificate_chain_file(ctx, luaL_checkstring(L, 2)) !=
		1 ||
	    SSL_CTX_use_PrivateKey_file(
		ctx, luaL_checkstring(L, 3), SSL_FILETYPE_PEM) != 1) {
		SSL_CTX_free(ctx);
		return luaL_error(L, "certificate or key: %s",
		    ERR_error_string(ERR_get_error(), NULL));
	}
	if (!lua_isnoneornil(L, 4)) {
		SSL_CTX_set_verify(ctx,
		    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		if (SSL_CTX_load_verify_file(ctx, luaL_checkstring(L, 4)) !=
		    1) {
			SSL_CTX_free(ctx);
			return luaL_error(L, "%s", lua_tostring(L, 4));
		}
	}
	s->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(s->ssl, fd);
	SSL_set_accept_state(s->ssl);
	return 1;
}

/* Results: bytes or true; "" or false when it is over; nil and "read" or
 * "write" when it must wait. */
static int again(lua_State *L, struct session *s, int rc)
{
	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		lua_pushnil(L);
		lua_pushstring(L, "read");
		return 2;
	case SSL_ERROR_WANT_WRITE:
		lua_pushnil(L);
		lua_pushstring(L, "write");
		return 2;
	default:
		ERR_clear_error();
		lua_pushboolean(L, 0);
		return 1;
	}
}

static int l_handshake(lua_State *L)
{
	struct session *s = luaL_checkudata(L, 1, SESSION);
	int rc = SSL_do_handshake(s->ssl);

	if (rc != 1)
		return again(L, s, rc);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_read(lua_State *L)
{
	struct session *s = luaL_checkudata(L, 1, SESSION);
	char data[16384];
	int rc = SSL_read(s->ssl, data, sizeof data);

	if (rc <= 0)
		return again(L, s, rc);
	lua_pushlstring(L, data, (size_t)rc);
	return 1;
}

static int l_write(lua_State *L)
{
	struct session *s = luaL_checkudata(L, 1, SESSION);
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);
	int rc = len ? SSL_write(s->ssl, data, (int)len) : 1;

	if (rc <= 0)
		return again(L, s, rc);
	lua_pushboolean(L, 1);
	return 1;
}

/* Says goodbye in TLS, and leaves TCP open. */
static int l_close_notify(lua_State *L)
{
	struct session *s = luaL_checkudata(L, 1, SESSION);

	lua_pushboolean(L, SSL_shutdown(s->ssl) >= 0);
	return 1;
}

/* {sni =, version =, cipher =, peer = subject of the client's certificate} */
static int l_facts(lua_State *L)
{
	struct session *s = luaL_checkudata(L, 1, SESSION);
	X509 *peer = SSL_get1_peer_certificate(s->ssl);
	char subject[256];

	lua_newtable(L);
	lua_pushstring(
	    L, SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name));
	lua_setfield(L, -2, "sni");
	lua_pushstring(L, SSL_get_version(s->ssl));
	lua_setfield(L, -2, "version");
	lua_pushstring(L, SSL_get_cipher(s->ssl));
	lua_setfield(L, -2, "cipher");
	if (peer) {
		X509_NAME_oneline(
		    X509_get_subject_name(peer), subject, sizeof subject);
		lua_pushstring(L, subject);
		lua_setfield(L, -2, "peer");
		X509_free(peer);
	}
	return 1;
}

static int l_gc(lua_State *L)
{
	struct session *s = luaL_checkudata(L, 1, SESSION);

	SSL_free(s->ssl);
	s->ssl = NULL;
	return 0;
}

static const luaL_Reg methods[] = {{"handshake", l_handshake}, {"read", l_read},
    {"write", l_write}, {"facts", l_facts}, {"close_notify", l_close_notify},
    {"__gc", l_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"make_cert", l_make_cert}, {"tls_accept", l_accept}, {NULL, NULL}};

int luaopen_sys_tls(lua_State *L)
{
	luaL_newmetatable(L, SESSION);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_getglobal(L, "sys");
	luaL_setfuncs(L, functions, 0);
	return 1;
}

/*
 * tlsa.c - which certificates the DNS vouches for
 *
 *	record = usage selector matching data	; RFC 6698, 2.1
 *
 * What PKIX would have to agree with (usages 0 and 1) says nothing for SMTP.
 */
#include "net/tlsa.h"

#include <openssl/x509.h>

/* A certificate or a public key in full, and nothing behind it. */
static bool is_whole(const struct tlsa_record *r)
{
	const unsigned char *p = r->data;
	bool ok;

	if (r->selector == 0) {
		X509 *cert = d2i_X509(NULL, &p, (long)r->len);

		ok = cert != NULL;
		X509_free(cert);
	} else {
		EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)r->len);

		ok = key != NULL;
		EVP_PKEY_free(key);
	}
	return ok && p == r->data + r->len;
}

bool tlsa_parse(const void *data, size_t len, struct tlsa_record *out)
{
	const unsigned char *p = data;

	if (len < 4 || len > 65535)
		return false;
	*out = (struct tlsa_record){.usage = p[0],
	    .selector = p[1],
	    .matching = p[2],
	    .data = p + 3,
	    .len = len - 3};
	if ((out->usage != TLSA_DANE_TA && out->usage != TLSA_DANE_EE) ||
	    out->selector > 1)
		return false;
	switch (out->matching) {
	case 0:
		return is_whole(out);
	case 1:
		return out->len == 32;
	case 2:
		return out->len == 64;
	default:
		return false;
	}
}

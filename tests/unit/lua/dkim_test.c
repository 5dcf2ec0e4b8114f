/*
 * dkim_test.c - kumo.dkim and message:dkim_sign
 *
 * Whether others accept the signatures is for tests/interop/dkim.lua.
 */
#include <openssl/pem.h>

#include "base/clock.h"
#include "lua_test.h"

/* Runs after: local RSA, SHORT, ED, SECRET = paths of keys, m = a message,
 * P(more) = parameters with these, tag(signer, name) = of the signature. */
static const struct eval_case cases[] = {
    {"a signature comes in front of everything",
	"m:dkim_sign(kumo.dkim.rsa_sha256_signer(P{})) "
	"return m:get_data():match '^(DKIM.Signature: v=1; a=rsa.sha256; "
	"d=example.com;)'",
	"\"DKIM-Signature: v=1; a=rsa-sha256; d=example.com;\""},
    {"2048 bits are 344 characters",
	"return #tag(kumo.dkim.rsa_sha256_signer(P{}), 'b')", "344"},
    {"Ed25519",
	"local s = kumo.dkim.ed25519_signer(P{key=ED}) "
	"return {tag(s, 'a'), #tag(s, 'b')}",
	"[\"ed25519-sha256\",88]"},
    {"a key as text",
	"local f = io.open(RSA) local text = f:read 'a' "
	"return #tag(kumo.dkim.rsa_sha256_signer(P{key={key_data=text}}), 'b')",
	"344"},
    {"a key by event",
	"return #tag(kumo.dkim.rsa_sha256_signer(P{key={event_name='the.key', "
	"event_args={'example.com'}}}), 'b')",
	"344"},
    {"an event is asked once in the ttl",
	"for i = 1, 3 do kumo.dkim.rsa_sha256_signer(P{key={"
	"event_name='the.key', event_args={}}}) end return ASKED",
	"1"},
    {"and again after it",
	"for i = 1, 3 do kumo.dkim.rsa_sha256_signer(P{ttl=0.01, key={"
	"event_name='the.key', event_args={}}}) kumo.sleep(0.02) end "
	"return ASKED",
	"3"},
    {"all options",
	"local s = kumo.dkim.rsa_sha256_signer(P{over_sign=true, "
	"body_length=true, reporting=true, expiration=60, atps='x.test', "
	"atpsh='sha256', agent_user_identifier='a@example.com', "
	"header_canonicalization='Simple', body_canonicalization='Simple'}) "
	"return {tag(s, 'c'), tag(s, 'h'), tag(s, 'l'), tag(s, 'r'), "
	"math.abs(tag(s, 'x') - tag(s, 't') - 60) < 30, tag(s, 'atps'), tag(s, "
	"'atpsh'), "
	"tag(s, 'i')}",
	"[\"simple/simple\",\"From:From:Subject:Subject\",\"6\",\"y\",true,"
	"\"x.test\",\"sha256\",\"a@example.com\"]"},
    {"a signer can be kept for several messages",
	"local s = kumo.dkim.rsa_sha256_signer(P{}) return tag(s, 'b') == "
	"tag(s, 'b')",
	"true"},

    {"a key that is missing", "kumo.dkim.rsa_sha256_signer(P{key='/no/key'})",
	"/no/key"},
    {"no key at all",
	"kumo.dkim.rsa_sha256_signer{domain='d', selector='s', "
	"headers={'From'}}",
	"key: required key is missing"},
    {"a key that is none", "kumo.dkim.rsa_sha256_signer(P{key={key_data='x'}})",
	"key: not a private key in PEM or DER, or an encrypted one"},
    {"a key with a password", "kumo.dkim.rsa_sha256_signer(P{key=SECRET})",
	"key: not a private key in PEM or DER, or an encrypted one"},
    {"a key that is too short", "kumo.dkim.rsa_sha256_signer(P{key=SHORT})",
	"key: a key of 512 bits is too short: 1024 at least"},
    {"a key of the other kind", "kumo.dkim.rsa_sha256_signer(P{key=ED})",
	"key: not a private key of RSA"},
    {"and the other way", "kumo.dkim.ed25519_signer(P{key=RSA})",
	"key: not a private key of Ed25519"},
    {"an event that nobody handles",
	"kumo.dkim.rsa_sha256_signer(P{key={event_name='x', event_args={}}})",
	"nobody handles the event x"},
    {"vault, later",
	"kumo.dkim.rsa_sha256_signer(P{key={vault_mount='m', "
	"vault_path='p'}})",
	"vault"},
    {"From must be signed", "kumo.dkim.rsa_sha256_signer(P{headers={'To'}})",
	"headers: invalid value: From must be signed"},
    {"a canonicalization that does not exist",
	"kumo.dkim.rsa_sha256_signer(P{body_canonicalization='relaxed'})",
	"body_canonicalization: "},
    {"a message without From",
	"kumo.make_message('', 'a@b.test', 'To: x\\r\\n\\r\\n'):dkim_sign("
	"kumo.dkim.rsa_sha256_signer(P{}))",
	"dkim_sign: the message has no From field"},
    {"not a signer", "m:dkim_sign{}", "penstock.dkim_signer expected"},
};

static const char *write_key(
    const char *name, EVP_PKEY *key, const char *password)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	FILE *out;

	snprintf(path, 128, "%s", write_file(name, ""));
	out = fopen(path, "w");
	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(PEM_write_PKCS8PrivateKey(out, key,
			     password ? EVP_aes_256_cbc() : NULL, password,
			     password ? (int)strlen(password) : 0, NULL, NULL),
	    1);
	fclose(out);
	EVP_PKEY_free(key);
	return path;
}

static char prologue[2048];

static void set_up(void)
{
	const char *rsa = write_key("rsa.pem", EVP_RSA_gen(2048), NULL);
	const char *less = write_key("short.pem", EVP_RSA_gen(512), NULL);
	const char *ed =
	    write_key("ed.pem", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	const char *secret =
	    write_key("secret.pem", EVP_RSA_gen(1024), "password");

	snprintf(prologue, sizeof prologue,
	    "local RSA, SHORT, ED, SECRET = '%s', '%s', '%s', '%s' "
	    "local function new() return kumo.make_message('a@example.com', "
	    "'b@example.org', 'From: a@example.com\\r\\nSubject: s\\r\\n\\r\\n"
	    "text\\r\\n') end "
	    "local m = new() "
	    "local function P(more) local t = {domain='example.com', "
	    "selector='s', headers={'From', 'Subject'}, key=RSA} "
	    "for k, v in pairs(more) do t[k] = v end return t end "
	    "local function tag(signer, name) local m = new() "
	    "m:dkim_sign(signer) "
	    "local v = ';' .. "
	    "m:get_data():match('^DKIM.Signature:(.-)\\r\\n%%a')"
	    ":gsub('%%s', '') .. ';' "
	    "return v:match(';' .. name .. '=([^;]*);') end "
	    "ASKED = 0 "
	    "kumo.on('the.key', function() ASKED = ASKED + 1 "
	    "return io.open(RSA):read 'a' end) ",
	    rsa, less, ed, secret);
}

/* policy-extras.dkim_sign.  Runs after: signed(config, from) = domains and
 * selectors of the signatures, the first one in front. */
static const struct eval_case modules[] = {
    {"by the domain of From",
	"return signed({base={selector='s'}, domain={['Example.com']="
	"{filename=RSA}}}, 'A <a@EXAMPLE.com>')",
	"\"example.com/s/rsa-sha256 \""},
    {"a domain without a block",
	"return signed({base={selector='s'}, domain={['example.com']="
	"{filename=RSA}}}, 'a@example.org')",
	"\"\""},
    {"by wildcard, with options of its own",
	"return signed({base={selector='s'}, domain={['*.example.com']="
	"{filename=ED, algo='ed25519', selector='t', over_sign=true}}}, "
	"'a@news.example.com')",
	"\"news.example.com/t/ed25519-sha256 \""},
    {"ours too",
	"return signed({base={selector='s', additional_signatures={'ours'}}, "
	"domain={['example.com']={filename=RSA}}, signature={ours={"
	"domain='mailer.example', filename=RSA}}}, 'a@example.com')",
	"\"mailer.example/s/rsa-sha256 example.com/s/rsa-sha256 \""},
    {"ours instead",
	"local c = {base={selector='s', additional_signatures={'ours'}}, "
	"domain={['example.com']={filename=RSA}}, signature={ours={"
	"domain='mailer.example', filename=RSA, "
	"policy='OnlyIfMissingDomainBlock'}}} "
	"return {signed(c, 'a@example.com'), signed(c, 'a@example.org')}",
	"[\"example.com/s/rsa-sha256 \",\"mailer.example/s/rsa-sha256 \"]"},
    {"keys of a directory",
	"signed({base={selector='s', key_dir='/no/keys'}, "
	"domain={['example.com']={}}}, 'a@example.com')",
	"/no/keys/example.com/s.key"},
    {"no selector",
	"signed({domain={['example.com']={filename=RSA}}}, 'a@example.com')",
	"\"example.com\": selector: required key is missing"},
    {"a signature that is not there",
	"signed({base={additional_signatures={'x'}}}, 'a@b.test')",
	"additional_signatures: invalid value \"x\": it is not defined"},
    {"a field that does not exist", "signed({base={selektor='s'}}, 'a@b.test')",
	"selektor"},
    {"no From", "return signed({}, nil)", "\"\""},
};

static const char signed_by[] =
    "local function signed(config, from) "
    "local m = kumo.make_message('', 'b@example.org', "
    "(from and 'From: ' .. from .. '\\r\\n' or '') .. "
    "'Subject: s\\r\\n\\r\\ntext\\r\\n') "
    "package.loaded['policy-extras.dkim_sign'] = nil "
    "SIGN[config](m) local out = '' "
    "for _, v in ipairs(m:get_all_named_header_values 'DKIM-Signature') do "
    "out = out .. v:match ' d=([^;]*)' .. '/' .. v:match ' s=([^;]*)' .. "
    "'/' .. v:match ' a=([^;]*)' .. ' ' end return out end ";

START_TEST(a_module_signs_as_its_files_say)
{
	struct eval_case c = modules[_i];
	struct buf text = BUF_INIT;

	/* setup registers an event, so it belongs to the policy. */
	buf_addf(&text,
	    "%s SIGN = setmetatable({}, {__index = function(_, config) "
	    "local on = kumo.on kumo.on = function() end "
	    "local sign = require('policy-extras.dkim_sign'):setup{config} "
	    "kumo.on = on return sign end}) %s",
	    prologue, signed_by);
	c.policy = buf_str(&text);
	check_eval(&c);
	buf_release(&text);
}
END_TEST

START_TEST(a_policy_signs)
{
	struct eval_case c = cases[_i];

	c.policy = prologue;
	check_eval(&c);
}
END_TEST

Suite *dkim_suite(void)
{
	Suite *suite = suite_create("dkim");
	TCase *tcase = tcase_create("dkim");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_add_loop_test(tcase, a_policy_signs, 0, COUNT(cases));
	tcase_add_loop_test(
	    tcase, a_module_signs_as_its_files_say, 0, COUNT(modules));
	suite_add_tcase(suite, tcase);
	return suite;
}

/*
 * digest_test.c - kumo.digest, encode, uuid, secrets
 */
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"sha256", "return tostring(kumo.digest.sha256('a', 'bc'))",
	"\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""},
    {"sha1", "return kumo.digest.sha1('abc').hex",
	"\"a9993e364706816aba3e25717850c26c9cd0d89d\""},
    {"sha3", "return kumo.digest.sha3_256('').hex",
	"\"a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a\""},
    {"crc32", "return kumo.digest.crc32('123456789').hex", "\"cbf43926\""},
    {"forms",
	"local d = kumo.digest.sha1 'abc' return {d.base64, #d.bytes, "
	"d.base64url_nopad}",
	"[\"qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\",20,\"qZk-"
	"NkcGgWq6PiVxeFDCbJzQ2J0\"]"},
    {"what is no text",
	"return kumo.digest.sha1({1,2}, 3) == kumo.digest.sha1('[1,2]3')",
	"true"},
    {"hmac",
	"return kumo.digest.hmac_sha256({key_data='key'}, 'The quick brown fox "
	"jumps over the lazy dog').hex",
	"\"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8\""},
    {"hmac without a key", "kumo.digest.hmac_sha1('/nonexistent.key', 'x')",
	"/nonexistent.key"},
    {"base64",
	"return {kumo.encode.base64_encode 'f', kumo.encode.base64_decode "
	"'Zm9v', kumo.encode.base64_nopad_encode 'f', "
	"kumo.encode.base64url_encode '\\xff\\xfe'}",
	"[\"Zg==\",\"foo\",\"Zg\",\"__4=\"]"},
    {"base32",
	"return {kumo.encode.base32_encode 'foob', kumo.encode.base32_decode "
	"'MZXW6YQ=', kumo.encode.base32hex_encode 'foob', "
	"kumo.encode.base32_nopad_decode 'MZXW6YQ'}",
	"[\"MZXW6YQ=\",\"foob\",\"CPNMUOG=\",\"foob\"]"},
    {"hex",
	"return {kumo.encode.hex_encode '\\0\\xff', kumo.encode.hex_decode "
	"'4A4b'}",
	"[\"00ff\",\"JK\"]"},
    {"all bytes, all forms",
	"local all = {} for i = 0, 255 do all[i + 1] = string.char(i) end all "
	"= table.concat(all) for name, f in pairs(kumo.encode) do local n = "
	"name:match '^(.*)_encode$' if n and n ~= 'charset' then for len = 0, "
	"9 do local s = "
	"all:sub(-len - 1) assert(kumo.encode[n .. '_decode'](f(s)) == s, n) "
	"end end end return 'same'",
	"\"same\""},
    {"bad base64", "kumo.encode.base64_decode 'Zm9'",
	"base64_decode: not base64"},
    {"bits left over", "kumo.encode.base64_decode 'Zh=='", "not base64"},
    {"padding only", "kumo.encode.base64_decode '===='", "not base64"},
    {"bad hex", "kumo.encode.hex_decode '4'", "not hex"},
    {"uuids",
	"local t = {} for i, v in ipairs{'1', '4', '6', '7'} do local u = "
	"kumo.uuid['new_v' .. v]() t[i] = u.hyphenated:match('^%x+%-%x+%-' .. "
	"v .. '%x+%-[89ab]%x+%-%x+$') ~= nil and kumo.uuid.parse(tostring(u)) "
	"== u and #u.bytes == 16 end return t",
	"[true,true,true,true]"},
    {"uuid forms",
	"local u = kumo.uuid.parse '{67E55044-10B1-426F-9247-BB680E5FE0C8}' "
	"return {u.simple, u.urn, u.braced, kumo.uuid.parse(u.urn) == u, "
	"kumo.uuid.parse(u.simple) == u, kumo.uuid.parse(u.bytes) == u}",
	"[\"67e5504410b1426f9247bb680e5fe0c8\",\"urn:uuid:67e55044-10b1-426f-"
	"9247-bb680e5fe0c8\",\"{67e55044-10b1-426f-9247-bb680e5fe0c8}\",true,"
	"true,true]"},
    {"no uuid", "kumo.uuid.parse '67e55044-10b1-426f-9247-bb680e5fe0cg'",
	"not a UUID"},
    {"v7 sorts",
	"local a = kumo.uuid.new_v7() return a.simple:sub(1, 8) == "
	"kumo.uuid.new_v7().simple:sub(1, 8)",
	"true"},
    {"a secret", "return kumo.secrets.load{key_data='k'}", "\"k\""},
    {"a secret from an event",
	"return kumo.secrets.load{event_name='nobody', event_args={}}",
	"nobody handles the event nobody"},
    {"no secret", "kumo.secrets.load{}", "expected a path"},
};

EVAL_SUITE(digest, bytes_become_text_and_back)

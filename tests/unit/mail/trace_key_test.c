/* trace_key_test.c - mail/trace_key.h, and the headers that it signs */
#include "tests/unit/mail/mail_test.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "mail/trace_header.h"

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ID "0123456789abcdef0123456789abcdef"

static struct trace_keys *keys;

static void use(const char *text)
{
	struct err err = {0};

	trace_keys_use(NULL);
	trace_keys_free(keys);
	keys = trace_keys_parse(text, strlen(text), &err);
	ck_assert_msg(keys != NULL, "%s", err.text);
	trace_keys_use(keys);
}

static void setup(void)
{
	use(KEY_A "\n");
}

static void teardown(void)
{
	trace_keys_use(NULL);
	trace_keys_free(keys);
	keys = NULL;
}

static struct message *message_for(int recipients)
{
	static const char *const texts[] = {"Bob@y.example", "eve@y.example"};
	struct message *m = message_new();

	memcpy(m->id, ID, sizeof ID);
	meta_set_string(m->meta, "tenant", "t1");
	for (int i = 0; i < recipients; i++) {
		struct envelope_recipient *r = ARRAY_ADD(&m->recipients);

		*r = (struct envelope_recipient){0};
		ck_assert(address_parse(
		    texts[i], strlen(texts[i]), m->arena, &r->address, NULL));
	}
	return m;
}

static struct trace_claim claim_in(const char *header, struct arena *arena)
{
	struct trace_claim claim = {0};

	ck_assert(trace_find_claim(header, strlen(header), arena, &claim));
	return claim;
}

/* The header with `from` changed to `to` in its JSON; the caller frees. */
static char *changed(const struct message *m, const char *from, const char *to)
{
	struct buf json = BUF_INIT, out = BUF_INIT;
	const char *value = strchr(buf_str(&m->prefix), ':') + 1;
	const char *at;

	ck_assert(base64_decode(&json, value, strlen(value)));
	at = strstr(buf_str(&json), from);
	ck_assert_msg(at != NULL, "%s in %s", from, buf_str(&json));
	{
		struct buf other = BUF_INIT;

		buf_add(&other, json.data, (size_t)(at - json.data));
		buf_addstr(&other, to);
		buf_addstr(&other, at + strlen(from));
		buf_addstr(&out, "X-KumoRef: ");
		base64_encode(&out, other.data, other.len);
		buf_addstr(&out, "\r\n");
		buf_release(&other);
	}
	buf_release(&json);
	at = strdup(buf_str(&out));
	buf_release(&out);
	return (char *)at;
}

static const struct {
	int recipients;
	bool all;
	size_t signs;
} batches[] = {{1, false, 1}, {2, false, 0}, {2, true, 2}};

START_TEST(a_header_vouches_for_message_queue_time_and_named_recipients)
{
	struct message *m = message_for(batches[_i].recipients);
	struct trace_claim claim;

	trace_prepend_supplemental(m, "X-KumoRef", NULL, 0, batches[_i].all);
	claim = claim_in(buf_str(&m->prefix), m->arena);
	ck_assert(claim.verified);
	ck_assert_str_eq(claim.says.id, ID);
	ck_assert_str_eq(claim.says.queue, "t1@y.example");
	ck_assert_int_le(llabs(claim.says.at - clock_unix()), 60);
	ck_assert_uint_eq(claim.says.count, batches[_i].signs);
	if (claim.says.count > 0)
		ck_assert_str_eq(claim.says.recipients[0], "Bob@y.example");
	message_unref(m);
}
END_TEST

START_TEST(consumers_read_what_they_always_read)
{
	struct message *m = message_for(1);
	struct buf out = BUF_INIT;

	trace_prepend_supplemental(m, "X-KumoRef", NULL, 0, false);
	json_write(&out, trace_decode(m->prefix.data, m->prefix.len, m->arena));
	ck_assert_str_eq(buf_str(&out), "{\"recipient\":\"Bob@y.example\"}");
	buf_release(&out);
	message_unref(m);
}
END_TEST

static const struct {
	const char *label, *from, *to;
} forgeries[] = {
    {"another recipient", "\"recipient\":\"Bob@", "\"recipient\":\"eve@"},
    {"case of the recipient", "Bob@", "bob@"},
    {"another id", "\"id\":\"0", "\"id\":\"1"},
    {"another queue", "\"queue\":\"", "\"queue\":\"AAAA"},
    {"another time", "\"time\":1", "\"time\":2"},
    {"a time that is no number", "\"time\":", "\"time\":\"\",\"x\":"},
    {"no queue", "\"queue\"", "\"q\""},
    {"no key", "\"key\"", "\"k\""},
    {"another key", "\"key\":\"", "\"key\":\"0"},
    {"a mac that is cut", "\"}}", "\",\"mac\":\"\"}}"},
    {"no mac", "\"mac\":\"", "\"m\":\""},
    {"a mac that is longer", "\"mac\":\"", "\"mac\":\"00"},
    {"an array that hides it", "\"recipient\":\"Bob@y.example\"",
	"\"recipient\":[\"Bob@y.example\",\"eve@y.example\"]"},
    {"an id with other digits", "\"id\":\"0123", "\"id\":\"0X23"},
    {"not an object", "\"penstock\":{", "\"penstock\":1,\"p\":{"},
};

START_TEST(what_was_changed_does_not_verify)
{
	struct message *m = message_for(1);
	char *header;

	trace_prepend_supplemental(m, "X-KumoRef", NULL, 0, false);
	header = changed(m, forgeries[_i].from, forgeries[_i].to);
	ck_assert_msg(
	    !claim_in(header, m->arena).verified, "%s", forgeries[_i].label);
	free(header);
	message_unref(m);
}
END_TEST

START_TEST(a_stranger_reads_no_tenant_in_a_header)
{
	struct message *m = message_for(1);
	struct buf json = BUF_INIT;
	const char *value;

	trace_prepend_supplemental(m, "X-KumoRef", NULL, 0, false);
	value = strchr(buf_str(&m->prefix), ':') + 1;
	ck_assert(base64_decode(&json, value, strlen(value)));
	/* With what follows it there: "t1" alone may be part of a code. */
	ck_assert_ptr_eq(strstr(buf_str(&json), "t1@"), NULL);
	buf_release(&json);
	message_unref(m);
}
END_TEST

/* Longer than one digest, with each key its own, and back again. */
START_TEST(a_veiled_name_is_read_with_its_key_only)
{
	char name[101], key[TRACE_KEY_NAME_SIZE], mac[TRACE_MAC_SIZE];
	struct trace_signed what = {.id = ID, .queue = "q", .at = 5};
	struct buf veiled = BUF_INIT, again = BUF_INIT;

	memset(name, 'x', 100);
	name[100] = '\0';
	ck_assert(trace_sign(&what, key, mac));
	ck_assert(trace_veil(&what, key, name, 100, &veiled));
	ck_assert_uint_eq(veiled.len, 100);
	ck_assert_ptr_eq(memmem(veiled.data, 100, "xx", 2), NULL);
	ck_assert(trace_veil(&what, key, veiled.data, 100, &again));
	ck_assert_str_eq(buf_str(&again), name);
	buf_reset(&again);
	what.at = 6;
	ck_assert(trace_veil(&what, key, veiled.data, 100, &again));
	ck_assert_str_ne(buf_str(&again), name);
	ck_assert(!trace_veil(&what, "00000000", name, 100, &again));
	trace_keys_use(NULL);
	ck_assert(!trace_veil(&what, key, name, 100, &again));
	buf_release(&veiled);
	buf_release(&again);
}
END_TEST

START_TEST(every_digit_of_a_mac_counts)
{
	struct trace_signed what = {.id = ID, .queue = "q", .at = 5};
	char key[TRACE_KEY_NAME_SIZE], mac[TRACE_MAC_SIZE];

	ck_assert(trace_sign(&what, key, mac));
	ck_assert(trace_verify(&what, key, mac));
	for (size_t i = 0; i + 1 < TRACE_MAC_SIZE; i++) {
		char was = mac[i];

		mac[i] = was == '0' ? '1' : '0';
		ck_assert(!trace_verify(&what, key, mac));
		mac[i] = '\0';
		ck_assert(!trace_verify(&what, key, mac));
		mac[i] = was;
	}
	ck_assert(!trace_verify(&what, "", mac));
}
END_TEST

/* Made with: printf '23:penstock trace header 1,32:ID,1:q,5,1,1:r,' |
 * openssl dgst -sha256 -mac HMAC -macopt hexkey:KEY_A */
START_TEST(the_signature_is_what_the_header_says)
{
	static const char *const r[] = {"r"};
	struct trace_signed what = {
	    .id = ID, .queue = "q", .at = 5, .recipients = r, .count = 1};
	char key[TRACE_KEY_NAME_SIZE], mac[TRACE_MAC_SIZE];

	ck_assert(trace_sign(&what, key, mac));
	ck_assert_str_eq(mac, "56b880b87566f7b34746bcf0bba649f4");
}
END_TEST

START_TEST(an_old_key_verifies_and_a_strange_one_does_not)
{
	struct message *m = message_for(1);

	trace_prepend_supplemental(m, "X-KumoRef", NULL, 0, false);
	use("# new\n" KEY_B "\n\n# old\r\n  " KEY_A " \r\n");
	ck_assert(claim_in(buf_str(&m->prefix), m->arena).verified);
	use(KEY_B);
	ck_assert(!claim_in(buf_str(&m->prefix), m->arena).verified);
	trace_keys_use(NULL);
	ck_assert(!claim_in(buf_str(&m->prefix), m->arena).verified);
	message_unref(m);
}
END_TEST

START_TEST(one_that_verifies_counts_before_others)
{
	struct message *m = message_for(1);

	trace_prepend_supplemental(m, "X-KumoRef", NULL, 0, false);
	message_prepend_header(m, "X-A", "eyJfQF8iOiJcXF8vIiwiYSI6MX0=");
	ck_assert(claim_in(buf_str(&m->prefix), m->arena).verified);
	for (int i = 0; i < TRACE_CLAIMS_MOST; i++)
		message_prepend_header(
		    m, "X-A", "eyJfQF8iOiJcXF8vIiwiYSI6MX0=");
	ck_assert(!claim_in(buf_str(&m->prefix), m->arena).verified);
	message_unref(m);
}
END_TEST

static const struct {
	const char *label, *text, *want;
} files[] = {
    {"nothing", "", "there is no key in it"},
    {"a comment alone", "# x\n", "there is no key in it"},
    {"too short", "# x\n0011\n", "line 2: a key is 64 hex digits"},
    {"not hex",
	"zz112233445566778899aabbccddeeff00112233445566778899aabbccdd"
	"eeff\n",
	"line 1: a key is 64 hex digits"},
};

START_TEST(a_file_of_keys_is_read_or_says_why_not)
{
	struct err err = {0};

	ck_assert_ptr_null(
	    trace_keys_parse(files[_i].text, strlen(files[_i].text), &err));
	ck_assert_str_eq(err.text, files[_i].want);
}
END_TEST

START_TEST(there_is_a_most_of_keys)
{
	struct buf text = BUF_INIT;
	struct err err = {0};

	for (int i = 0; i <= TRACE_KEYS_MOST; i++)
		buf_addstr(&text, KEY_A "\n");
	ck_assert_ptr_null(trace_keys_parse(buf_str(&text), text.len, &err));
	ck_assert_str_eq(err.text, "line 17: more than 16 keys");
	buf_reset(&text);
	trace_keys_write(&text, KEY_B);
	use(buf_str(&text));
	buf_release(&text);
}
END_TEST

TCase *trace_key_tests(void)
{
	TCase *t = tcase_create("trace_key");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t,
	    a_header_vouches_for_message_queue_time_and_named_recipients, 0,
	    (int)COUNT(batches));
	tcase_add_test(t, consumers_read_what_they_always_read);
	tcase_add_loop_test(
	    t, what_was_changed_does_not_verify, 0, (int)COUNT(forgeries));
	tcase_add_test(t, a_stranger_reads_no_tenant_in_a_header);
	tcase_add_test(t, a_veiled_name_is_read_with_its_key_only);
	tcase_add_test(t, every_digit_of_a_mac_counts);
	tcase_add_test(t, the_signature_is_what_the_header_says);
	tcase_add_test(t, an_old_key_verifies_and_a_strange_one_does_not);
	tcase_add_test(t, one_that_verifies_counts_before_others);
	tcase_add_loop_test(
	    t, a_file_of_keys_is_read_or_says_why_not, 0, (int)COUNT(files));
	tcase_add_test(t, there_is_a_most_of_keys);
	return t;
}

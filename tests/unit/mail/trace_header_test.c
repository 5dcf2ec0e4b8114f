/* trace_header_test.c - mail/trace_header.h */
#include "tests/unit/mail/mail_test.h"

#include "base/json.h"
#include "mail/trace_header.h"

#define ID "0123456789abcdef0123456789abcdef"

static struct message *message_for(int recipients)
{
	static const char *const texts[] = {"bob@y.example", "eve@z.example"};
	struct message *m = message_new();

	memcpy(m->id, ID, sizeof ID);
	for (int i = 0; i < recipients; i++) {
		struct envelope_recipient *r = ARRAY_ADD(&m->recipients);

		*r = (struct envelope_recipient){0};
		ck_assert(address_parse(
		    texts[i], strlen(texts[i]), m->arena, &r->address, NULL));
	}
	return m;
}

static const struct {
	int recipients;
	struct received_facts facts;
	const char *want;
} received[] = {
    {1,
	{.helo = "client.example",
	    .client_ip = "192.0.2.7",
	    .hostname = "mx.example",
	    .local_ip = "192.0.2.1"},
	"Received: from client.example (192.0.2.7)\r\n"
	"  by mx.example (Penstock 192.0.2.1)\r\n"
	"  with ESMTP id " ID " for <bob@y.example>;\r\n"
	"  Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
    {2,
	{.helo = NULL,
	    .client_ip = NULL,
	    .hostname = "mx.example",
	    .local_ip = "::1",
	    .authenticated = true,
	    .tls_version = "TLSv1.3",
	    .tls_cipher = "TLS_AES_256_GCM_SHA384"},
	"Received: from unspecified (unknown)\r\n"
	"  by mx.example (Penstock ::1)\r\n"
	"  with ESMTPSA (TLSv1.3:TLS_AES_256_GCM_SHA384) id " ID ";\r\n"
	"  Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
    {1,
	{.helo = "x\r\nBcc: y (z)",
	    .client_ip = "::1",
	    .hostname = "mx",
	    .authenticated = true},
	"Received: from x??Bcc:?y??z? (::1)\r\n  by mx (Penstock)\r\n"
	"  with ESMTP id " ID " for <bob@y.example>;\r\n"
	"  Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
    {1,
	{.helo = "x",
	    .client_ip = "::1",
	    .hostname = "mx",
	    .local_ip = "::1",
	    .tls_version = "TLSv1.2",
	    .tls_cipher = "C"},
	"Received: from x (::1)\r\n  by mx (Penstock ::1)\r\n"
	"  with ESMTPS (TLSv1.2:C) id " ID " for <bob@y.example>;\r\n"
	"  Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
};

START_TEST(received_tells_the_way)
{
	struct message *m = message_for(received[_i].recipients);

	trace_prepend_received(m, &received[_i].facts);
	ck_assert_str_eq(buf_str(&m->prefix), received[_i].want);
	message_unref(m);
}
END_TEST

static const struct {
	int recipients;
	bool all;
	const char *want;
} supplements[] = {
    {1, false,
	"{\"recipient\":\"bob@y.example\",\"tenant\":\"t1\",\"n\":null}"},
    {2, false, "{\"id\":\"" ID "\",\"tenant\":\"t1\",\"n\":null}"},
    {2, true,
	"{\"recipient\":[\"bob@y.example\",\"eve@z.example\"],"
	"\"tenant\":\"t1\",\"n\":null}"},
};

START_TEST(a_supplement_comes_back)
{
	static const char *const names[] = {"tenant", "none", "n"};
	struct message *m = message_for(supplements[_i].recipients);
	struct value nil = {.type = VALUE_NIL};
	struct buf out = BUF_INIT;
	const struct value *v;

	meta_set_string(m->meta, "tenant", "t1");
	meta_set(m->meta, "n", &nil);
	message_prepend_header(m, "X-Other", "bm8=");
	trace_prepend_supplemental(
	    m, "X-KumoRef", names, COUNT(names), supplements[_i].all);
	ck_assert_int_eq(strncmp(buf_str(&m->prefix), "X-KumoRef: eyJ", 14), 0);
	for (const char *line = m->prefix.data; *line;) {
		const char *end = strstr(line, "\r\n");

		ck_assert_int_le(end - line, 75);
		line = end + 2;
		ck_assert(*line == '\t' || *line == 'X' || !*line);
	}
	v = trace_decode(m->prefix.data, m->prefix.len, m->arena);
	ck_assert_ptr_nonnull(v);
	json_write(&out, v);
	ck_assert_str_eq(buf_str(&out), supplements[_i].want);
	buf_release(&out);
	message_unref(m);
}
END_TEST

static const struct {
	const char *label, *headers;
	bool found;
} foreign[] = {
    /* {"_@_":"\\_/","a":1} */
    {"ours under any name", "x-any: eyJfQF8iOiJcXF8vIiwiYSI6MX0=\r\n", true},
    {"with blanks inside", "X-Any: eyJfQF8iOi\r\n\tJcXF8v IiwiYSI6MX0=\r\n",
	true},
    {"after others", "To: x\r\nX-A: ?\r\nX-B: eyJfQF8iOiJcXF8vIiwiYSI6MX0=\r\n",
	true},
    {"not an X- header", "Any: eyJfQF8iOiJcXF8vIiwiYSI6MX0=\r\n", false},
    {"without the marker", "X-Any: eyJhIjoxfQ==\r\n", false},
    {"with another marker", "X-Any: eyJfQF8iOiJ4In0=\r\n", false},
    {"in the body", "To: x\r\n\r\nX-A: eyJfQF8iOiJcXF8vIiwiYSI6MX0=\r\n",
	false},
    {"nothing", "", false},
};

START_TEST(only_what_is_marked_is_ours)
{
	struct arena *arena = arena_new(0);
	const struct value *v = trace_decode(
	    foreign[_i].headers, strlen(foreign[_i].headers), arena);

	ck_assert_msg(!!v == foreign[_i].found, "%s", foreign[_i].label);
	if (v) {
		ck_assert_uint_eq(v->count, 1);
		ck_assert_int_eq(value_get(v, "a")->i, 1);
	}
	arena_unref(arena);
}
END_TEST

TCase *trace_header_tests(void)
{
	TCase *tc = tcase_create("trace_header");

	tcase_add_loop_test(tc, received_tells_the_way, 0, COUNT(received));
	tcase_add_loop_test(tc, a_supplement_comes_back, 0, COUNT(supplements));
	tcase_add_loop_test(tc, only_what_is_marked_is_ours, 0, COUNT(foreign));
	return tc;
}

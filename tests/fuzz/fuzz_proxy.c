/*
 * fuzz_proxy.c - deliver/smtp_proxy.h: whatever a proxy answers, the talk ends
 * in one of three ways, and how the bytes come in pieces is no matter
 *
 * The first byte sets up the proxy, the second is the size of a piece; the rest
 * is what the proxy says.
 */
#include "deliver/smtp_proxy.h"
#include "tests/fuzz/fuzz.h"

static size_t talk(const struct proxy *proxy, const struct candidate *to,
    const char *data, size_t len, size_t piece, struct buf *log)
{
	struct proxy_talk t;
	enum proxy_step step = proxy_talk_start(&t, proxy, to, log);
	size_t heard = 0, used;

	while (heard < len && step == PROXY_MORE) {
		size_t n = len - heard < piece ? len - heard : piece;

		step = proxy_talk_hear(&t, data + heard, n, &used, log);
		FUZZ_CHECK(used <= n);
		FUZZ_CHECK(used == n || step != PROXY_MORE);
		heard += used;
	}
	if (step == PROXY_FAILED) {
		FUZZ_CHECK(*t.why && strlen(t.why) < sizeof t.why);
		buf_addf(log, "%s %d", t.why, t.host_at_fault);
	}
	/* Greeting, login, BIND and CONNECT, and no more. */
	FUZZ_CHECK(log->len < 1000);
	buf_addint(log, step);
	return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy proxy = {.kind = PROXY_SOCKS5, .name = "proxy"};
	struct candidate to = {.name = "mx.test", .port = 25};
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	size_t a, b;
	char *text;

	if (size < 2)
		return 0;
	FUZZ_CHECK(ip_parse(data[0] & 1 ? "2001:db8::1" : "192.0.2.1", &to.ip));
	FUZZ_CHECK(ip_parse(data[0] & 2   ? "0.0.0.0"
			    : data[0] & 1 ? "2001:db8::2"
					  : "192.0.2.2",
	    &proxy.source));
	if (data[0] & 4) {
		proxy.username = "user";
		proxy.password = "secret";
	}
	if ((data[0] & 8) && proxy.source.family == to.ip.family)
		proxy.kind = PROXY_HAPROXY;
	text = fuzz_text(data + 2, size - 2);
	a = talk(&proxy, &to, text, size - 2, size, &whole);
	b = talk(&proxy, &to, text, size - 2, data[1] ? data[1] : 1, &pieces);
	FUZZ_CHECK(a == b && whole.len == pieces.len &&
		   memcmp(whole.data, pieces.data, whole.len) == 0);
	buf_release(&whole);
	buf_release(&pieces);
	free(text);
	return 0;
}

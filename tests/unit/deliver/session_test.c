/*
 * session_test.c - sessions against a server that follows a script
 */
#include <event2/event.h>

#include "base/str.h"
#include "deliver/deliver.h"
#include "tests/unit/deliver/deliver_test.h"
#include "tests/unit/deliver/session_world.h"

#define HELLO "> 220 hi", "< EHLO me", "> 250-peer\n250 PIPELINING"
#define FLIGHT                                                                 \
	"< MAIL FROM:<a@a.test>", "< RCPT TO:<b@b.test>", "< DATA",            \
	    "> 250 ok\n250 ok\n354 go"
#define MESSAGE FLIGHT, "data", "> 250 2.0.0 taken"
#define AGAIN "< RSET", "> 250 ok"
#define BYE "< QUIT", "> 221 bye"
#define TLS_HELLO                                                              \
	"> 220 hi", "< EHLO me", "> 250-peer\n250 STARTTLS", "< STARTTLS"

/* clang-format off */
static const struct play plays[] = {
    {"a message", .jobs = 1, .scripts = {{{HELLO, MESSAGE, BYE}}},
	.connections = 1, .want = "250 2.0.0; done"},
    {"the connection is used again", .jobs = 3,
	.scripts = {{{HELLO, MESSAGE, AGAIN, MESSAGE, AGAIN, MESSAGE, BYE}}},
	.connections = 1,
	.want = "250 2.0.0; 250 2.0.0; 250 2.0.0; done"},
    {"133: max_deliveries_per_connection", .jobs = 3, .most = 2,
	.scripts = {{{HELLO, MESSAGE, AGAIN, MESSAGE, BYE}}},
	.connections = 1, .want = "250 2.0.0; 250 2.0.0; done"},
    {"without work it idles, and says QUIT", .flags = IMPATIENT, .jobs = 0,
	.scripts = {{{HELLO, BYE}}}, .connections = 1, .want = "done"},
    {"an idle session wakes", .flags = WAKE_ONCE, .jobs = 1,
	.scripts = {{{HELLO, MESSAGE, BYE}}}, .connections = 1,
	.want = "250 2.0.0; done"},
    {"an idle connection that the peer closes is no failure", .jobs = 1,
	.scripts = {{{HELLO, MESSAGE, "> 421 idle", "close"}}},
	.connections = 1, .want = "250 2.0.0; done"},
    {"shutdown lets the message under way finish", .flags = STOP_AT_FIRST,
	.jobs = 3, .scripts = {{{HELLO, MESSAGE, AGAIN, MESSAGE, BYE}}},
	.connections = 1, .want = "250 2.0.0; 250 2.0.0; done"},
    {"abort drops it", .flags = ABORT_AT_NEXT, .jobs = 1,
	.scripts = {{{HELLO, "rest"}}}, .connections = 1, .want = "400; done"},

    /* ---- hosts ---- */
    {"135: a host that refuses is passed over", .flags = CLOSED_FIRST,
	.jobs = 1, .scripts = {{{HELLO, MESSAGE, BYE}}}, .connections = 1,
	.want = "250 2.0.0 at good; done"},
    {"136: nobody listens", .flags = CLOSED_ONLY, .jobs = 1,
	.scripts = {{{"rest"}}}, .connections = 0,
	.want = "no host: 400 bad (127.0.0.1:PORT): connect: Connection "
		"refused"},
    {"a host that is full, then one that is not", .flags = TWO_HOSTS,
	.jobs = 1, .scripts = {{{"> 421 full", "close"}},
	    {{HELLO, MESSAGE, BYE}}}, .connections = 2,
	.want = "250 2.0.0 at b; done"},
    {"all are full", .flags = TWO_HOSTS, .jobs = 1,
	.scripts = {{{"> 421 full", "close"}}, {{"> 554 5.7.1 no"}}},
	.connections = 2, .want = "no host: 400 a (127.0.0.1:PORT): banner: "
	    "421 full; b (127.0.0.1:PORT): banner: 554 5.7.1 no"},
    {"after 421 the rest goes to the next host", .flags = TWO_HOSTS,
	.jobs = 2, .scripts = {{{HELLO, "< MAIL", "> 421 enough", "close"}},
	    {{HELLO, MESSAGE, BYE}}}, .connections = 2,
	.want = "421; 250 2.0.0 at b; done"},
    {"or nowhere, when it is to end", .flags = TWO_HOSTS | TERMINATE,
	.jobs = 2, .scripts = {{{HELLO, "< MAIL", "> 421 enough", "close"}}},
	.connections = 1, .want = "421; lost"},
    {"or to the same, when it did something", .flags = SAME_HOST,
	.jobs = 3, .scripts = {{{HELLO, MESSAGE, AGAIN, "< MAIL",
	    "> 421 enough", "close"}}, {{HELLO, MESSAGE, BYE}}},
	.connections = 2,
	.want = "250 2.0.0; 421; 250 2.0.0; done"},
    {"a message that a lost host did not take goes to the next",
	.flags = TWO_HOSTS | NEXT_HOST, .jobs = 1,
	.scripts = {{{HELLO, "< MAIL", "close"}}, {{HELLO, MESSAGE, BYE}}},
	.connections = 2, .want = "0; 250 2.0.0 at b; done"},
    {"but not when it may have been taken", .flags = TWO_HOSTS | NEXT_HOST,
	.jobs = 1, .scripts = {{{HELLO, FLIGHT, "data", "close"}}},
	.connections = 1, .want = "400; lost"},
    {"nor when there is no other host", .flags = NEXT_HOST, .jobs = 1,
	.scripts = {{{HELLO, "< MAIL", "close"}}}, .connections = 1,
	.want = "400; lost"},
    {"what was fetched for a host that is lost comes back", .jobs = 2,
	.scripts = {{{HELLO, FLIGHT, "data", "close"}}}, .connections = 1,
	.want = "400; lost, unsent"},

    {"146: LMTP at a unix socket", .flags = UNIX_LMTP, .jobs = 1,
	.scripts = {{{"> 220 hi", "< LHLO me", "> 250-peer\n250 PIPELINING",
	    MESSAGE, BYE}}}, .connections = 1, .want = "250 2.0.0; done"},

    /* ---- source ---- */
    {"123: from the source", .jobs = 1, .source = "127.0.0.2",
	.scripts = {{{HELLO, MESSAGE, BYE}}}, .connections = 1,
	.want = "250 2.0.0 from 127.0.0.2; done"},
    {"124: a source that is not here", .jobs = 1, .source = "192.0.2.1",
	.scripts = {{{"rest"}}}, .connections = 0,
	.want = "no host, unplumbed: 400 mx.test (127.0.0.1:PORT): source "
	    "address 192.0.2.1 is not plumbed on this machine: Cannot assign "
	    "requested address"},
    {"a source of the other family", .jobs = 1, .source = "::1",
	.scripts = {{{"rest"}}}, .connections = 0,
	.want = "no host: 400 mx.test (127.0.0.1:PORT): source address ::1 is "
	    "not of the address family of the host"},

    /* ---- TLS ---- */
    {"142: Opportunistic, a certificate that holds", .flags = TRUSTED,
	.tls = TLS_OPPORTUNISTIC, .jobs = 2,
	.scripts = {{{TLS_HELLO, "> 220 go", "tls", "< EHLO me",
	    "> 250-peer\n250 PIPELINING", MESSAGE, AGAIN, MESSAGE, BYE}}},
	.connections = 1, .want = "250 2.0.0 verified; 250 2.0.0 verified; "
	    "done"},
    {"of a literal the address is verified", .flags = TRUSTED | LITERAL,
	.tls = TLS_REQUIRED, .jobs = 1,
	.scripts = {{{TLS_HELLO, "> 220 go", "tls", "< EHLO me",
	    "> 250-peer\n250 PIPELINING", MESSAGE, BYE}}},
	.connections = 1, .want = "250 2.0.0 verified; done"},
    {"142: Opportunistic, self-signed: nothing is sent in clear",
	.tls = TLS_OPPORTUNISTIC, .jobs = 1,
	.scripts = {{{TLS_HELLO, "> 220 go", "tls", "rest"}}},
	.connections = 1, .want = "no host: 400 mx.test (127.0.0.1:PORT): "
	    "connection dropped during the TLS handshake: certificate verify "
	    "failed: self-signed certificate"},
    {"another host's certificate", .flags = TRUSTED | WRONG_NAME,
	.tls = TLS_REQUIRED, .jobs = 1,
	.scripts = {{{TLS_HELLO, "> 220 go", "tls", "rest"}}},
	.connections = 1, .want = "no host: 400 other.test (127.0.0.1:PORT): "
	    "connection dropped during the TLS handshake: certificate verify "
	    "failed: hostname mismatch"},
    {"142: OpportunisticInsecure, self-signed",
	.tls = TLS_OPPORTUNISTIC_INSECURE, .jobs = 1,
	.scripts = {{{TLS_HELLO, "> 220 go", "tls", "< EHLO me",
	    "> 250-peer\n250 PIPELINING", MESSAGE, BYE}}},
	.connections = 1, .want = "250 2.0.0 encrypted; done"},
    {"bytes behind the 220 fail the host", .tls = TLS_OPPORTUNISTIC_INSECURE,
	.jobs = 1, .scripts = {{{TLS_HELLO,
	    "= 220 go\n250 injected\n", "rest"}}}, .connections = 1,
	.want = "no host: 400 mx.test (127.0.0.1:PORT): connection dropped "
	    "during the TLS handshake: bytes after the answer to STARTTLS"},
    {"even half a line", .tls = TLS_OPPORTUNISTIC_INSECURE,
	.jobs = 1, .scripts = {{{TLS_HELLO, "= 220 go\n2", "rest"}}},
	.connections = 1,
	.want = "no host: 400 mx.test (127.0.0.1:PORT): connection dropped "
	    "during the TLS handshake: bytes after the answer to STARTTLS"},
    {"a handshake that is none, verified", .flags = TRUSTED,
	.tls = TLS_OPPORTUNISTIC, .jobs = 1,
	.scripts = {{{TLS_HELLO, "> 220 go", "junk", "rest"}}},
	.connections = 1, .want = "no host: 400 mx.test (127.0.0.1:PORT): "
	    "connection dropped during the TLS handshake: wrong version "
	    "number"},
    {"TLS from the first byte", .flags = TRUSTED | IMPLICIT_TLS,
	.tls = TLS_REQUIRED, .jobs = 1, .scripts = {{{"tls", "> 220 hi",
	    "< EHLO me", "> 250-peer\n250 PIPELINING", MESSAGE, BYE}}},
	.connections = 1, .want = "250 2.0.0 verified; done"},
    {"TLS from the first byte, self-signed", .flags = IMPLICIT_TLS,
	.tls = TLS_OPPORTUNISTIC, .jobs = 1, .scripts = {{{"tls", "rest"}}},
	.connections = 1, .want = "no host: 400 mx.test (127.0.0.1:PORT): TLS "
	    "handshake: certificate verify failed: self-signed certificate"},
    {"clear text where TLS should begin", .flags = IMPLICIT_TLS,
	.tls = TLS_REQUIRED_INSECURE, .jobs = 1,
	.scripts = {{{"> 220 hi", "rest"}}},
	.connections = 1, .want = "no host: 400 mx.test (127.0.0.1:PORT): TLS "
	    "handshake: wrong version number"},
    {"a failed handshake, then the same host in clear", .flags = RECONNECTS,
	.tls = TLS_OPPORTUNISTIC, .jobs = 1,
	.scripts = {{{TLS_HELLO, "> 220 go", "tls", "rest"}},
	    {{HELLO, MESSAGE, BYE}}},
	.connections = 2, .want = "broken; 250 2.0.0; done"},
    {"STARTTLS refused, then the same host in clear", .flags = RECONNECTS,
	.tls = TLS_OPPORTUNISTIC_INSECURE, .jobs = 1,
	.scripts = {{{TLS_HELLO, "> 454 4.7.0 not now", "rest"}},
	    {{HELLO, MESSAGE, BYE}}},
	.connections = 2, .want = "broken; 250 2.0.0; done"},
    {"never where TLS is required", .flags = RECONNECTS,
	.tls = TLS_REQUIRED, .jobs = 1,
	.scripts = {{{TLS_HELLO, "> 220 go", "tls", "rest"}}},
	.connections = 1, .want = "no host: 400 mx.test (127.0.0.1:PORT): "
	    "connection dropped during the TLS handshake: certificate verify "
	    "failed: self-signed certificate"},
    {"a large message over TLS", .flags = LARGE | LATE_CHUNKS,
	.tls = TLS_REQUIRED_INSECURE, .jobs = 2,
	.scripts = {{{TLS_HELLO, "> 220 go", "tls", "< EHLO me",
	    "> 250-peer\n250 PIPELINING", MESSAGE, AGAIN, MESSAGE, BYE}}},
	.connections = 1,
	.want = "250 2.0.0 encrypted; 250 2.0.0 encrypted; done"},

    /* ---- content ---- */
    {"144: a large message, a chunk at a time", .flags = LARGE, .jobs = 2,
	.scripts = {{{HELLO, MESSAGE, AGAIN, MESSAGE, BYE}}},
	.connections = 1, .want = "250 2.0.0; 250 2.0.0; done"},
    {"chunks that come later", .flags = LARGE | LATE_CHUNKS, .jobs = 1,
	.scripts = {{{HELLO, MESSAGE, BYE}}}, .connections = 1,
	.want = "250 2.0.0; done"},
    {"a missing chunk: never a final dot", .flags = LARGE | NO_CHUNK,
	.jobs = 1, .scripts = {{{HELLO, FLIGHT, "rest"}}},
	.connections = 1, .want = "451 4.3.0; lost"},
    {"nor with fewer bytes than promised", .flags = LARGE | SHORT_CHUNK,
	.jobs = 1, .scripts = {{{HELLO, FLIGHT, "rest"}}},
	.connections = 1, .want = "451 4.3.0; lost"},
    {"a refusal while the content is sent", .flags = LARGE, .jobs = 1,
	.scripts = {{{HELLO, "< MAIL", "< RCPT", "< DATA",
	    "> 250 ok\n250 ok\n354 go\n552 5.3.4 too large", "rest"}}},
	.connections = 1, .want = "552 5.3.4; lost"},
    {"the peer goes after the dot", .jobs = 1,
	.scripts = {{{HELLO, FLIGHT, "data", "close"}}}, .connections = 1,
	.want = "400; lost"},

    /* ---- time ---- */
    {"a greeting that trickles is no greeting", .flags = IMPATIENT, .jobs = 1,
	.scripts = {{{"drip 2000"}}}, .connections = 1,
	.want = "no host: 400 mx.test (127.0.0.1:PORT): timed out before the "
	    "greeting"},
    {"no answer to MAIL", .flags = IMPATIENT, .jobs = 1,
	.scripts = {{{HELLO, "< MAIL", "rest"}}}, .connections = 1,
	.want = "421 4.4.2; lost"},
    {"a peer that does not read", .flags = IMPATIENT | HUGE, .jobs = 1,
	.scripts = {{{HELLO, FLIGHT, "drip 2000"}}}, .connections = 1,
	.want = "421 4.4.2; lost"},
};
/* clang-format on */

START_TEST(a_session_ends_as_it_should)
{
	const struct play *p = &plays[_i];
	struct world w;
	int delivered = 0;

	world_open(&w, p);
	world_run(&w);
	smtp_sink_stop(w.sink);
	world_mask_ports(&w.log);
	ck_assert_msg(str_eq(buf_str(&w.log), p->want),
	    "%s: \"%s\", not \"%s\"", p->label, buf_str(&w.log), p->want);
	ck_assert_msg(smtp_sink_connections(w.sink) == p->connections,
	    "%s: %d connections", p->label, smtp_sink_connections(w.sink));
	ck_assert_msg(!smtp_sink_complaint(w.sink), "%s: %s", p->label,
	    smtp_sink_complaint(w.sink));
	for (const char *s = p->want; (s = strstr(s, "250 2.0.0")); s++)
		delivered++;
	ck_assert_int_ge(smtp_sink_messages(w.sink), delivered);
	for (int i = 0; i < smtp_sink_messages(w.sink); i++)
		world_check_message(&w, smtp_sink_message(w.sink, i));
	if (p->source && p->connections)
		ck_assert_str_eq(smtp_sink_client(w.sink), p->source);
	world_close(&w);
}
END_TEST

/* The drain's pace: a message costs the peer two packets, and the next one was
 * fetched before the reply to the one before. */
START_TEST(a_small_message_is_two_writes)
{
	static const struct play p = {.label = "two writes",
	    .jobs = 3,
	    .scripts = {{{HELLO, MESSAGE, AGAIN, MESSAGE, AGAIN, MESSAGE,
		BYE}}},
	    .want = ""};
	struct world w;

	world_open(&w, &p);
	world_run(&w);
	smtp_sink_stop(w.sink);
	ck_assert_msg(
	    !smtp_sink_complaint(w.sink), "%s", smtp_sink_complaint(w.sink));
	/* EHLO, three times a flight and a message, QUIT. */
	ck_assert_int_le(smtp_sink_reads(w.sink), 8);
	ck_assert(w.last_early);
	world_close(&w);
}
END_TEST

/* Called from inside start() nothing could be freed or remembered yet. */
START_TEST(a_plan_without_hosts_ends_from_the_loop)
{
	static const struct play p = {.label = "no hosts",
	    .scripts = {{{"rest"}}},
	    .want = "no host: 400 no host to try"};
	struct world w;

	world_open(&w, &p);
	w.plan.count = 0;
	w.session = smtp_session_start(w.base, &w.plan, &world_owner_ops, &w);
	ck_assert(!w.ended);
	while (!w.ended)
		(void)event_base_loop(w.base, EVLOOP_ONCE);
	ck_assert_str_eq(buf_str(&w.log), p.want);
	smtp_sink_stop(w.sink);
	world_close(&w);
}
END_TEST

START_TEST(shutdown_before_the_first_turn_connects_nowhere)
{
	static const struct play p = {
	    .label = "shutdown", .scripts = {{{"rest"}}}, .want = "done"};
	struct world w;

	world_open(&w, &p);
	w.session = smtp_session_start(w.base, &w.plan, &world_owner_ops, &w);
	smtp_session_shutdown(w.session);
	while (!w.ended)
		(void)event_base_loop(w.base, EVLOOP_ONCE);
	smtp_sink_stop(w.sink);
	ck_assert_str_eq(buf_str(&w.log), p.want);
	ck_assert_int_eq(smtp_sink_connections(w.sink), 0);
	world_close(&w);
}
END_TEST

TCase *session_tests(void)
{
	TCase *tc = tcase_create("smtp_session");

	tcase_add_loop_test(tc, a_session_ends_as_it_should, 0, COUNT(plays));
	tcase_add_test(tc, a_small_message_is_two_writes);
	tcase_add_test(tc, a_plan_without_hosts_ends_from_the_loop);
	tcase_add_test(tc, shutdown_before_the_first_turn_connects_nowhere);
	return tc;
}

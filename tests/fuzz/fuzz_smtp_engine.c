/*
 * fuzz_smtp_engine.c - deliver/smtp_engine.h: whatever a peer says, each
 * recipient gets a reply, and only commands are sent
 *
 * The first byte sets up the engine, the second is the size of a piece; the
 * rest is what the peer says.
 */
#include "base/arena.h"
#include "base/str.h"
#include "deliver/smtp_engine.h"
#include "tests/fuzz/fuzz.h"

struct play {
	struct egress_path path;
	struct smtp_engine *engine;
	struct buf out;
	struct arena *arena;
	struct delivery_job job;
	struct delivery_recipient rcpts[3];
	int jobs_left;
	bool handshake_fails, is_over;
};

static const char *const verbs[] = {"EHLO me\r\n", "HELO me\r\n", "LHLO me\r\n",
    "STARTTLS\r\n", "MAIL FROM:<a@a.test>", "RCPT TO:<", "DATA\r\n", "RSET\r\n",
    "QUIT\r\n", "CONTENT\r\n", ".\r\n", "AUTH PLAIN ", "AUTH LOGIN\r\n",
    "dXNlcg==\r\n", "c2VjcmV0\r\n"};

static void check_sent(struct buf *out)
{
	const char *line = buf_str(out), *end;

	for (; *line; line = end + 2) {
		bool is_known = false;

		for (size_t i = 0; i < COUNT(verbs); i++)
			if (str_starts(line, verbs[i]))
				is_known = true;
		end = strstr(line, "\r\n");
		FUZZ_CHECK(is_known && end);
	}
	buf_reset(out);
}

static void make_job(struct play *p)
{
	static const char *const names[] = {
	    "b@b.test", "c@b.test", "\"d d\"@b.test"};

	p->job = (struct delivery_job){.id = "message",
	    .recipients = p->rcpts,
	    .count = COUNT(names),
	    .prefix = "X-Test: 1",
	    .prefix_len = 9,
	    .facts = {.size = 1000}};
	FUZZ_CHECK(address_parse(
	    "a@a.test", 8, p->arena, &p->job.sender.address, NULL));
	for (size_t i = 0; i < COUNT(names); i++) {
		p->rcpts[i] = (struct delivery_recipient){0};
		FUZZ_CHECK(address_parse(names[i], strlen(names[i]), p->arena,
		    &p->rcpts[i].who.address, NULL));
	}
}

static void check_replies(const struct play *p)
{
	for (size_t i = 0; i < p->job.count; i++) {
		const struct delivery_recipient *r = &p->rcpts[i];

		if (r->retry_at_once)
			continue;
		FUZZ_CHECK(r->reply.code >= 200 && r->reply.code <= 599);
		FUZZ_CHECK(r->reply.text);
	}
}

/* As the session does it, until there is something to wait for. */
static void act(struct play *p, enum smtp_step step)
{
	while (step != STEP_WAIT && !p->is_over) {
		check_sent(&p->out);
		switch (step) {
		case STEP_WAIT:
			break;
		case STEP_TLS:
			step = smtp_engine_tls(
			    p->engine, p->handshake_fails ? "bad" : NULL);
			break;
		case STEP_READY:
			if (!p->jobs_left--) {
				smtp_engine_quit(p->engine);
				p->is_over = true;
				break;
			}
			make_job(p);
			step = smtp_engine_begin(p->engine, &p->job, p->arena);
			break;
		case STEP_CONTENT:
			buf_addstr(&p->out, "CONTENT\r\n.\r\n");
			step = smtp_engine_content_sent(p->engine);
			break;
		case STEP_DONE:
			check_replies(p);
			step = smtp_engine_usable(p->engine) ? STEP_READY
							     : STEP_CLOSED;
			break;
		case STEP_FAILED:
			FUZZ_CHECK(smtp_engine_failure(p->engine)->text);
			p->is_over = true;
			break;
		case STEP_CLOSED:
			p->is_over = true;
			break;
		}
	}
}

static void hear(struct play *p, const char *data, size_t len)
{
	enum smtp_step step, pending = STEP_WAIT;
	size_t used;

	do {
		step = smtp_engine_hear(p->engine, data, len, &used);
		FUZZ_CHECK(used <= len);
		FUZZ_CHECK(used == len || step != STEP_WAIT);
		data += used;
		len -= used;
		if (step == STEP_DONE && len) {
			check_replies(p);
			step = smtp_engine_usable(p->engine) ? STEP_READY
							     : STEP_CLOSED;
		}
		if (step == STEP_READY || step == STEP_CONTENT) {
			pending = step;
			step = STEP_WAIT;
		}
	} while (len && step == STEP_WAIT);
	act(p, step == STEP_WAIT ? pending : step);
}

static void run(struct play *p, const char *data, size_t len, size_t piece)
{
	while (len && !p->is_over) {
		size_t n = len < piece ? len : piece;

		hear(p, data, n);
		data += n;
		len -= n;
	}
	if (!p->is_over)
		act(p, smtp_engine_lost(p->engine, "gone"));
	check_sent(&p->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play p = {.path = *egress_path_defaults()};
	char *text;

	if (size < 2)
		return 0;
	p.path.enable_pipelining = data[0] & 8;
	p.path.enable_rset = data[0] & 16;
	p.path.use_lmtp = data[0] & 32;
	p.path.allow_smtp_auth_plain_without_tls = data[1] & 128;
	p.path.allow_smtp_auth_plain_without_valid_certificate = true;
	p.handshake_fails = data[0] & 64;
	p.jobs_left = data[0] & 128 ? 3 : 1;
	p.arena = arena_new(0);
	p.engine = smtp_engine_new(&p.path, "me", "session", &p.out);
	text = fuzz_text(data + 2, size - 2);
	smtp_engine_start(
	    p.engine, &(struct smtp_terms){.tls = data[0] % 5,
			  .username = data[1] & 64 ? "user" : NULL,
			  .password = "secret"});
	run(&p, text, size - 2, data[1] ? data[1] : 1);
	smtp_engine_free(p.engine);
	arena_unref(p.arena);
	buf_release(&p.out);
	free(text);
	return 0;
}

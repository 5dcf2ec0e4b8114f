/*
 * fuzz_dsn_write.c - lua/modules/penstock/dsn.lua: whatever peers, senders and
 * clients say, a report is whole: our parser reads it back and finds the
 * recipients, no line is too long or ends otherwise than in CRLF, and no field
 * is there that we did not write
 *
 * One byte of switches; then, each up to a NUL: sender, recipient, another,
 * answer, ENVID, ORCPT, name of the peer, name of our host; the rest is the
 * original message.
 */
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "lua/script.h"
#include "mail/report_dsn.h"
#include "tests/fuzz/fuzz.h"

enum { SENDER, RECIPIENT, ANOTHER, ANSWER, ENVID, ORCPT, PEER, HOST, FIELDS };

static const char policy_text[] =
    "local kumo = require 'kumo'\n"
    "local dsn = require 'penstock.dsn'\n"
    "kumo.on('fuzz', function(msg, kind, full, record, host)\n"
    "  local types = {'Bounce', 'Expiration', 'TransientFailure', 'Delivery'}\n"
    "  record.type = types[kind + 1] or 'Bounce'\n"
    "  local report\n"
    "  if kind < 4 then\n"
    "    report = dsn.generate({reporting_mta = host, full = full}, msg,\n"
    "      record)\n"
    "  else\n"
    "    report = kumo.generate_rfc3464_message({enable_bounce = true,\n"
    "      reporting_mta = {name = host}, include_original_message =\n"
    "      full and 'FullContent' or 'HeadersOnly'}, msg, record)\n"
    "  end\n"
    "  return report and report:get_data()\n"
    "end)\n";

struct input {
	unsigned char switches;
	const char *field[FIELDS];
	const char *original;
	size_t original_len;
};

static struct input read_input(char *text, size_t size)
{
	struct input in = {.switches = size ? (unsigned char)text[0] : 0};
	char *end = text + size, *p = text + (size ? 1 : 0);

	for (int i = 0; i < FIELDS; i++) {
		in.field[i] = p;
		p += strlen(p);
		if (p < end)
			p++;
	}
	in.original = p;
	in.original_len = (size_t)(end - p);
	return in;
}

static struct script_policy *policy(void)
{
	static struct script_policy *p;
	char path[] = "/tmp/penstock-fuzz-XXXXXX";
	struct err err = {0};
	int fd;

	if (p)
		return p;
	diag_init("fuzz", true);
	diag_set_level(DIAG_FATAL);
	fd = mkstemp(path);
	FUZZ_CHECK(fd >= 0 && write(fd, policy_text, sizeof policy_text - 1) ==
				  (ssize_t)sizeof policy_text - 1);
	(void)close(fd);
	FUZZ_CHECK(script_policy_load(&p,
	    &(struct script_options){
		.path = path, .role = SCRIPT_ROUTER, .threads = 1},
	    &err));
	(void)unlink(path);
	return p;
}

/* ---- what goes in ---- */

/* Records and envelopes hold addresses; what is none becomes `instead`. */
static const char *address_or(
    const char *text, const char *instead, struct arena *arena)
{
	struct address a;

	if (address_parse(text, strlen(text), arena, &a, NULL) &&
	    !address_is_null(&a))
		return a.email;
	return instead;
}

static void set_address(
    struct address *out, const char *text, struct arena *arena)
{
	FUZZ_CHECK(address_parse(text, strlen(text), arena, out, NULL));
}

static struct message *message_of(const struct input *in)
{
	struct message *m = message_new();

	m->content = content_from_bytes(in->original, in->original_len);
	set_address(&m->sender.address, in->field[SENDER], m->arena);
	if (*in->field[ENVID])
		m->sender.envid = arena_strdup(m->arena, in->field[ENVID]);
	for (int i = RECIPIENT; i <= ANOTHER && *in->field[i]; i++) {
		struct envelope_recipient r = {0};

		set_address(&r.address, in->field[i], m->arena);
		if (*in->field[ORCPT])
			r.orcpt = arena_strdup(m->arena, in->field[ORCPT]);
		*ARRAY_ADD(&m->recipients) = r;
	}
	return m;
}

static struct value text_value(struct arena *arena, const char *text)
{
	return value_string(arena, text, strlen(text));
}

static void add(struct value *map, const char *key, struct value v)
{
	map->entries[map->count++] = (struct value_entry){key, v};
}

static struct value map_new(struct arena *arena)
{
	return (struct value){.type = VALUE_MAP,
	    .entries = ARENA_ARRAY(arena, struct value_entry, 12)};
}

static struct value int_value(int64_t i)
{
	return (struct value){.type = VALUE_INT, .i = i};
}

static struct value recipients_of(const struct input *in, struct arena *arena)
{
	struct value list = {.type = VALUE_LIST, .count = 1};

	if (!*in->field[ANOTHER])
		return text_value(arena, in->field[RECIPIENT]);
	list.items = ARENA_ARRAY(arena, struct value, 2);
	list.items[0] = text_value(arena, in->field[RECIPIENT]);
	list.items[list.count++] = text_value(arena, in->field[ANOTHER]);
	return list;
}

static struct value record_of(const struct input *in, struct arena *arena)
{
	struct value record = map_new(arena), response = map_new(arena);
	struct value peer = map_new(arena), enhanced = map_new(arena);

	add(&response, "code", int_value(in->switches & 16 ? 450 : 550));
	add(&response, "content", text_value(arena, in->field[ANSWER]));
	if (in->switches & 32) {
		add(&enhanced, "class", int_value(5));
		add(&enhanced, "subject", int_value(7));
		add(&enhanced, "detail", int_value(999));
		add(&response, "enhanced_code", enhanced);
	}
	add(&peer, "name", text_value(arena, in->field[PEER]));
	add(&record, "peer_address", peer);
	add(&record, "response", response);
	add(&record, "sender", text_value(arena, in->field[SENDER]));
	add(&record, "recipient", recipients_of(in, arena));
	add(&record, "delivery_protocol", text_value(arena, "ESMTP"));
	add(&record, "timestamp", int_value(1700000000));
	add(&record, "created", int_value(1600000000));
	return record;
}

/* ---- what came out ---- */

static void check_lines(const char *p, size_t len, size_t most)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\r')
			FUZZ_CHECK(i + 1 < len && p[i + 1] == '\n');
		if (p[i] != '\n')
			continue;
		FUZZ_CHECK(i > 0 && p[i - 1] == '\r');
		FUZZ_CHECK(i - 1 - from <= most);
		from = i + 1;
	}
	FUZZ_CHECK(from == len);
}

/* Fields of a block, in order, each once but for those from `from` on. */
static void check_fields(const char *p, size_t len, const char *const *names)
{
	const char *end = p + len;

	while (p < end && *p != '\r') {
		const char *line_end = memchr(p, '\n', (size_t)(end - p));
		size_t name = strlen(*names ? *names : "");

		FUZZ_CHECK(line_end);
		if (*p == ' ' || *p == '\t') {
			/* No line of nothing but white space. */
			FUZZ_CHECK(p[1] != '\r');
		} else {
			while (*names && (strncmp(p, *names, name) != 0 ||
					     p[name] != ':')) {
				names++;
				name = strlen(*names ? *names : "");
			}
			FUZZ_CHECK(*names);
			names++;
		}
		p = line_end + 1;
	}
}

static const char *const header_names[] = {"Date", "From", "To", "Subject",
    "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding", NULL};
static const char *const message_names[] = {
    "Reporting-MTA", "Original-Envelope-Id", "Arrival-Date", NULL};
static const char *const recipient_names[] = {"Original-Recipient",
    "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code",
    "Last-Attempt-Date", NULL};

static void check_status(const struct mime_part *part, size_t recipients)
{
	const char *p = part->body, *end = p + part->body_len;
	size_t groups = 0;

	for (const char *c = p; c < end; c++)
		FUZZ_CHECK((unsigned char)*c < 0x7f);
	while (p < end) {
		const char *empty = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
		size_t len = (size_t)((empty ? empty + 2 : end) - p);

		check_fields(
		    p, len, groups++ ? recipient_names : message_names);
		p = empty ? empty + 4 : end;
	}
	FUZZ_CHECK(groups == recipients + 1);
}

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz.@0123456789", *text))
			return false;
	return true;
}

static void check_report(
    const struct input *in, const char *text, size_t len, struct arena *arena)
{
	const struct mime_part *status;
	struct report report;
	struct dsn dsn;
	struct err err = {0};

	FUZZ_CHECK(memmem(text, len, "\r\n\r\n", 4));
	check_fields(text, len, header_names);
	FUZZ_CHECK(report_open(text, len, arena, &report));
	FUZZ_CHECK(report.count == 3);
	check_lines(text, len, (size_t)-1);
	check_lines(text, (size_t)(report.parts[2].header - text), 998);
	status = report_part(&report, "message/delivery-status", NULL);
	FUZZ_CHECK(status == &report.parts[1]);
	if (dsn_parse(&report, arena, &dsn, &err) != REPORT_READ) {
		/* The sender may have called the recipient anything. */
		if (!strstr(err.text, "Original-Recipient"))
			fuzz_fail(__FILE__, __LINE__, err.text);
		return;
	}
	FUZZ_CHECK(dsn.count >= 1 && dsn.count <= 2 && !dsn.extensions.count);
	check_status(status, dsn.count);
	for (size_t i = 0; i < dsn.count; i++) {
		const struct dsn_recipient *r = &dsn.recipients[i];
		const char *want = in->field[i ? ANOTHER : RECIPIENT];

		FUZZ_CHECK(!r->extensions.count);
		if (is_plain(want))
			FUZZ_CHECK(str_eq(r->final_recipient.address, want));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct input in = read_input(text, size);
	struct script_call *call = script_call_new(policy(), "fuzz");
	struct message *m;
	struct value record;
	struct value kind = int_value(in.switches & 7);
	struct value full = {.type = VALUE_BOOL, .b = in.switches & 8};
	const struct value *result;

	in.field[SENDER] =
	    address_or(in.field[SENDER], "ann@sender.test", arena);
	in.field[RECIPIENT] =
	    address_or(in.field[RECIPIENT], "bob@dest.test", arena);
	in.field[ANOTHER] = address_or(in.field[ANOTHER], "", arena);
	m = message_of(&in);
	record = record_of(&in, arena);
	script_arg_message(call, m);
	script_arg_value(call, &kind);
	script_arg_value(call, &full);
	script_arg_value(call, &record);
	script_arg_string(call, in.field[HOST]);
	message_unref(m);
	(void)script_call_run(call, clock_now_ms() + 20000);
	if (*script_call_error(call))
		fuzz_fail(__FILE__, __LINE__, script_call_error(call));
	result = script_call_result(call);
	if (script_call_outcome(call) == SCRIPT_VALUE &&
	    result->type == VALUE_STRING)
		check_report(&in, result->s, result->len, arena);
	script_call_free(call);
	arena_unref(arena);
	free(text);
	return 0;
}

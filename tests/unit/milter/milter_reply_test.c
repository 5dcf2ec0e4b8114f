/* milter_reply_test.c - a refusal as the MTA gets it */
#include "milter_test.h"

#include "base/buf.h"
#include "base/str.h"
#include "milter/milter_reply.h"

static struct arena *arena;

static void setup(void)
{
	arena = arena_new(0);
}

static void teardown(void)
{
	arena_unref(arena);
}

static const struct {
	const char *label;
	int code;
	const char *message;
	const char *want; /* rcode xcode line|line */
} rejects[] = {
    {"an enhanced code of the same class is used", 550, "5.1.1 no such user",
	"550 5.1.1 no such user"},
    {"without one it is 7.1", 550, "go away", "550 5.7.1 go away"},
    {"also for 4yz", 451, "later", "451 4.7.1 later"},
    {"a contradicting one stays text", 550, "4.7.1 later",
	"550 5.7.1 4.7.1 later"},
    {"percent signs are doubled", 550, "5.7.1 100% sure",
	"550 5.7.1 100%% sure"},
    {"lines are lines", 550, "line one\nline two",
	"550 5.7.1 line one|line two"},
    {"with CRLF as well", 550, "one\r\ntwo\r\n", "550 5.7.1 one|two"},
    {"control characters are replaced", 550,
	"a\tb\x01"
	"c\x7f",
	"550 5.7.1 a?b?c?"},
    {"an empty line in the middle stays", 550, "a\n\nb", "550 5.7.1 a||b"},
    {"an empty text gets words", 554, "", "554 5.7.1 refused by local policy"},
    {"a code that is no refusal becomes 451 (D15)", 250, "x",
	"451 4.3.0 local policy error"},
    {"also beyond 599", 600, "x", "451 4.3.0 local policy error"},
    {"also -1", -1, "x", "451 4.3.0 local policy error"},
    {"421 is 421", 421, "4.7.0 busy", "421 4.7.0 busy"},
};

static const char *shown(const struct answer *answer)
{
	struct reply_lines lines;
	struct buf out = BUF_INIT;
	const char *text;

	reply_lines_format(&lines, answer, arena);
	buf_addf(&out, "%s %s ", lines.rcode, lines.xcode);
	for (size_t i = 0; i < lines.count; i++)
		buf_addf(&out, "%s%s", i ? "|" : "", lines.lines[i]);
	ck_assert(lines.lines[lines.count] == NULL);
	text = arena_strdup(arena, buf_str(&out));
	buf_release(&out);
	return text;
}

START_TEST(a_policys_reject_is_told_like_this)
{
	const struct script_reject reject = {
	    .code = rejects[_i].code, .message = rejects[_i].message};
	struct answer answer = answer_from_policy(arena, &reject);

	ck_assert_msg(str_eq(shown(&answer), rejects[_i].want), "%s: %s",
	    rejects[_i].label, shown(&answer));
	ck_assert(!answer.poison && !answer.shed);
}
END_TEST

static const struct {
	int code;
	enum script_disconnect mode;
	bool poison;
} disconnects[] = {
    {451, DISCONNECT_FORCE, true},
    {550, DISCONNECT_FOLLOW_421, true},
    {421, DISCONNECT_FORCE, false}, /* the MTA closes on 421 */
    {550, DISCONNECT_IF_421, false},
    {550, DISCONNECT_NO, false},
};

START_TEST(a_disconnect_poisons_unless_the_code_says_it_already)
{
	const struct script_reject reject = {.code = disconnects[_i].code,
	    .message = "no",
	    .mode = disconnects[_i].mode};

	ck_assert_int_eq(
	    answer_from_policy(arena, &reject).poison, disconnects[_i].poison);
}
END_TEST

START_TEST(a_reply_is_bounded)
{
	struct buf text = BUF_INIT;
	struct script_reject reject = {.code = 550};
	struct answer answer;
	struct reply_lines lines;

	for (int i = 0; i < 100; i++)
		buf_addstr(&text, i % 2 ? "short\n" : "%%%%%%%%%%%%\n");
	reject.message = buf_str(&text);
	answer = answer_from_policy(arena, &reject);
	reply_lines_format(&lines, &answer, arena);
	ck_assert_uint_eq(lines.count, REPLY_LINES_MAX);
	ck_assert(lines.lines[REPLY_LINES_MAX] == NULL);

	buf_reset(&text);
	for (int i = 0; i < 1000; i++)
		buf_addstr(&text, i < 500 ? "x" : "%");
	reject.message = buf_str(&text);
	answer = answer_from_policy(arena, &reject);
	reply_lines_format(&lines, &answer, arena);
	ck_assert_uint_eq(lines.count, 1);
	ck_assert_uint_eq(
	    strlen("550 5.7.1 ") + strlen(lines.lines[0]), REPLY_LINE_MAX);

	/* Doubled signs must not exceed what libmilter takes. */
	buf_reset(&text);
	for (int i = 0; i < 1000; i++)
		buf_addch(&text, '%');
	reject.message = buf_str(&text);
	answer = answer_from_policy(arena, &reject);
	reply_lines_format(&lines, &answer, arena);
	ck_assert_uint_lt(strlen(lines.lines[0]), 980);
	ck_assert_uint_eq(strlen(lines.lines[0]) % 2, 0);
	buf_release(&text);
}
END_TEST

START_TEST(a_line_is_not_cut_within_a_character)
{
	struct buf text = BUF_INIT;
	struct script_reject reject = {.code = 550};
	struct answer answer;
	struct reply_lines lines;

	buf_addch(&text, 'a');
	for (int i = 0; i < 400; i++)
		buf_addstr(&text, "\xc3\xa4");
	reject.message = buf_str(&text);
	answer = answer_from_policy(arena, &reject);
	reply_lines_format(&lines, &answer, arena);
	ck_assert(str_is_utf8(lines.lines[0], strlen(lines.lines[0])));
	buf_release(&text);
}
END_TEST

#define I(n)                                                                   \
	{                                                                      \
		.type = VALUE_INT, .i = (n)                                    \
	}
#define T(t)                                                                   \
	{                                                                      \
		.type = VALUE_STRING, .s = (t), .len = sizeof(t) - 1           \
	}
#define NIL                                                                    \
	{                                                                      \
		.type = VALUE_NIL                                              \
	}

static struct value code_554[] = {I(554), NIL};
static struct value text_only[] = {NIL, T("4.2.0 other words")};
static struct value both[] = {I(451), T("try later")};
static struct value bad_code[] = {I(250), NIL};
static struct value too_high[] = {I(600), T("5.7.1 more")};
static struct value not_a_code[] = {T("554"), NIL};
static struct value not_a_text[] = {I(554), I(1)};
static struct value floating[] = {{.type = VALUE_NUMBER, .n = 554.0}, NIL};
static struct value fraction[] = {{.type = VALUE_NUMBER, .n = 554.5}, NIL};
static struct value lines[] = {NIL, T("5.7.1 one\n5.7.1 two")};

static const struct {
	const char *label;
	struct value returned;
	const char *want;
} rewrites[] = {
    {"nothing changes nothing", NIL, "550 5.1.1 no such user"},
    {"a code alone keeps the text",
	{.type = VALUE_LIST, .items = code_554, .count = 2},
	"554 5.1.1 no such user"},
    {"a plain number is a code", I(450), "450 4.1.1 no such user"},
    {"a text alone keeps the code",
	{.type = VALUE_LIST, .items = text_only, .count = 2},
	"550 5.7.1 4.2.0 other words"},
    {"both", {.type = VALUE_LIST, .items = both, .count = 2},
	"451 4.7.1 try later"},
    {"a success cannot be made of it",
	{.type = VALUE_LIST, .items = bad_code, .count = 2},
	"550 5.1.1 no such user"},
    {"nor what is no reply; its text is taken",
	{.type = VALUE_LIST, .items = too_high, .count = 2}, "550 5.7.1 more"},
    {"a code is a number",
	{.type = VALUE_LIST, .items = not_a_code, .count = 2},
	"550 5.1.1 no such user"},
    {"a text is a string",
	{.type = VALUE_LIST, .items = not_a_text, .count = 2},
	"554 5.1.1 no such user"},
    {"a number without a fraction is an integer",
	{.type = VALUE_LIST, .items = floating, .count = 2},
	"554 5.1.1 no such user"},
    {"one with a fraction is not",
	{.type = VALUE_LIST, .items = fraction, .count = 2},
	"550 5.1.1 no such user"},
    {"a text may have lines", {.type = VALUE_LIST, .items = lines, .count = 2},
	"550 5.7.1 one|two"},
};

START_TEST(a_rewritten_refusal_stays_a_refusal)
{
	struct answer answer =
	    answer_refuse(arena, 550, "5.1.1", "no such user");

	answer_apply_rewrite(&answer, arena, &rewrites[_i].returned);
	ck_assert_msg(str_eq(shown(&answer), rewrites[_i].want), "%s: %s",
	    rewrites[_i].label, shown(&answer));
}
END_TEST

TCase *reply_cases(void)
{
	TCase *tc = tcase_create("reply");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_policys_reject_is_told_like_this, 0,
	    (int)(sizeof rejects / sizeof rejects[0]));
	tcase_add_loop_test(tc,
	    a_disconnect_poisons_unless_the_code_says_it_already, 0,
	    (int)(sizeof disconnects / sizeof disconnects[0]));
	tcase_add_test(tc, a_reply_is_bounded);
	tcase_add_test(tc, a_line_is_not_cut_within_a_character);
	tcase_add_loop_test(tc, a_rewritten_refusal_stays_a_refusal, 0,
	    (int)(sizeof rewrites / sizeof rewrites[0]));
	return tc;
}

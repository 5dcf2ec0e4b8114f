/* milter_batch_test.c - one transaction, several messages */
#include "milter_test.h"

#include "base/buf.h"
#include "base/str.h"
#include "milter/milter_batch.h"

static struct message *base;

static void add(const char *email, const char *notify)
{
	struct envelope_recipient r = {.notify = notify};
	struct err err = {0};

	ck_assert_msg(
	    address_parse(email, strlen(email), base->arena, &r.address, &err),
	    "%s", err.text);
	batch_add_recipient(base, &r);
}

static void setup(void)
{
	base = message_new();
	base->content = content_from_bytes("\r\n", 2);
}

static void teardown(void)
{
	message_unref(base);
}

/* "a@x,b@x|c@y" */
static const char *shown(const struct batches *batches)
{
	static char text[1024];
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < batches->count; i++) {
		const struct message *m = batches->items[i].message;

		if (i)
			buf_addch(&out, '|');
		for (size_t j = 0; j < m->recipients.count; j++)
			buf_addf(&out, "%s%s", j ? "," : "",
			    m->recipients.items[j].address.email);
	}
	(void)str_copy(text, sizeof text, buf_str(&out));
	buf_release(&out);
	return text;
}

static const struct {
	enum batch_handling how;
	const char *want;
} splits[] = {
    {BATCH_BIFURCATE_ALWAYS, "a@X.test|c@y.test|b@x.test|d@y.test"},
    {BATCH_BY_DOMAIN, "a@X.test,b@x.test|c@y.test,d@y.test"},
};

START_TEST(recipients_are_split_in_order)
{
	struct batches batches;
	struct err err = {0};

	add("a@X.test", NULL);
	add("c@y.test", NULL);
	add("b@x.test", NULL);
	add("d@y.test", NULL);
	ck_assert(batches_split(&batches, base, splits[_i].how, NULL, &err));
	ck_assert_str_eq(shown(&batches), splits[_i].want);
	for (size_t i = 0; i < batches.count; i++) {
		ck_assert(batches.items[i].message->content == base->content);
		ck_assert_str_ne(batches.items[i].message->id, base->id);
	}
	batches_release(&batches);
}
END_TEST

START_TEST(what_the_client_asked_for_travels_with_its_recipient)
{
	struct batches batches;
	struct err err = {0};

	add("a@x.test", "NEVER");
	add("b@x.test", "SUCCESS,FAILURE");
	ck_assert(
	    batches_split(&batches, base, BATCH_BIFURCATE_ALWAYS, NULL, &err));
	ck_assert_str_eq(batches.items[1].message->recipients.items[0].notify,
	    "SUCCESS,FAILURE");
	batches_release(&batches);
}
END_TEST

START_TEST(one_recipient_is_one_batch)
{
	struct batches batches;
	struct err err = {0};

	add("a@x.test", NULL);
	ck_assert(
	    batches_split(&batches, base, BATCH_BIFURCATE_ALWAYS, NULL, &err));
	ck_assert_str_eq(shown(&batches), "a@x.test");
	batches_release(&batches);
}
END_TEST

#define T(t)                                                                   \
	{                                                                      \
		.type = VALUE_STRING, .s = (t), .len = sizeof(t) - 1           \
	}
#define L(a)                                                                   \
	{                                                                      \
		.type = VALUE_LIST, .items = (a),                              \
		.count = sizeof(a) / sizeof *(a)                               \
	}

static struct value two[] = {T("b@x.test"), T("new@z.test")};
static struct value one[] = {T("a@x.test")};
static struct value two_groups[] = {L(two), {.type = VALUE_MAP}, L(one)};
static struct value wrong_inner[] = {T("a@x.test")};
static struct value number[] = {{.type = VALUE_INT, .i = 1}};
static struct value wrong_item[] = {L(number)};
static struct value bad[] = {T("a@b@c")};
static struct value bad_address[] = {L(bad)};

static const struct {
	const char *label;
	struct value wanted;
	const char *want; /* NULL: refused */
} policies[] = {
    {"nil leaves it to batch_handling", {.type = VALUE_NIL},
	"a@x.test|b@x.test"},
    {"groups as given, empty ones skipped", L(two_groups),
	"b@x.test,new@z.test|a@x.test"},
    {"an empty array is nobody", {.type = VALUE_MAP}, ""},
    {"an empty list as well", {.type = VALUE_LIST}, ""},
    {"a text is no array", T("a@x.test"), NULL},
    {"one array is not two", L(wrong_inner), NULL},
    {"a number is no address", L(wrong_item), NULL},
    {"an address must be one", L(bad_address), NULL},
};

START_TEST(the_policy_may_split_itself)
{
	struct batches batches;
	struct err err = {0};
	bool ok;

	add("a@x.test", NULL);
	add("b@x.test", "NEVER");
	ok = batches_split(
	    &batches, base, BATCH_BIFURCATE_ALWAYS, &policies[_i].wanted, &err);
	ck_assert_msg(ok == (policies[_i].want != NULL), "%s: %s",
	    policies[_i].label, err.text);
	if (ok)
		ck_assert_str_eq(shown(&batches), policies[_i].want);
	if (_i == 1)
		ck_assert_str_eq(
		    batches.items[0].message->recipients.items[0].notify,
		    "NEVER");
	batches_release(&batches);
}
END_TEST

TCase *batch_cases(void)
{
	TCase *tc = tcase_create("batch");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, recipients_are_split_in_order, 0,
	    (int)(sizeof splits / sizeof splits[0]));
	tcase_add_test(
	    tc, what_the_client_asked_for_travels_with_its_recipient);
	tcase_add_test(tc, one_recipient_is_one_batch);
	tcase_add_loop_test(tc, the_policy_may_split_itself, 0,
	    (int)(sizeof policies / sizeof policies[0]));
	return tc;
}

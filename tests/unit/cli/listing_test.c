/* listing_test.c - rows of v_queue, as text and as JSON */
#include "cli_test.h"

#include "base/json.h"
#include "cli/listing.h"

#define NOW 1678070000

#define A "\"id\":\"0193a7b2c3d47e5f8a9b0c1d2e3f4a5b\","
#define B "\"id\":\"0193a7b2c3d47e5f8a9b0c1d2e3f4a5c\","
#define ANN                                                                    \
	"\"sender\":\"ann@example.net\",\"size\":1234,"                        \
	"\"created_ms\":1678069691123,\"mta_queue_id\":\"4ABC\","
#define NOBODY                                                                 \
	"\"sender\":\"\",\"size\":10,\"created_ms\":1678069692000,"            \
	"\"mta_queue_id\":null,"

static const char *const rows[] = {
    "{" A ANN "\"recipient\":\"bob@example.com\",\"domain\":\"example.com\","
    "\"queue\":\"c:t@example.com\",\"state\":\"queued\",\"attempts\":2,"
    "\"due_at\":1678071000,\"last_code\":450,\"last_reply\":\"4.2.0 later\"}",
    "{" A ANN "\"recipient\":\"eve@example.org\",\"domain\":\"example.org\","
    "\"queue\":\"example.org\",\"state\":\"queued\",\"attempts\":0,"
    "\"due_at\":1678069691,\"last_code\":null,\"last_reply\":null}",
    "{" B NOBODY "\"recipient\":\"x@example.org\",\"domain\":\"example.org\","
    "\"queue\":\"example.org\",\"state\":\"held\",\"attempts\":3,"
    "\"due_at\":1678069691,\"held_because\":\"router died\\u001b\","
    "\"last_code\":null,\"last_reply\":null}",
};

static char *written;
static size_t written_len;

static void list(bool json, size_t count)
{
	FILE *out;
	struct arena *arena = arena_new(0);
	struct listing listing;
	struct value row;
	struct err err = {0};

	free(written);
	out = open_memstream(&written, &written_len);
	listing_begin(&listing, out, json, NOW);
	for (size_t i = 0; i < count; i++) {
		ck_assert_msg(
		    json_parse(rows[i], strlen(rows[i]), arena, &row, &err),
		    "%s", err.text);
		ck_assert(listing_row(&row, &listing));
	}
	listing_end(&listing);
	(void)fclose(out);
	arena_unref(arena);
}

START_TEST(an_empty_queue_says_so)
{
	list(false, 0);
	ck_assert_str_eq(written, "Queue is empty.\n");
	list(true, 0);
	ck_assert_str_eq(written, "");
}
END_TEST

START_TEST(a_message_is_shown_once_with_its_recipients)
{
	list(false, COUNT(rows));
	ck_assert_str_eq(written,
	    "Queue ID                          Arrived                 Size  "
	    "Sender\n"
	    "0193a7b2c3d47e5f8a9b0c1d2e3f4a5b  2023-03-06 02:28:11   1.2 kB  "
	    "ann@example.net\n"
	    "    bob@example.com  in c:t@example.com\n"
	    "        deferred until 2023-03-06 02:50:00 after 2 attempts: "
	    "450 4.2.0 later\n"
	    "    eve@example.org\n"
	    "        due now\n"
	    "0193a7b2c3d47e5f8a9b0c1d2e3f4a5c  2023-03-06 02:28:12       10  "
	    "<>\n"
	    "    x@example.org\n"
	    "        held after 3 attempts: router died\\x1b\n"
	    "-- 1.2 kB in 2 messages, 3 recipients.\n");
}
END_TEST

static struct value line_of(struct arena *arena, size_t n)
{
	const char *line = written;
	struct value v;
	struct err err = {0};

	while (n-- > 0)
		line = strchr(line, '\n') + 1;
	ck_assert_msg(json_parse(line, strcspn(line, "\n"), arena, &v, &err),
	    "%s", err.text);
	return v;
}

static const struct {
	size_t line;
	const char *key, *want;
} members[] = {
    {0, "queue_name", "\"deferred\""},
    {0, "queue_id", "\"0193a7b2c3d47e5f8a9b0c1d2e3f4a5b\""},
    {0, "arrival_time", "1678069691"},
    {0, "message_size", "1234"},
    {0, "forced_expire", "false"},
    {0, "sender", "\"ann@example.net\""},
    {0, "mta_queue_id", "\"4ABC\""},
    {1, "queue_name", "\"hold\""},
    {1, "sender", "\"\""},
};

START_TEST(json_is_a_superset_of_postqueue)
{
	struct arena *arena = arena_new(0);
	struct buf json = BUF_INIT;
	struct value line;

	list(true, COUNT(rows));
	line = line_of(arena, members[_i].line);
	ck_assert_ptr_nonnull(value_get(&line, members[_i].key));
	json_write(&json, value_get(&line, members[_i].key));
	ck_assert_str_eq(json.data, members[_i].want);
	buf_release(&json);
	arena_unref(arena);
}
END_TEST

START_TEST(json_recipients_have_their_address_and_reason)
{
	struct arena *arena = arena_new(0);
	const struct value *recipients;
	struct value line;

	list(true, COUNT(rows));
	line = line_of(arena, 0);
	recipients = value_get(&line, "recipients");
	ck_assert_uint_eq(recipients->count, 2);
	ck_assert_str_eq(
	    value_get(&recipients->items[0], "address")->s, "bob@example.com");
	ck_assert_str_eq(value_get(&recipients->items[0], "delay_reason")->s,
	    "450 4.2.0 later");
	ck_assert_str_eq(
	    value_get(&recipients->items[0], "queue")->s, "c:t@example.com");
	ck_assert_ptr_null(value_get(&recipients->items[1], "delay_reason"));
	ck_assert_ptr_null(value_get(&recipients->items[0], "sender"));
	arena_unref(arena);
}
END_TEST

Suite *listing_suite(void)
{
	Suite *suite = suite_create("listing");
	TCase *tcase = tcase_create("listing");

	tcase_add_test(tcase, an_empty_queue_says_so);
	tcase_add_test(tcase, a_message_is_shown_once_with_its_recipients);
	tcase_add_loop_test(
	    tcase, json_is_a_superset_of_postqueue, 0, COUNT(members));
	tcase_add_test(tcase, json_recipients_have_their_address_and_reason);
	suite_add_tcase(suite, tcase);
	return suite;
}

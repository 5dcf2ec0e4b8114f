/* schema_test.c - sql/: what is embedded fits together */
#include "tests/unit/queue/queue_test.h"

#include "base/fd.h"

static sqlite3 *new_schema(void)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db, sql_schema, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db, sql_views, NULL, NULL, NULL), SQLITE_OK);
	return db;
}

/* The first line of the plan that walks through a whole table or sorts. */
static void find_scan(sqlite3 *db, const char *sql, char *out, size_t size)
{
	char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
	sqlite3_stmt *stmt;

	*out = '\0';
	ck_assert_int_eq(
	    sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		const char *line = (const char *)sqlite3_column_text(stmt, 3);

		/* What a subquery or a RETURNING has made is small. */
		if ((strstr(line, "SCAN ") && !strstr(line, "(subquery") &&
			!strstr(line, "CONSTANT ROW")) ||
		    strstr(line, "TEMP B-TREE"))
			(void)snprintf(out, size, "%s", line);
	}
	(void)sqlite3_finalize(stmt);
	sqlite3_free(text);
}

START_TEST(every_statement_fits_the_schema_and_scans_nothing)
{
	const struct sql_text *text = &sql_texts[_i];
	sqlite3 *db = new_schema();
	sqlite3_stmt *stmt;
	char scan[200];
	int rc;

	if (!text->is_part) {
		rc = sqlite3_prepare_v2(db, text->text, -1, &stmt, NULL);
		ck_assert_msg(
		    rc == SQLITE_OK, "%s: %s", text->name, sqlite3_errmsg(db));
		(void)sqlite3_finalize(stmt);
		find_scan(db, text->text, scan, sizeof scan);
		ck_assert_msg(
		    text->is_operators || !*scan, "%s: %s", text->name, scan);
	}
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

/* The plan of a statement does not show its triggers'. */
static const struct {
	const char *label, *sql;
} of_triggers[] = {
    {"lowering next_due", "UPDATE queue SET next_due = 5 WHERE id = 1 "
			  "AND (next_due IS NULL OR next_due > 5)"},
    {"the last recipient", "SELECT 1 FROM recipient WHERE message = 1"},
    {"the message", "DELETE FROM message WHERE id = 1"},
    {"small content",
	"DELETE FROM content WHERE id = 1 AND refs = 1 AND size <= 65536"},
    {"large content", "UPDATE content SET refs = refs - 1 WHERE id = 1"},
};

START_TEST(triggers_scan_nothing)
{
	sqlite3 *db = new_schema();
	char scan[200];

	find_scan(db, of_triggers[_i].sql, scan, sizeof scan);
	ck_assert_msg(!*scan, "%s: %s", of_triggers[_i].label, scan);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

/* ALTER TABLE adds a column where the line ends: layout does not count. */
static void drop_space(char *s)
{
	char *out = s;

	for (const char *in = s; *in; in++)
		if (!strchr(" \t\n", *in))
			*out++ = *in;
	*out = '\0';
}

/* All that a schema is, in one text. */
static char *dump(sqlite3 *db)
{
	static const char sql[] =
	    "SELECT coalesce(group_concat(line, char(10)), '') FROM "
	    "(SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS line "
	    "FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name)";
	sqlite3_stmt *stmt;
	char *text;

	ck_assert_int_eq(
	    sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
	text = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
	drop_space(text);
	(void)sqlite3_finalize(stmt);
	return text;
}

static char *dump_file(const char *path)
{
	sqlite3 *db;
	char *text;

	ck_assert_int_eq(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	text = dump(db);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	return text;
}

/* tests/data/queue-N.sql is schema N as it was released.  Whoever changes
 * schema.sql without a new version and a migration fails here. */
START_TEST(every_released_schema_becomes_todays)
{
	const char *path = store_path(), *top = getenv("top_srcdir");
	char name[512], *want, *have, *sql;
	struct err err = {0};
	sqlite3 *db;
	size_t len;

	(void)snprintf(name, sizeof name, "%s/tests/data/queue-%d.sql",
	    top ? top : ".", _i);
	sql = fd_read_file(name, 1 << 20, &len, &err);
	ck_assert_msg(sql != NULL, "%s", err.text);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	free(sql);

	queue_close(store_open(path, QUEUE_ROUTER));
	db = new_schema();
	want = dump(db);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	have = dump_file(path);
	ck_assert_str_eq(have, want);
	sqlite3_free(have);
	sqlite3_free(want);
	assert_sound(path);
}
END_TEST

static const struct sql_migration steps[] = {
    {SQL_SCHEMA_VERSION + 1, "one",
	"ALTER TABLE recipient ADD COLUMN one INTEGER;"},
    {SQL_SCHEMA_VERSION + 2, "two",
	"ALTER TABLE recipient ADD COLUMN two INTEGER;"},
};

START_TEST(steps_of_a_migration_come_together_or_not_at_all)
{
	static const struct sql_migration broken[] = {
	    {SQL_SCHEMA_VERSION + 1, "one",
		"ALTER TABLE recipient ADD COLUMN one INTEGER;"},
	    {SQL_SCHEMA_VERSION + 2, "two", "ALTER TABLE nothing ADD x;"},
	};
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_ROUTER);
	struct queue_conn *conn = store_connect(queue);
	char *before = dump_file(path), *after;
	struct err err = {0};

	ck_assert(
	    !queue_file_migrate(conn, broken, 2, SQL_SCHEMA_VERSION + 2, &err));
	after = dump_file(path);
	ck_assert_str_eq(after, before);
	sqlite3_free(after);
	sqlite3_free(before);
	ck_assert_int_eq(
	    sql_int(path, "PRAGMA user_version"), SQL_SCHEMA_VERSION);

	ck_ok(queue_file_migrate(conn, steps, 2, SQL_SCHEMA_VERSION + 2, &why));
	ck_assert_int_eq(
	    sql_int(path, "PRAGMA user_version"), SQL_SCHEMA_VERSION + 2);
	ck_assert_int_eq(sql_int(path, "SELECT count(two) FROM recipient"), 0);
	queue_disconnect(conn);
	queue_close(queue);
}
END_TEST

START_TEST(a_gap_between_migrations_is_refused)
{
	struct queue *queue = store_open(store_path(), QUEUE_ROUTER);
	struct queue_conn *conn = store_connect(queue);
	struct err err = {0};

	ck_assert(!queue_file_migrate(
	    conn, steps + 1, 1, SQL_SCHEMA_VERSION + 2, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	queue_disconnect(conn);
	queue_close(queue);
}
END_TEST

TCase *schema_tests(void)
{
	TCase *t = tcase_create("schema");

	tcase_add_loop_test(t,
	    every_statement_fits_the_schema_and_scans_nothing, 0,
	    SQL_STATEMENT_COUNT);
	tcase_add_loop_test(
	    t, triggers_scan_nothing, 0, (int)COUNT(of_triggers));
	tcase_add_loop_test(
	    t, every_released_schema_becomes_todays, 1, SQL_SCHEMA_VERSION + 1);
	tcase_add_test(t, steps_of_a_migration_come_together_or_not_at_all);
	tcase_add_test(t, a_gap_between_migrations_is_refused);
	return t;
}

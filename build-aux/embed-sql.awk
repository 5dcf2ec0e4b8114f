# embed-sql.awk: sql/*.sql -> sql.h or sql.c
#
#   awk -v what=h|c -f embed-sql.awk schema.sql views.sql queries.sql \
#       migrations/NNNN-what.sql ...
#
# Statements become an enum and a table of texts, without their comments.
function fail(text)
{
	printf "%s:%d: %s\n", FILENAME, FNR, text > "/dev/stderr"
	failed = 1
	exit 1
}

function quote(s)
{
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	return "\t\"" s "\\n\"\n"
}

# Drops a comment; none of ours has "--" inside a string.
function strip(s)
{
	sub(/[ \t]*--.*$/, "", s)
	return s
}

FNR == 1 {
	file = FILENAME
	sub(/.*\//, "", file)
	migration = file ~ /^[0-9][0-9][0-9][0-9]-/
	if (migration) {
		n_migrations++
		version[n_migrations] = file + 0
		title[n_migrations] = file
	}
}

file == "queries.sql" && /^-- name: / {
	count++
	name[count] = $3
	if (seen[$3]++)
		fail("name used twice: " $3)
	next
}
file == "queries.sql" && /^-- operator$/ {
	operator[count] = 1
	next
}
file == "queries.sql" && /^-- part$/ {
	part[count] = 1
	next
}

{
	line = strip($0)
	if (line ~ /^[ \t]*$/)
		next
	if (file == "queries.sql") {
		if (!count)
			fail("SQL before the first name")
		text[count] = text[count] quote(line)
	} else if (file == "schema.sql") {
		if (line ~ /^PRAGMA user_version = /) {
			split(line, words, /[ ;]+/)
			schema_version = words[4] + 0
		}
		if (line ~ /^PRAGMA application_id = /) {
			split(line, words, /[ ;]+/)
			application_id = words[4]
		}
		schema = schema quote(line)
	} else if (file == "views.sql") {
		views = views quote(line)
	} else if (migration) {
		migrate[n_migrations] = migrate[n_migrations] quote(line)
	} else
		fail("what is this file?")
}

END {
	if (failed)
		exit 1
	if (!schema_version || !application_id || !views || !count) {
		print "embed-sql.awk: something is missing" > "/dev/stderr"
		exit 1
	}
	print "/* Made by build-aux/embed-sql.awk from the files of sql/; do not edit. */"
	if (what == "h") {
		print "#ifndef SQL_SQL_H\n#define SQL_SQL_H\n"
		print "#include <stdbool.h>\n#include <stddef.h>\n"
		printf "#define SQL_SCHEMA_VERSION %d\n", schema_version
		printf "#define SQL_APPLICATION_ID %s\n\n", application_id
		print "enum sql_statement {"
		for (i = 1; i <= count; i++)
			print "\tSQL_" toupper(name[i]) ","
		print "\tSQL_STATEMENT_COUNT,\n};\n"
		print "struct sql_text {"
		print "\tconst char *name, *text;"
		print "\tbool is_operators; /* may scan: someone asked for it */"
		print "\tbool is_part;\t    /* a condition, not a statement */"
		print "};\n"
		print "/* Brings a file from version - 1 to version. */"
		print "struct sql_migration {"
		print "\tint version;\n\tconst char *name, *text;\n};\n"
		print "extern const struct sql_text sql_texts[SQL_STATEMENT_COUNT];"
		print "extern const char sql_schema[], sql_views[];"
		print "extern const struct sql_migration sql_migrations[];"
		print "extern const size_t sql_migration_count;\n"
		print "#endif"
	} else {
		print "#include \"sql/sql.h\"\n"
		print "const struct sql_text sql_texts[SQL_STATEMENT_COUNT] = {"
		for (i = 1; i <= count; i++) {
			printf "    [SQL_%s] = {\"%s\",\n", toupper(name[i]), name[i]
			printf "%s", text[i]
			printf "\t, %s, %s},\n", operator[i] ? "true" : "false",
			    part[i] ? "true" : "false"
		}
		print "};\n"
		printf "const char sql_schema[] =\n%s;\n\n", schema
		printf "const char sql_views[] =\n%s;\n\n", views
		print "const struct sql_migration sql_migrations[] = {"
		for (i = 1; i <= n_migrations; i++)
			printf "    {%d, \"%s\",\n%s},\n", version[i],
			    title[i], migrate[i]
		# An array needs an element.
		print "    {0, NULL, NULL},\n};"
		printf "const size_t sql_migration_count = %d;\n", n_migrations
	}
}

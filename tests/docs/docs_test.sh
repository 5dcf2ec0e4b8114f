#!/bin/sh
# docs_test.sh - what the programs can do stands in their manual pages
#
# Names come from where they are made: options from --help, parameters from
# `penstock params`, views from a database made of sql/, the rest from the
# tables in the sources.  Prints what is missing; exit 1 then.  77: a tool is
# missing.
set -u

src=${top_srcdir:-.}
build=${top_builddir:-.}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/docs_test.XXXXXX") || exit 99
trap 'rm -rf "$scratch"' EXIT

for tool in mandoc sqlite3; do
	if ! command -v "$tool" >/dev/null; then
		echo "docs_test: $tool is not installed"
		exit 77
	fi
done

failed=0
checked=0
complain() {
	echo "$*"
	failed=$((failed + 1))
}

# ---- the pages, as text: long lines, no overstrikes ----

bs=$(printf '\b')
for name in penstock.1 penstock-log.5 penstock-lua.3 penstock-milter.8 \
	penstock-policy.5 penstock-queue.5 penstock-router.8 \
	penstock-test.5; do
	page=$build/doc/man/$name
	if ! mandoc -T lint -W warning "$page"; then
		complain "$name: mandoc -T lint has warnings"
	fi
	mandoc -T ascii -O width=900 "$page" | sed "s/.$bs//g" \
		>"$scratch/$name"
done
# What is in Lua stands in one of two.
cat "$scratch/penstock-policy.5" "$scratch/penstock-lua.3" >"$scratch/lua"

# has PAGE WHAT WORD...: each word stands in the page, as a word.
has() {
	page=$1 what=$2
	shift 2
	if [ $# -eq 0 ]; then
		complain "$page: no $what found to look for"
	fi
	for word; do
		checked=$((checked + 1))
		grep -Eq "(^|[^A-Za-z0-9_-])$word([^A-Za-z0-9_-]|\$)" \
			"$scratch/$page" || complain "$page: $what: $word"
	done
}

# ---- options ----

options_of() {
	"$@" --help 2>&1 | grep -Eo -- '--[a-z][a-z-]+' | sort -u
}

# shellcheck disable=SC2046 # words, one for each option
{
	has penstock-milter.8 option $(options_of "$build/penstock-milter")
	has penstock-router.8 option $(options_of "$build/penstock-router")
	has penstock.1 option $(options_of "$build/penstock")
}
# `sql` hands all its arguments on.
commands=$("$build/penstock" --help |
	sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p')
# shellcheck disable=SC2086
has penstock.1 command $commands
for command in $commands; do
	[ "$command" != sql ] || continue
	# shellcheck disable=SC2046
	has penstock.1 "option of $command" \
		$(options_of "$build/penstock" "$command")
done

# ---- members of the answer to `status` ----

# members FILE FUNCTION: what the function adds to a JSON object.
members() {
	awk -v start="(^| |[*])$2\\\\(" '$0 ~ start && /^[a-z]/ { on = 1 }
		on; /^}/ { on = 0 }' "$src/$1" | tr -d '\n\t' |
		grep -Eo 'json_add_[a-z]+\( *&?o, "[a-z_]+"' |
		sed 's/.*"\(.*\)"/\1/'
}

# shellcheck disable=SC2046
{
	has penstock-milter.8 "member of status" \
		$(members milter/milter_service.c service_status)
	has penstock-router.8 "member of status" \
		$(members router/router_control.c status) \
		$(members router/router_control.c counters) \
		$(members router/intake.c intake_status) \
		$(members router/ready_queue.c ready_queues_status)
}

# ---- the policy: parameters, events, functions, methods ----

# It has to notice: a page without one of them is no good.
sed 's/include_recipients//g' "$scratch/penstock-policy.5" >"$scratch/without"
if (has without parameter include_recipients; exit "$failed") >/dev/null; then
	complain "docs_test: a parameter that is missing is not noticed"
fi
for set in $("$build/penstock" params | sed 's/ .*//'); do
	has penstock-policy.5 constructor "$set"
	# shellcheck disable=SC2046
	has penstock-policy.5 "parameter of $set" \
		$("$build/penstock" --json params "$set" |
			grep -Eo '"key":"[^"]+"' | cut -d'"' -f4)
done

# shellcheck disable=SC2046
has penstock-policy.5 event $(
	sed -n '/kinds\[\] = {/,/^};/s/^    {"\([a-z_]*\)".*/\1/p' \
		"$src/lua/script_event.c"
)

# Names in luaL_Reg tables; those with __ are Lua's own.
for file in "$src"/lua/bind_*.c; do
	names=$(sed -n '/^static const luaL_Reg [a-z_]*\[\] = {/,/^};/p' "$file" |
		grep -Eo '\{"[a-z][a-z0-9_]*"' | tr -d '{"')
	# shellcheck disable=SC2086
	[ -z "$names" ] ||
		has lua "name in lua/${file##*/}" $names
done

# What a policy finds in kumo, by its full name.
cat >"$scratch/names.lua" <<'END'
local function list(name, t)
  for k, v in pairs(t) do
    if type(v) == 'table' then
      list(name .. '.' .. k, v)
    else
      print('NAME', name .. '.' .. k)
    end
  end
end
list('kumo', require 'kumo')
list('penstock', require 'penstock')
END
# Hashes and forms are described together.
# shellcheck disable=SC2046
has lua "name of a function" $(
	"$build/penstock" --policy "$scratch/names.lua" check 2>/dev/null |
		sed -n 's/^NAME[^a-z]*//p' | sed '
			s/^kumo\.encode\.\(.*\)_[a-z]*code$/\1/
			s/^kumo\.digest\.\(hmac_\)\{0,1\}//
			s/^kumo\.//
			s/^\(json\|toml\)_/serde.&/' | sort -u
)

# Keys of connection metadata that the milter sets.
# shellcheck disable=SC2046
has penstock-policy.5 "conn_meta key" $(
	cat "$src"/milter/*.c | tr -d '\n\t' |
		grep -Eo 'meta_set(_string)?\([^,;]*->meta, *"[a-z_]+"' |
		sed 's/.*"\(.*\)"/\1/' | sort -u
)

# ---- the queue: views and their columns, tables ----

db=$scratch/queue.db
cat "$src/sql/schema.sql" "$src/sql/views.sql" | sqlite3 "$db" ||
	complain "sql/: the schema does not load"

# section NAME: the part of the page that is about a view.
section() {
	awk -v name="$1" '$0 == "   " name { on = 1; next }
		/^   [^ ]/ || /^[^ ]/ { on = 0 } on' \
		"$scratch/penstock-queue.5" >"$scratch/penstock-queue.5, $1"
}

for view in $(sqlite3 "$db" \
	"SELECT name FROM sqlite_schema WHERE type = 'view'"); do
	has penstock-queue.5 view "$view"
	section "$view"
	# shellcheck disable=SC2046
	has "penstock-queue.5, $view" column $(sqlite3 "$db" \
		"SELECT name FROM pragma_table_info('$view')")
done
# shellcheck disable=SC2046
has penstock-queue.5 table $(sqlite3 "$db" "SELECT name FROM sqlite_schema
	WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")

# ---- log records: fields and types ----

# shellcheck disable=SC2046
{
	has penstock-log.5 field $(
		sed -n 's/^    FIELD(\([a-z_]*\),.*/\1/p
			s/^    FIELD_AT("\([a-z_]*\)",.*/\1/p' \
			"$src/logs/log_record.c"
	)
	has penstock-log.5 type $(
		sed -n '/type_names\[LOG_TYPE_COUNT\]/,/^};/s/.*"\(.*\)",/\1/p' \
			"$src/logs/log_record.c"
	)
}

# ---- doc/HACKING.md: every file, and no other ----

hacking=$src/doc/HACKING.md
# shellcheck disable=SC2013 # names of folders are words
for folder in $(sed -n 's/^### \([a-z]*\)$/\1/p' "$hacking"); do
	for file in "$src/$folder"/*.[ch] "$src/$folder"/*.sql; do
		[ -f "$file" ] || continue
		name=${file##*/}
		echo "${name%.*}"
	done | sort -u >"$scratch/there"
	awk -v title="### $folder" '/^###? / { on = $0 == title } on' \
		"$hacking" | sed -n 's/^| `\([a-z0-9_]*\)\..*/\1/p' |
		sort -u >"$scratch/listed"
	for name in $(comm -23 "$scratch/there" "$scratch/listed"); do
		complain "HACKING.md: $folder/$name is not listed"
	done
	for name in $(comm -13 "$scratch/there" "$scratch/listed"); do
		complain "HACKING.md: $folder/$name does not exist"
	done
	checked=$((checked + $(wc -l <"$scratch/there")))
done

# ... and every table with its columns.
awk '/^CREATE TABLE / { table = $3 } /^\)/ { table = "" }
	table && /^\t[a-z_0-9]+ +[A-Z]/ { print table, $1 }' "$src/sql/schema.sql" \
	>"$scratch/columns"
while read -r table column; do
	checked=$((checked + 1))
	grep "^| \`$table\` |" "$hacking" | grep -Fq "\`$column\`" ||
		complain "HACKING.md: column $table.$column is not explained"
done <"$scratch/columns"

# listed PATH...: each file stands in a table by this path.
listed() {
	for file; do
		checked=$((checked + 1))
		grep -Fq "| \`${file%.h}" "$hacking" ||
			complain "HACKING.md: $file is not listed"
	done
}

# Patterns are expanded where the files are.
# shellcheck disable=SC2046
{
	listed $(cd "$src/tests" && ls e2e/*.lua interop/*.lua \
		harness/*.lua harness/*.[ch] tools/*.c)
	listed $(cd "$src" && ls build-aux/*.awk)
}

# ---- examples: those in Lua are policies that load, queries can be asked ----

for name in penstock-policy.5 penstock-lua.3 penstock-log.5 penstock-queue.5; do
	awk -v base="$scratch/example-$name" '
		/^\.Bd -literal/ { n++; on = 1; next }
		/^\.Ed/ { on = 0 }
		on { gsub(/\\e/, "\\"); print > (base "-" n) }
	' "$build/doc/man/$name"
done
# Files that are shown are there for the policies that name them.
for example in "$scratch"/example-*; do
	name=$(sed -n '1s|^# /etc/penstock/\([a-z]*\.toml\)$|\1|p' "$example")
	[ -z "$name" ] || cp "$example" "$scratch/$name"
done
for example in "$scratch"/example-*; do
	if grep -q '^kumo\.on' "$example"; then
		echo "local kumo = require 'kumo'" >"$scratch/policy.lua"
		# Files that an installation has.
		grep -v "require 'kumo'" "$example" | sed "
			s|'/etc/penstock/our-rules.toml', ||
			s|/etc/penstock/queues.toml|$scratch/queues.toml|
			s|/etc/penstock/sources.toml|$scratch/sources.toml|
			s|/etc/penstock/shaping.toml|$src/contrib/policies/shaping.toml|
			s|'bounce-rules.toml'|'$src/contrib/bounce-rules.toml'|" \
			>>"$scratch/policy.lua"
		"$build/penstock" --policy "$scratch/policy.lua" check \
			>"$scratch/said" 2>&1
	elif grep -q '^SELECT' "$example"; then
		sqlite3 "$db" <"$example" >"$scratch/said" 2>&1
	else
		continue
	fi || {
		complain "${example##*/}: $(cat "$scratch/said")"
	}
	checked=$((checked + 1))
done

if [ "$failed" -gt 0 ]; then
	echo "docs_test: $failed of $checked names and examples are missing or wrong"
	exit 1
fi
echo "docs_test: $checked names and examples are right"

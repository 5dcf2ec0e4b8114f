#!/bin/sh
# policies_test.sh - the example policies hold what they say
#
# Each of contrib/policies is checked, passes the tests that come with it, and lets
# no stranger relay.  They run in a copy, with the files of /etc/penstock and those that
# are installed in it.
set -u

src=${top_srcdir:-.}
penstock=${top_builddir:-.}/penstock
scratch=$(mktemp -d "${TMPDIR:-/tmp}/policies_test.XXXXXX") || exit 99
trap 'rm -rf "$scratch"' EXIT

cp -R "$src/contrib/policies/." "$src/contrib/bounce-rules.toml" "$scratch" ||
	exit 99
chmod -R u+w "$scratch"
sed -i "s|/etc/penstock/|$scratch/|; s|/var/log/penstock|$scratch/log|
	s|'bounce-rules.toml'|'$scratch/bounce-rules.toml'|" \
	"$scratch"/*.lua

failed=0
complain() {
	echo "$1: $2"
	sed 's/^/    /' "$scratch/said"
	failed=$((failed + 1))
}

count=0
for policy in "$scratch"/*.lua; do
	name=$(basename "$policy" .lua)
	count=$((count + 1))
	"$penstock" --policy "$policy" check >"$scratch/said" 2>&1 ||
		complain "$name" "penstock check"
	if [ ! -f "$scratch/tests/${name}_test.lua" ]; then
		echo "$name: has no tests/${name}_test.lua"
		failed=$((failed + 1))
		continue
	fi
	"$penstock" test "$scratch/tests/${name}_test.lua" \
		>"$scratch/said" 2>&1 ||
		complain "$name" "penstock test"
	"$penstock" --policy "$policy" test --open-relay >"$scratch/said" 2>&1 ||
		complain "$name" "penstock test --open-relay"
done

# Each of these checks sees what it is for.
hole=$scratch/hole.lua
for change in \
	"relay_to = true/relay_to = true, relay_from = { 'any' }" \
	"if OUR_DOMAINS.domain. then/if domain then"; do
	sed "s/$change/" "$scratch/minimal.lua" >"$hole"
	if cmp -s "$hole" "$scratch/minimal.lua"; then
		echo "minimal: nothing there like $change"
		failed=$((failed + 1))
	elif "$penstock" --policy "$hole" test --open-relay \
		>"$scratch/said" 2>&1; then
		complain "a hole, $change" "penstock test --open-relay saw nothing"
	fi
done

if [ "$failed" -gt 0 ] || [ "$count" -lt 5 ]; then
	echo "policies_test: $failed failures in $count policies"
	exit 1
fi
echo "policies_test: $count policies are in order"

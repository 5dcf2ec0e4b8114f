# check-layers.awk - hold every #include against build-aux/layers
#
#	awk -f build-aux/check-layers.awk -v top=DIR build-aux/layers
#
# A line of layers is `floor : floors below it < headers of libraries`.  Ours
# are included as "floor/file.h", a floor's own and those below it.  Headers of
# libraries are names that end in .h, or prefixes ("event2/", "lua"); one that
# stands on any line may only be included by the floors that list it.  All other
# <headers> are the system's and free.  tests/ and bench/ are no floors.
#
# Prints `mail/x.c:3: mail/ must not include policy/y.h` and exits 1.

function complain(file, line, text)
{
	printf "%s:%d: %s\n", file, line, text
	bad = 1
}

# Is the header named by this entry of the right column?
function names(entry, header)
{
	if (entry ~ /\.h$/)
		return entry == header
	return index(header, entry) == 1
}

function listed_by(floor, header,    i)
{
	for (i = 1; i <= library_count[floor]; i++)
		if (names(library[floor, i], header))
			return 1
	return 0
}

function check_library(floor, file, line, header,    f)
{
	if (listed_by(floor, header))
		return
	for (f in is_floor)
		if (listed_by(f, header)) {
			complain(file, line,
			    floor "/ must not include <" header ">")
			return
		}
}

function check_ours(floor, file, line, header,    target)
{
	if (header == "config.h")
		return
	target = header
	if (!sub(/\/.*/, "", target)) {
		complain(file, line,
		    "write \"" floor "/" header "\", not \"" header "\"")
		return
	}
	if (target != floor && !((floor, target) in may))
		complain(file, line, floor "/ must not include " header)
}

function check_file(floor, path,    file, line, text, header)
{
	file = substr(path, length(top) + 2)
	line = 0
	while ((getline text < path) > 0) {
		line++
		if (text !~ /^[ \t]*#[ \t]*include[ \t]*[<"]/)
			continue
		header = text
		sub(/^[^<"]*[<"]/, "", header)
		sub(/[>"].*/, "", header)
		if (text ~ /^[ \t]*#[ \t]*include[ \t]*"/)
			check_ours(floor, file, line, header)
		else
			check_library(floor, file, line, header)
	}
	close(path)
	files++
}

/^[ \t]*(#|$)/ { next }

{
	line_text = $0
	if (line_text !~ /^[a-z]+[ \t]*:[^<]*<?/ || line_text !~ /</) {
		complain(FILENAME, FNR, "expected `floor : floors < headers`")
		next
	}
	floor = $1
	sub(/:.*/, "", floor)
	is_floor[floor] = 1
	order[++floor_count] = floor
	left = line_text
	sub(/^[^:]*:/, "", left)
	right = left
	sub(/<.*/, "", left)
	sub(/^[^<]*</, "", right)
	n = split(left, words)
	for (i = 1; i <= n; i++) {
		if (!(words[i] in is_floor))
			complain(FILENAME, FNR,
			    floor ": " words[i] " is not a floor below it")
		may[floor, words[i]] = 1
	}
	library_count[floor] = split(right, words)
	for (i = 1; i <= library_count[floor]; i++)
		library[floor, i] = words[i]
}

END {
	if (top == "")
		top = "."
	for (i = 1; i <= floor_count; i++) {
		floor = order[i]
		command = "find '" top "/" floor "' -name '*.[ch]' -o -name '*.cc' | LC_ALL=C sort"
		while ((command | getline path) > 0)
			check_file(floor, path)
		close(command)
	}
	if (!files)
		complain(top, 0, "there are no sources here")
	exit bad
}

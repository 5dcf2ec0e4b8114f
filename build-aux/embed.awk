# embed.awk: lua/modules/**/*.lua -> lua/modules.c
#
#   awk -v top=DIR/lua/modules/ -f embed.awk DIR/lua/modules/policy-extras/x.lua ...
#
# Each file becomes an entry under the name that require uses.  array and header
# may name another array than script_modules and the header that declares it.
BEGIN {
	if (!array)
		array = "script_modules"
	if (!header)
		header = "lua/modules.h"
}

function quote(s)
{
	gsub(/\\/, "\\\\&", s)
	gsub(/"/, "\\\"", s)
	gsub(/\t/, "\\t", s)
	gsub(/\?/, "\\?", s)
	return "\t\"" s "\\n\"\n"
}

FNR == 1 {
	n++
	name = substr(FILENAME, length(top) + 1)
	sub(/\.lua$/, "", name)
	file[n] = name ".lua"
	sub(/\/init$/, "", name)
	gsub(/\//, ".", name)
	names[n] = name
}

{ text[n] = text[n] quote($0) }

END {
	print "/* Made by build-aux/embed.awk; do not edit. */"
	print "#include \"" header "\"\n"
	print "const struct script_module " array "[] = {"
	for (i = 1; i <= n; i++)
		printf "    {\"%s\", \"%s\",\n%s\t},\n", names[i], file[i], text[i]
	print "    {NULL, NULL, NULL},\n};"
}

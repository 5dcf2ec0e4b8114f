# coverage.awk - one line a source, the least covered first, from `gcov -n`
#
#	gcov -n -r -s TOP *.gcda | awk -f build-aux/coverage.awk | sort -n
#
# A header or source that several programs were built from is counted as the
# best of them, because gcov does not add up between objects.
/^File '/ {
	file = $0
	gsub(/^File '|'$/, "", file)
	next
}
/^Lines executed:/ && file != "" && file !~ /^tests\// {
	percent = $0
	sub(/^Lines executed:/, "", percent)
	lines = percent
	sub(/%.*/, "", percent)
	sub(/.* of /, "", lines)
	if (!(file in best) || percent + 0 > best[file]) {
		best[file] = percent + 0
		count[file] = lines + 0
	}
	file = ""
}
END {
	for (file in best) {
		printf "%6.2f%% of %4d lines  %s\n", best[file], count[file], file
		sum += best[file] * count[file] / 100
		all += count[file]
	}
	if (all)
		printf "%6.2f%% of %d lines in all\n", 100 * sum / all, all
}

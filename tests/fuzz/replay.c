/*
 * replay.c - a fuzz target without a fuzzer: runs over files
 *
 *	fuzz_NAME [FILE ...]
 *
 * Without files it takes those of tests/fuzz/corpus/NAME.  A crash is the
 * failure; the file that made it was named before.
 */
#include <dirent.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static void run_file(const char *path)
{
	char data[65536];
	FILE *file = fopen(path, "r");
	size_t len;

	FUZZ_CHECK(file);
	(void)printf("# %s\n", path);
	(void)fflush(stdout);
	len = fread(data, 1, sizeof data, file);
	(void)fclose(file);
	(void)LLVMFuzzerTestOneInput((const uint8_t *)data, len);
}

static int run_folder(const char *folder)
{
	struct dirent **found;
	int n, run = 0;

	n = chdir(folder) ? -1 : scandir(".", &found, NULL, alphasort);
	if (n < 0) {
		perror(folder);
		return 0;
	}
	for (int i = 0; i < n; i++) {
		if (found[i]->d_name[0] != '.') {
			run_file(found[i]->d_name);
			run++;
		}
		free(found[i]);
	}
	free(found);
	return run;
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir");
	const char *name = strrchr(argv[0], '/');
	char folder[4096];
	int run = argc - 1;

	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	if (argc == 1) {
		name = name ? name + 1 : argv[0];
		if (strncmp(name, "fuzz_", 5) == 0)
			name += 5;
		(void)snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s",
		    top ? top : ".", name);
		run = run_folder(folder);
		(void)printf(
		    "%s 1 - %s: %d inputs\n", run ? "ok" : "not ok", name, run);
	}
	return run ? 0 : 1;
}

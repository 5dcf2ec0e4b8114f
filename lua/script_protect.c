/*
 * script_protect.c - the names, compared by device and inode
 */
#include "lua/script_protect.h"

#include "base/array.h"
#include "base/xalloc.h"
#include "lua/script.h"

/* Set before threads start. */
static struct {
	char **items;
	size_t count, size;
} protected_files;

void script_protect_file(const char *path)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

	for (size_t i = 0; i < COUNT(suffixes); i++)
		*ARRAY_ADD(&protected_files) =
		    xasprintf("%s%s", path, suffixes[i]);
}

bool script_is_protected(const struct stat *st)
{
	for (size_t i = 0; i < protected_files.count; i++) {
		struct stat other;

		if (stat(protected_files.items[i], &other) == 0 &&
		    other.st_dev == st->st_dev && other.st_ino == st->st_ino)
			return true;
	}
	return false;
}

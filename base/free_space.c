/*
 * free_space.c - is there enough left of a file system?
 */
#include "base/free_space.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/statvfs.h>

static int64_t floor_of(const struct free_floor *floor, double all)
{
	double part = all * floor->percent / 100;

	return part < (double)floor->least ? (int64_t)part : floor->least;
}

bool free_space_enough(
    const char *dir, const struct free_floors *floors, struct err *err)
{
	struct statvfs fs;
	int64_t room, least;

	if (statvfs(dir, &fs) < 0)
		return errno == ENOENT || err_errno(err, ERR_TEMP, "%s", dir);
	room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	least =
	    floor_of(&floors->bytes, (double)fs.f_blocks * (double)fs.f_frsize);
	if (room < least)
		return err_set(err, ERR_TEMP,
		    "%s: %" PRId64 " KiB free, %" PRId64 " KiB are to be kept",
		    dir, room >> 10, least >> 10);
	least = floor_of(&floors->inodes, (double)fs.f_files);
	if (fs.f_files > 0 && (int64_t)fs.f_favail < least)
		return err_set(err, ERR_TEMP,
		    "%s: %" PRId64 " inodes free, %" PRId64 " are to be kept",
		    dir, (int64_t)fs.f_favail, least);
	return true;
}

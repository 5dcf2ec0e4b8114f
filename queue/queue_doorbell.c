/*
 * queue_doorbell.c - "something was committed"
 *
 * A datagram on a unix socket beside the database, bound by the router.  It
 * carries nothing and may be lost: the router also looks at data_version.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "queue/queue_db.h"

void queue_doorbell_path(const struct queue *queue, char *out, size_t size)
{
	(void)snprintf(out, size, "%s-bell", queue->path);
}

/* The name of a socket has 108 bytes, a path may have more: then by way of its
 * directory's descriptor, which the caller closes.  -1: not needed. */
static bool address_of(const struct queue *queue, struct sockaddr_un *out,
    int *dir_fd, struct err *err)
{
	char path[4096], dir[4096];
	const char *name;

	*dir_fd = -1;
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	queue_doorbell_path(queue, path, sizeof path);
	if (str_copy(out->sun_path, sizeof out->sun_path, path))
		return true;
	if (!path_dir(dir, sizeof dir, path, err))
		return false;
	*dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0)
		return err_errno(err, ERR_CONFIG, "open %s", dir);
	name = strrchr(path, '/');
	if ((size_t)snprintf(out->sun_path, sizeof out->sun_path,
		"/proc/self/fd/%d/%s", *dir_fd,
		name ? name + 1 : path) < sizeof out->sun_path)
		return true;
	(void)close(*dir_fd);
	*dir_fd = -1;
	return err_set(err, ERR_CONFIG, "%s: the name is too long", path);
}

static int bell_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int queue_doorbell_listen(struct queue *queue, struct err *err)
{
	struct sockaddr_un address;
	int fd = -1, dir_fd;

	if (!address_of(queue, &address, &dir_fd, err))
		return -1;
	fd = bell_socket();
	if (fd < 0) {
		err_errno(err, ERR_TEMP, "make the doorbell");
		goto out;
	}
	/* There is one router: what is there was left by a dead one. */
	(void)unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		err_errno(err, ERR_CONFIG, "bind %s-bell", queue->path);
		(void)close(fd);
		fd = -1;
		goto out;
	}
	(void)chmod(address.sun_path, 0660);
out:
	if (dir_fd >= 0)
		(void)close(dir_fd);
	return fd;
}

void queue_doorbell_ring(struct queue *queue)
{
	struct sockaddr_un address;
	int dir_fd;

	if (queue->bell < 0)
		queue->bell = bell_socket();
	if (queue->bell < 0 || !address_of(queue, &address, &dir_fd, NULL))
		return;
	/* Nobody there, or rung often enough: both are fine. */
	(void)!sendto(queue->bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
	    (struct sockaddr *)&address, sizeof address);
	if (dir_fd >= 0)
		(void)close(dir_fd);
}

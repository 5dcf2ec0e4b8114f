/*
 * smtp_wire.c - one connection: bytes in, bytes out, in clear or in TLS
 *
 * Writing never reports an error: a peer that refuses and closes while we are
 * still sending has said why, and that is read first; then reading reports the
 * end.
 */
#include "deliver/smtp_wire.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "deliver/deliver.h"
#include "deliver/smtp_bounds.h"
#include "deliver/smtp_proxy.h"

#define READ_SIZE 16384
/* A buffer that grew beyond this is given back when it is empty: a thousand
 * connections that wait for an answer need none. */
#define KEEP_SIZE 2048

struct smtp_wire {
	struct event_base *base;
	const struct smtp_wire_ops *ops;
	void *ctx;
	int fd; /* -1: closed, or the bufferevent's */
	struct event *readable, *writable;
	bool connecting, blocked, write_failed;
	bool overfull; /* the backlog was beyond SMTP_BACKLOG_MOST */
	const struct proxy *proxy; /* NULL: none, or it has let us through */
	const struct candidate *to;
	struct proxy_talk *talk; /* NULL: with none so far */
	bool host_at_fault;
	struct buf out;
	size_t out_at; /* of `out`, what the socket has taken */
	struct bufferevent *bev;
	int spare_fd; /* the same socket, should the handshake fail; or -1 */
	bool handshaking;
	enum tls_result tls_result; /* of the handshake that failed last */
};

struct smtp_wire *smtp_wire_new(
    struct event_base *base, const struct smtp_wire_ops *ops, void *ctx)
{
	struct smtp_wire *w = xcalloc(1, sizeof *w);

	w->base = base;
	w->ops = ops;
	w->ctx = ctx;
	w->fd = w->spare_fd = -1;
	return w;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* The events of the clear-text side. */
static void drop_events(struct smtp_wire *w)
{
	if (w->readable)
		event_free(w->readable);
	if (w->writable)
		event_free(w->writable);
	w->readable = w->writable = NULL;
}

void smtp_wire_close(struct smtp_wire *w)
{
	drop_events(w);
	if (w->bev)
		bufferevent_free(w->bev);
	w->bev = NULL;
	close_fd(&w->fd);
	close_fd(&w->spare_fd);
	w->connecting = w->blocked = w->write_failed = w->handshaking = false;
	w->overfull = false;
	w->proxy = NULL;
	buf_release(&w->out);
	w->out_at = 0;
}

void smtp_wire_free(struct smtp_wire *w)
{
	if (!w)
		return;
	smtp_wire_close(w);
	free(w->talk);
	free(w);
}

static void lost(struct smtp_wire *w, const char *why)
{
	if (w->overfull)
		why = "more was to be sent than a connection may hold";
	smtp_wire_close(w);
	w->ops->lost(w->ctx, why);
}

/* ---- writing ---- */

struct buf *smtp_wire_out(struct smtp_wire *w)
{
	return &w->out;
}

size_t smtp_wire_backlog(const struct smtp_wire *w)
{
	size_t n = w->out.len - w->out_at;

	if (w->bev)
		n += evbuffer_get_length(bufferevent_get_output(w->bev));
	return n;
}

static void out_is_empty(struct smtp_wire *w)
{
	if (w->out.size > KEEP_SIZE)
		buf_release(&w->out);
	else
		buf_reset(&w->out);
	w->out_at = 0;
}

static void flush_socket(struct smtp_wire *w)
{
	while (w->out_at < w->out.len) {
		ssize_t n = send(w->fd, w->out.data + w->out_at,
		    w->out.len - w->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			w->out_at += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN) {
			w->write_failed = true;
			break;
		}
		if (w->out_at >= SMTP_COMPACT_AT) {
			buf_consume(&w->out, w->out_at);
			w->out_at = 0;
		}
		if (!w->blocked)
			(void)event_add(w->writable, NULL);
		w->blocked = true;
		return;
	}
	out_is_empty(w);
}

/* Callers keep the backlog small; one that did not loses its connection, which
 * reading reports. */
static void give_up_overfull(struct smtp_wire *w)
{
	int fd = w->bev ? bufferevent_getfd(w->bev) : w->fd;

	diag_error("a connection has %zu bytes to send, at most %zu are meant "
		   "to be: closed",
	    smtp_wire_backlog(w), SMTP_BACKLOG_MOST);
	w->overfull = w->write_failed = true;
	(void)shutdown(fd, SHUT_RDWR);
}

void smtp_wire_flush(struct smtp_wire *w)
{
	if (!w->write_failed && smtp_wire_backlog(w) > SMTP_BACKLOG_MOST)
		give_up_overfull(w);
	if (w->write_failed) {
		out_is_empty(w);
	} else if (w->bev) {
		if (w->out.len)
			(void)bufferevent_write(
			    w->bev, w->out.data, w->out.len);
		out_is_empty(w);
	} else if (w->fd < 0) {
		out_is_empty(w);
	} else if (!w->connecting && !w->blocked) {
		flush_socket(w);
	}
}

/* ---- a proxy ---- */

bool smtp_wire_host_at_fault(const struct smtp_wire *w)
{
	return w->host_at_fault;
}

static void proxy_said(struct smtp_wire *w, enum proxy_step step)
{
	switch (step) {
	case PROXY_MORE:
		smtp_wire_flush(w);
		break;
	case PROXY_DONE:
		w->proxy = NULL;
		smtp_wire_flush(w);
		w->ops->connected(w->ctx);
		break;
	case PROXY_FAILED:
		w->host_at_fault = w->talk->host_at_fault;
		lost(w, w->talk->why);
		break;
	}
}

/* The host may speak in the same packet in which the proxy says that it is
 * there. */
static void heard_proxy(struct smtp_wire *w, const char *data, size_t len)
{
	int fd = w->fd;
	size_t used;

	proxy_said(w, proxy_talk_hear(w->talk, data, len, &used, &w->out));
	if (used < len && w->fd == fd && !w->proxy)
		w->ops->bytes(w->ctx, data + used, len - used);
}

/* ---- clear text ---- */

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct smtp_wire *w = ctx;
	char data[READ_SIZE];
	ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);

	(void)what;
	if (n > 0 && w->proxy)
		heard_proxy(w, data, (size_t)n);
	else if (n > 0)
		w->ops->bytes(w->ctx, data, (size_t)n);
	else if (n == 0)
		lost(w, "the peer closed the connection");
	else if (errno != EAGAIN && errno != EINTR)
		lost(w, strerror(errno));
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct smtp_wire *w = ctx;
	int error = 0;
	socklen_t len = sizeof error;

	(void)what;
	if (w->connecting) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			error = errno;
		if (error) {
			lost(w, strerror(error));
			return;
		}
		w->connecting = false;
		(void)event_add(w->readable, NULL);
		if (w->proxy)
			proxy_said(w, proxy_talk_start(
					  w->talk, w->proxy, w->to, &w->out));
		else
			w->ops->connected(w->ctx);
		return;
	}
	w->blocked = false;
	flush_socket(w);
	if (!w->proxy)
		w->ops->moved(w->ctx);
}

static void watch_socket(struct smtp_wire *w)
{
	w->readable =
	    event_new(w->base, w->fd, EV_READ | EV_PERSIST, on_readable, w);
	w->writable = event_new(w->base, w->fd, EV_WRITE, on_writable, w);
	if (!w->readable || !w->writable)
		diag_panic("no memory for an event");
}

/* ---- connecting ---- */

static bool bind_source(int fd, const struct ip_addr *source, int family,
    bool *unplumbed, struct err *err)
{
	struct sockaddr_storage ss;
	char text[IP_TEXT];
	int on = 1;

	ip_print(text, source);
	if (source->family != family)
		return err_set(err, ERR_TEMP,
		    "source address %s is not of the address family of the "
		    "host",
		    text);
	/* The port is chosen at connect(2), so that it need only be unique
	 * for the destination. */
	(void)setsockopt(
	    fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&ss, ip_to_sockaddr(source, 0, &ss)) ==
	    0)
		return true;
	*unplumbed = errno == EADDRNOTAVAIL;
	if (*unplumbed)
		return err_errno(err, ERR_TEMP,
		    "source address %s is not plumbed on this machine", text);
	return err_errno(err, ERR_TEMP, "source address %s: bind", text);
}

static socklen_t sockaddr_of(const struct ip_addr *ip, uint16_t port,
    const char *path, struct sockaddr_storage *ss)
{
	struct sockaddr_un *un = (void *)ss;

	if (!path)
		return ip_to_sockaddr(ip, port, ss);
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!str_copy(un->sun_path, sizeof un->sun_path, path))
		return 0;
	return sizeof *un;
}

bool smtp_wire_connect(struct smtp_wire *w, const struct candidate *to,
    const struct ip_addr *source, const struct proxy *proxy, bool *unplumbed,
    struct err *err)
{
	struct sockaddr_storage ss;
	socklen_t len =
	    proxy ? sockaddr_of(&proxy->ip, proxy->port, proxy->path, &ss)
		  : sockaddr_of(&to->ip, to->port, to->path, &ss);
	bool is_unix = proxy ? proxy->path != NULL : to->path != NULL;
	int on = 1;

	invariant(w->fd < 0 && !w->bev);
	*unplumbed = w->host_at_fault = false;
	if (!len)
		return err_set(
		    err, ERR_TEMP, "the path is too long for a socket");
	w->fd =
	    socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->fd < 0)
		return err_errno(err, ERR_TEMP, "socket");
	if (!is_unix)
		(void)setsockopt(
		    w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (source && !is_unix &&
	    !bind_source(w->fd, source, ss.ss_family, unplumbed, err))
		goto fail;
	if (connect(w->fd, (struct sockaddr *)&ss, len) < 0 &&
	    errno != EINPROGRESS) {
		err_errno(err, ERR_TEMP, "connect");
		goto fail;
	}
	w->connecting = true;
	w->proxy = proxy;
	if (proxy && !w->talk)
		w->talk = xcalloc(1, sizeof *w->talk);
	w->to = to;
	watch_socket(w);
	(void)event_add(w->writable, NULL);
	return true;
fail:
	close_fd(&w->fd);
	return false;
}

void smtp_wire_local(const struct smtp_wire *w, char out[ENDPOINT_TEXT])
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	struct ip_addr ip;
	uint16_t port;

	out[0] = '\0';
	if (w->fd >= 0 &&
	    getsockname(w->fd, (struct sockaddr *)&ss, &len) == 0 &&
	    ip_from_sockaddr((struct sockaddr *)&ss, &ip, &port))
		ip_port_print(out, &ip, port);
}

/* ---- TLS ---- */

static void on_tls_read(struct bufferevent *bev, void *ctx)
{
	struct smtp_wire *w = ctx;
	char data[READ_SIZE];

	/* The callback may close the wire: the bufferevent is looked at anew
	 * each time. */
	while (w->bev == bev) {
		size_t n = bufferevent_read(bev, data, sizeof data);

		if (!n)
			return;
		w->ops->bytes(w->ctx, data, n);
	}
}

static void on_tls_write(struct bufferevent *bev, void *ctx)
{
	struct smtp_wire *w = ctx;

	(void)bev;
	if (!w->handshaking)
		w->ops->moved(w->ctx);
}

/* Back to clear text on the same socket. */
static void go_on_in_clear(struct smtp_wire *w, const char *why)
{
	bufferevent_free(w->bev);
	w->bev = NULL;
	w->fd = w->spare_fd;
	w->spare_fd = -1;
	watch_socket(w);
	(void)event_add(w->readable, NULL);
	w->ops->tls(w->ctx, why);
}

static void on_tls_event(struct bufferevent *bev, short what, void *ctx)
{
	struct smtp_wire *w = ctx;
	char why[256];

	if (what & BEV_EVENT_CONNECTED) {
		w->handshaking = false;
		close_fd(&w->spare_fd);
		w->ops->tls(w->ctx, NULL);
		return;
	}
	if (!(what & (BEV_EVENT_ERROR | BEV_EVENT_EOF)))
		return;
	/* A failed handshake is reported as _EOF, too; errno means nothing
	 * then. */
	if (what & BEV_EVENT_EOF)
		errno = 0;
	w->tls_result = tls_error_of(bev, why, sizeof why);
	if (!w->handshaking) {
		lost(w, why);
		return;
	}
	w->handshaking = false;
	if (w->spare_fd >= 0) {
		go_on_in_clear(w, why);
		return;
	}
	smtp_wire_close(w);
	w->ops->tls(w->ctx, why);
}

bool smtp_wire_start_tls(struct smtp_wire *w, struct tls_client *tls,
    const struct tls_request *request, bool may_go_on, struct err *err)
{
	invariant(w->fd >= 0 && !w->bev);
	if (!tls)
		return err_set(err, ERR_CONFIG, "TLS is not set up");
	if (may_go_on) {
		w->spare_fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
		if (w->spare_fd < 0)
			return err_errno(err, ERR_TEMP, "dup");
	}
	w->bev = tls_client_start(tls, w->base, w->fd, request, err);
	if (!w->bev) {
		close_fd(&w->spare_fd);
		return false;
	}
	drop_events(w);
	w->fd = -1; /* the bufferevent's now */
	w->handshaking = true;
	bufferevent_setcb(w->bev, on_tls_read, on_tls_write, on_tls_event, w);
	/* Called when less than this is left, so that content keeps flowing. */
	bufferevent_setwatermark(w->bev, EV_WRITE, SMTP_COMPACT_AT / 2, 0);
	(void)bufferevent_enable(w->bev, EV_READ | EV_WRITE);
	return true;
}

enum tls_result smtp_wire_tls_result(const struct smtp_wire *w)
{
	return w->tls_result;
}

void smtp_wire_tls_facts(const struct smtp_wire *w, struct tls_facts *out)
{
	*out = (struct tls_facts){0};
	if (w->bev)
		tls_facts_of(w->bev, out);
}

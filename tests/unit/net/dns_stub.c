/*
 * dns_stub.c - a name server on 127.0.0.1 that knows what a test tells it
 */
#include "tests/unit/net/dns_stub.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"

#define TYPE_CNAME 5
#define UDP_MOST 1232

struct dns_stub {
	const struct dns_stub_row *rows;
	size_t count;
	int udp, tcp, stop[2];
	char forwarder[32];
	pthread_t thread;
	atomic_size_t asked;
};

struct packet {
	unsigned char bytes[65536];
	size_t len;
};

static void put(struct packet *p, const void *data, size_t len)
{
	ck_assert(p->len + len <= sizeof p->bytes);
	memcpy(p->bytes + p->len, data, len);
	p->len += len;
}

static void put16(struct packet *p, unsigned n)
{
	unsigned char b[2] = {(unsigned char)(n >> 8), (unsigned char)n};

	put(p, b, 2);
}

static void put_name(struct packet *p, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");
		unsigned char n = (unsigned char)len;

		put(p, &n, 1);
		put(p, name, len);
		name += len;
		if (*name == '.')
			name++;
	}
	put(p, "", 1);
}

static size_t read_name(
    const unsigned char *q, size_t len, char *out, size_t size)
{
	size_t at = 12, n = 0;

	while (at < len && q[at]) {
		size_t label = q[at++];

		if (n)
			out[n++] = '.';
		ck_assert(n + label < size && at + label < len);
		memcpy(out + n, q + at, label);
		n += label;
		at += label;
	}
	out[n] = '\0';
	str_lower(out);
	return at + 1;
}

static void put_row(
    struct packet *p, const struct dns_stub_row *row, const char *owner)
{
	struct packet *rdata = xcalloc(1, sizeof *rdata);
	unsigned char ip[16];
	char *end;

	switch ((int)row->type) {
	case DNS_A:
	case DNS_AAAA:
		ck_assert_int_eq(
		    inet_pton(
			row->type == DNS_A ? AF_INET : AF_INET6, row->data, ip),
		    1);
		put(rdata, ip, row->type == DNS_A ? 4 : 16);
		break;
	case DNS_MX:
		put16(rdata, (unsigned)strtoul(row->data, &end, 10));
		put_name(rdata, end + 1);
		break;
	case DNS_PTR:
	case TYPE_CNAME:
		put_name(rdata, row->data);
		break;
	default:
		rdata->bytes[0] = (unsigned char)strlen(row->data);
		rdata->len = 1;
		put(rdata, row->data, strlen(row->data));
	}
	put_name(p, owner);
	put16(p, row->type);
	put16(p, 1);
	put16(p, 0);
	put16(p, 60); /* ttl */
	put16(p, (unsigned)rdata->len);
	put(p, rdata->bytes, rdata->len);
	free(rdata);
}

/* False: no answer at all. */
static bool answer(struct dns_stub *stub, const unsigned char *q, size_t len,
    size_t most, struct packet *p)
{
	char name[256];
	size_t end = read_name(q, len, name, sizeof name), count = 0, header;
	unsigned type = (unsigned)(q[end] << 8 | q[end + 1]);
	bool exists = false;
	unsigned rcode = 0;

	atomic_fetch_add(&stub->asked, 1);
	p->len = 0;
	put(p, q, end + 4);
	header = p->len;
	for (size_t i = 0; i < stub->count; i++) {
		const struct dns_stub_row *row = &stub->rows[i];

		if (!str_eq(row->name, name))
			continue;
		exists = true;
		if ((unsigned)row->type != type && row->type != TYPE_CNAME)
			continue;
		if (str_eq(row->data, STUB_SILENCE))
			return false;
		if (str_eq(row->data, STUB_SERVFAIL)) {
			rcode = 2;
			continue;
		}
		put_row(p, row, name);
		count++;
		if ((int)row->type == TYPE_CNAME) {
			(void)str_copy(name, sizeof name, row->data);
			i = (size_t)-1; /* from the top, for the target */
		}
	}
	if (!exists)
		rcode = 3;
	p->bytes[2] = 0x84; /* an answer, with authority */
	if (p->len > most) {
		p->len = header;
		count = 0;
		p->bytes[2] |= 0x02; /* truncated: ask by TCP */
	}
	p->bytes[2] |= q[2] & 1;
	p->bytes[3] = (unsigned char)(0x80 | rcode);
	p->bytes[4] = 0;
	p->bytes[5] = 1;
	p->bytes[6] = (unsigned char)(count >> 8);
	p->bytes[7] = (unsigned char)count;
	memset(p->bytes + 8, 0, 4);
	return true;
}

static void serve_udp(struct dns_stub *stub, struct packet *p)
{
	struct sockaddr_storage from;
	socklen_t from_len = sizeof from;
	unsigned char q[1024];
	ssize_t n = recvfrom(
	    stub->udp, q, sizeof q, 0, (struct sockaddr *)&from, &from_len);

	if (n > 12 && answer(stub, q, (size_t)n, UDP_MOST, p))
		(void)sendto(stub->udp, p->bytes, p->len, 0,
		    (struct sockaddr *)&from, from_len);
}

static bool read_all(int fd, unsigned char *out, size_t len)
{
	while (len) {
		ssize_t n = read(fd, out, len);

		if (n <= 0)
			return false;
		out += n;
		len -= (size_t)n;
	}
	return true;
}

static void serve_tcp(struct dns_stub *stub, struct packet *p)
{
	int fd = accept(stub->tcp, NULL, NULL);
	unsigned char size[2], q[1024];
	size_t len;

	if (fd < 0)
		return;
	if (read_all(fd, size, 2)) {
		len = (size_t)(size[0] << 8 | size[1]);
		if (len <= sizeof q && read_all(fd, q, len) &&
		    answer(stub, q, len, 65000, p)) {
			ssize_t ignored;

			size[0] = (unsigned char)(p->len >> 8);
			size[1] = (unsigned char)p->len;
			ignored = write(fd, size, 2);
			ignored = write(fd, p->bytes, p->len);
			(void)ignored;
		}
	}
	(void)close(fd);
}

static void *run(void *ctx)
{
	struct dns_stub *stub = ctx;
	struct packet *p = xcalloc(1, sizeof *p);

	for (;;) {
		struct pollfd fds[] = {{stub->udp, POLLIN, 0},
		    {stub->tcp, POLLIN, 0}, {stub->stop[0], POLLIN, 0}};

		(void)poll(fds, COUNT(fds), -1);
		if (fds[2].revents)
			break;
		if (fds[0].revents)
			serve_udp(stub, p);
		if (fds[1].revents)
			serve_tcp(stub, p);
	}
	free(p);
	return NULL;
}

/* The same port for both. */
static bool open_both(struct dns_stub *stub)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sin;

	stub->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	stub->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(stub->tcp, (void *)&sin, sizeof sin), 0);
	ck_assert_int_eq(getsockname(stub->tcp, (void *)&sin, &len), 0);
	if (bind(stub->udp, (void *)&sin, sizeof sin) < 0) {
		(void)close(stub->udp);
		(void)close(stub->tcp);
		return false;
	}
	ck_assert_int_eq(listen(stub->tcp, 16), 0);
	(void)snprintf(stub->forwarder, sizeof stub->forwarder, "127.0.0.1@%u",
	    ntohs(sin.sin_port));
	return true;
}

struct dns_stub *dns_stub_start(const struct dns_stub_row *rows, size_t count)
{
	struct dns_stub *stub = xcalloc(1, sizeof *stub);

	stub->rows = rows;
	stub->count = count;
	while (!open_both(stub))
		;
	ck_assert_int_eq(pipe(stub->stop), 0);
	stub->thread = worker_thread_start("dns-stub", run, stub);
	return stub;
}

const char *dns_stub_forwarder(const struct dns_stub *stub)
{
	return stub->forwarder;
}

size_t dns_stub_asked(struct dns_stub *stub)
{
	return atomic_load(&stub->asked);
}

void dns_stub_stop(struct dns_stub *stub)
{
	ssize_t ignored = write(stub->stop[1], "x", 1);

	(void)ignored;
	(void)pthread_join(stub->thread, NULL);
	(void)close(stub->udp);
	(void)close(stub->tcp);
	(void)close(stub->stop[0]);
	(void)close(stub->stop[1]);
	free(stub);
}

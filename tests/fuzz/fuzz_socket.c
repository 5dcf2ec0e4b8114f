/*
 * fuzz_socket.c - every way to write where somebody listens: the milter's
 * socket, listen of a listener, proxies, entries of an mx_list
 *
 * What was understood prints as a text that is understood in the same way.
 */
#include "base/arena.h"
#include "milter/milter_socket.h"
#include "policy/listener.h"
#include "policy/queue_config.h"
#include "tests/fuzz/fuzz.h"

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

static void check_milter(const char *text)
{
	struct milter_socket s, again;
	struct err err = {0};
	mode_t mode = 0;

	if (milter_socket_mode(text, &mode, &err))
		FUZZ_CHECK(mode <= 0777);
	else
		FUZZ_CHECK(err.text[0]);
	if (!milter_socket_parse(text, &s, &err)) {
		FUZZ_CHECK(strstr(err.text, "socket: "));
		return;
	}
	FUZZ_CHECK(*s.path ? *s.path == '/' && !s.port && !s.ip.family
			   : s.port && s.ip.family);
	FUZZ_CHECK(!has_control(s.spec));
	/* libmilter gets the spec; it reads what we read. */
	FUZZ_CHECK(milter_socket_parse(s.spec, &again, NULL));
	FUZZ_CHECK(strcmp(s.spec, again.spec) == 0);
	FUZZ_CHECK(strcmp(s.path, again.path) == 0);
	FUZZ_CHECK(ip_eq(&s.ip, &again.ip) && s.port == again.port);
}

static void check_listen(const char *text)
{
	char printed[ENDPOINT_TEXT];
	struct ip_addr ip, ip_again;
	uint16_t port, port_again;

	if (!listener_listen_parse(text, &ip, &port))
		return;
	(void)ip_port_print(printed, &ip, port);
	FUZZ_CHECK(listener_listen_parse(printed, &ip_again, &port_again));
	FUZZ_CHECK(ip_eq(&ip, &ip_again) && port == port_again);
}

static void check_endpoint(const char *text, struct arena *arena)
{
	struct endpoint e, again;
	struct err err = {0};
	const char *printed;

	if (!endpoint_parse(text, arena, &e, &err)) {
		FUZZ_CHECK(strstr(err.text, "endpoint"));
		return;
	}
	FUZZ_CHECK(e.path ? *e.path == '/' : *e.host && e.port);
	if (e.path)
		return;
	FUZZ_CHECK(!has_control(e.host));
	printed = arena_printf(arena,
	    e.ip.family == AF_INET6 || strchr(e.host, ':') ? "[%s]:%u"
							   : "%s:%u",
	    e.host, e.port);
	FUZZ_CHECK(endpoint_parse(printed, arena, &again, NULL));
	FUZZ_CHECK(ip_eq(&e.ip, &again.ip) && e.port == again.port);
	FUZZ_CHECK(strcmp(e.host, again.host) == 0);
}

static void check_mx_entry(const char *text, struct arena *arena)
{
	struct mx_entry e, again;
	struct err err = {0};

	if (!mx_entry_parse(text, arena, &e, &err)) {
		FUZZ_CHECK(strstr(err.text, "invalid value"));
		return;
	}
	FUZZ_CHECK(strcmp(e.label, text) == 0);
	/* One of the three, with a name for the records. */
	FUZZ_CHECK(
	    (e.path != NULL) + (e.host != NULL) + (e.ip.family != 0) == 1);
	FUZZ_CHECK(e.name && *e.name);
	if (!e.host)
		return;
	FUZZ_CHECK(!has_control(e.host) && *e.host);
	for (const char *s = e.host; *s; s++)
		FUZZ_CHECK(
		    (unsigned char)*s < 128 && !(*s >= 'A' && *s <= 'Z'));
	FUZZ_CHECK(mx_entry_parse(e.host, arena, &again, NULL));
	FUZZ_CHECK(again.host && strcmp(e.host, again.host) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);

	check_milter(text);
	check_listen(text);
	check_endpoint(text, arena);
	check_mx_entry(text, arena);
	arena_unref(arena);
	free(text);
	return 0;
}

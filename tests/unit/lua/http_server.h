/*
 * http_server.h - a web server on 127.0.0.1, in clear and in TLS
 *
 * It knows the pages of http_server.c, by their path; /echo gives back what it
 * was sent.  A thread for each connection; all of it ends with the process.
 */
#ifndef TESTS_UNIT_LUA_HTTP_SERVER_H
#define TESTS_UNIT_LUA_HTTP_SERVER_H

struct http_server {
	int port, tls_port;
};

/* Its certificate is for 127.0.0.1, signed by itself, and goes into `file`. */
void http_server_start(struct http_server *server, const char *file);

#endif

/*
 * http.c - requests over HTTP and HTTPS, waiting for the answer
 *
 * One easy handle per client: libcurl keeps connections in it.  Options that
 * belong to one request are set anew each time (curl_easy_reset keeps the
 * connections).
 */
#include "net/http.h"

#include <curl/curl.h>
#include <pthread.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"

#define MOST_REDIRECTS 10L
#define MOST_CONNECTIONS 4L

struct http_client {
	CURL *curl;
	char *user_agent;
	char *ca_file; /* NULL: the environment's, or the system's */
	int64_t idle_ms;
	bool accept_invalid_certs, verbose;
};

/* What the callbacks of one request share. */
struct exchange {
	const struct http_request *request;
	struct http_response *response;
	struct arena *arena;
	size_t header_bytes;
	const char *too_much; /* why we stopped it; NULL: we did not */
};

static void init_curl(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http_client *http_client_new(
    const struct http_options *options, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http_client *client;
	CURL *curl;

	pthread_once(&once, init_curl);
	curl = curl_easy_init();
	if (!curl) {
		(void)err_set(err, ERR_TEMP, "libcurl does not start");
		return NULL;
	}
	client = xcalloc(1, sizeof *client);
	client->curl = curl;
	client->ca_file = options->ca_file ? xstrdup(options->ca_file) : NULL;
	client->user_agent =
	    xstrdup(options->user_agent ? options->user_agent
					: "penstock/" PACKAGE_VERSION);
	client->idle_ms = options->idle_ms;
	client->accept_invalid_certs = options->accept_invalid_certs;
	client->verbose = options->verbose;
	return client;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	free(client->ca_file);
	free(client->user_agent);
	free(client);
}

/* ---- names and values ---- */

bool http_is_token(const char *s)
{
	static const char chars[] = "!#$%&'*+-.^_`|~0123456789"
				    "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return *s && !s[strspn(s, chars)];
}

bool http_is_field_value(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

/* RFC 3986, 2.3: what stands for itself. */
static void encode(struct buf *out, const char *s, bool plus)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || strchr("-._", c) ||
		    (!plus && c == '~') || (plus && c == '*'))
			buf_addch(out, (char)c);
		else if (plus && c == ' ')
			buf_addch(out, '+');
		else
			buf_addf(out, "%%%02X", c);
	}
}

void http_form_encode(
    const struct http_header *fields, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_addch(out, '&');
		encode(out, fields[i].name, true);
		buf_addch(out, '=');
		encode(out, fields[i].value, true);
	}
}

/* http, https and a host; the parts come back as libcurl reads them. */
static CURLU *parse_url(const char *url, struct err *err)
{
	CURLU *parts = curl_url();
	char *scheme = NULL;
	CURLUcode code;
	bool ok;

	if (!parts)
		diag_panic("no memory for a URL");
	code = curl_url_set(parts, CURLUPART_URL, url, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
	ok = code == CURLUE_OK &&
	     (str_eq(scheme, "http") || str_eq(scheme, "https"));
	curl_free(scheme);
	if (ok)
		return parts;
	curl_url_cleanup(parts);
	(void)err_set(err, ERR_CONFIG,
	    "invalid value: not a URL of http or https%s%s", code ? ": " : "",
	    code ? curl_url_strerror(code) : "");
	return NULL;
}

bool http_build_url(const char *base, const struct http_header *params,
    size_t count, struct buf *out, struct err *err)
{
	CURLU *parts = parse_url(base, err);
	struct buf query = BUF_INIT;
	CURLUcode code;
	char *url = NULL;

	if (!parts)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_addch(&query, '&');
		encode(&query, params[i].name, false);
		buf_addch(&query, '=');
		encode(&query, params[i].value, false);
	}
	code = CURLUE_OK;
	if (count > 0)
		code = curl_url_set(
		    parts, CURLUPART_QUERY, buf_str(&query), CURLU_APPENDQUERY);
	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_URL, &url, 0);
	if (code == CURLUE_OK)
		buf_addstr(out, url);
	curl_free(url);
	curl_url_cleanup(parts);
	buf_release(&query);
	return code == CURLUE_OK ||
	       err_set(err, ERR_CONFIG, "%s", curl_url_strerror(code));
}

/* "https://host:port", into 300 bytes: what error texts may show. */
static const char *origin(CURLU *parts, char out[300])
{
	char *scheme = NULL, *host = NULL, *port = NULL;

	(void)curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
	(void)curl_url_get(parts, CURLUPART_HOST, &host, 0);
	(void)curl_url_get(parts, CURLUPART_PORT, &port, 0);
	snprintf(out, 300, "%s://%s%s%s", scheme ? scheme : "",
	    host ? host : "", port ? ":" : "", port ? port : "");
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	return out;
}

/* ---- what libcurl calls back ---- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	size_t len = size * n;

	if (len > x->request->most_body - x->response->body.len) {
		x->too_much = "the body of the answer is too large";
		return CURL_WRITEFUNC_ERROR;
	}
	buf_add(&x->response->body, p, len);
	return len;
}

/* "HTTP/1.1 200 OK": another answer begins, of a redirection or after 100. */
static void begin_answer(struct exchange *x, const char *line, size_t len)
{
	const char *end = line + len, *p = memchr(line, ' ', len);

	x->response->header_count = 0;
	x->response->reason = "";
	if (p)
		p = memchr(p + 1, ' ', (size_t)(end - p - 1));
	if (p)
		x->response->reason =
		    arena_strndup(x->arena, p + 1, (size_t)(end - p - 1));
}

static void add_field(struct exchange *x, const char *line, size_t len)
{
	struct http_response *r = x->response;
	const char *end = line + len, *colon = memchr(line, ':', len);
	struct http_header *more;

	if (!colon)
		return;
	if ((r->header_count & (r->header_count + 1)) == 0) {
		more = ARENA_ARRAY(
		    x->arena, struct http_header, r->header_count * 2 + 1);
		if (r->header_count > 0)
			memcpy(
			    more, r->headers, r->header_count * sizeof *more);
		r->headers = more;
	}
	more = &r->headers[r->header_count++];
	more->name =
	    str_lower(arena_strndup(x->arena, line, (size_t)(colon - line)));
	for (colon++; colon < end && (*colon == ' ' || *colon == '\t'); colon++)
		;
	more->value = arena_strndup(x->arena, colon, (size_t)(end - colon));
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	size_t len = size * n, text = len;

	x->header_bytes += len;
	if (x->header_bytes > HTTP_MOST_HEADER) {
		x->too_much = "the header of the answer is too large";
		return 0;
	}
	while (text > 0 && strchr("\r\n \t", p[text - 1]))
		text--;
	if (text >= 5 && memcmp(p, "HTTP/", 5) == 0)
		begin_answer(x, p, text);
	else
		add_field(x, p, text);
	return len;
}

/* About once a second, and whenever there was something to read or write. */
static int on_progress(
    void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct exchange *x = ctx;

	(void)a, (void)b, (void)c, (void)d;
	return clock_now_ms() >= x->request->deadline;
}

/* Only libcurl's own words: header fields may be secret. */
static int on_debug(
    CURL *curl, curl_infotype type, char *text, size_t len, void *ctx)
{
	(void)curl, (void)ctx;
	if (type == CURLINFO_TEXT)
		diag_debug("http: %.*s", (int)strcspn(text, "\r\n"), text);
	(void)len;
	return 0;
}

/* ---- one request ---- */

static void set_client(struct http_client *client)
{
	CURL *curl = client->curl;
	const char *authorities = getenv("SSL_CERT_FILE");

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* Nobody waits for a name server that does not answer. */
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, client->user_agent);
	curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, MOST_CONNECTIONS);
	curl_easy_setopt(
	    curl, CURLOPT_MAXAGE_CONN, (long)(client->idle_ms / 1000));
	curl_easy_setopt(
	    curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER,
	    client->accept_invalid_certs ? 0L : 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST,
	    client->accept_invalid_certs ? 0L : 2L);
	if (client->ca_file)
		authorities = client->ca_file;
	if (authorities && *authorities)
		curl_easy_setopt(curl, CURLOPT_CAINFO, authorities);
	if (client->verbose) {
		curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_debug);
		curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
	}
}

static void set_redirections(CURL *curl, const struct http_request *request)
{
	bool is_tls = str_ncase_eq(request->url, "https:", 6);

	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(
	    curl, CURLOPT_REDIR_PROTOCOLS_STR, is_tls ? "https" : "http,https");
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, MOST_REDIRECTS);
	/* A PUT elsewhere is for the policy to decide. */
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION,
	    request->no_redirects || str_eq(request->method, "PUT") ? 0L : 1L);
}

static void set_content(CURL *curl, const struct http_request *request)
{
	bool is_post = str_eq(request->method, "POST");

	if (!is_post && !request->body) {
		if (!str_eq(request->method, "GET"))
			curl_easy_setopt(
			    curl, CURLOPT_CUSTOMREQUEST, request->method);
		return;
	}
	curl_easy_setopt(
	    curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
	curl_easy_setopt(
	    curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	if (!is_post)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool has_field(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->header_count; i++)
		if (str_case_eq(request->headers[i].name, name))
			return true;
	return false;
}

static struct curl_slist *append(struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(list, line);

	if (!longer)
		diag_panic("no memory for a request");
	return longer;
}

static struct curl_slist *set_fields(
    CURL *curl, const struct http_request *request)
{
	struct curl_slist *list = NULL;
	struct buf line = BUF_INIT;

	/* What libcurl would add by itself. */
	list = append(list, "Expect:");
	if (!has_field(request, "Content-Type"))
		list = append(list, "Content-Type:");
	for (size_t i = 0; i < request->header_count; i++) {
		const struct http_header *h = &request->headers[i];

		buf_reset(&line);
		if (*h->value)
			buf_addf(&line, "%s: %s", h->name, h->value);
		else
			buf_addf(&line, "%s;", h->name);
		list = append(list, buf_str(&line));
	}
	buf_release(&line);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
	return list;
}

static bool perform(
    CURL *curl, struct exchange *x, const char *where, struct err *err)
{
	char text[CURL_ERROR_SIZE] = "";
	CURLcode code;
	long status = 0;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
	code = curl_easy_perform(curl);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	if (code == CURLE_OK) {
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		x->response->status = (int)status;
		return true;
	}
	x->response->untrusted = code == CURLE_PEER_FAILED_VERIFICATION;
	if (x->too_much)
		return err_set(err, ERR_TEMP, "%s: %s", where, x->too_much);
	if (code == CURLE_OPERATION_TIMEDOUT ||
	    code == CURLE_ABORTED_BY_CALLBACK)
		return err_set(
		    err, ERR_TEMP, "%s: no answer within the time", where);
	return err_set(err, ERR_TEMP, "%s: %s", where,
	    *text ? text : curl_easy_strerror(code));
}

bool http_send(struct http_client *client, const struct http_request *request,
    struct arena *arena, struct http_response *response, struct err *err)
{
	struct exchange x = {
	    .request = request, .response = response, .arena = arena};
	int64_t left = request->deadline - clock_now_ms();
	CURL *curl = client->curl;
	struct curl_slist *fields, *resolve = NULL;
	char where[300];
	CURLU *parts;
	bool ok;

	memset(response, 0, sizeof *response);
	response->reason = "";
	parts = parse_url(request->url, err);
	if (!parts)
		return false;
	origin(parts, where);
	curl_url_cleanup(parts);
	if (left <= 0)
		return err_set(
		    err, ERR_TEMP, "%s: no answer within the time", where);

	set_client(client);
	set_redirections(curl, request);
	set_content(curl, request);
	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
	    (long)(left < INT32_MAX ? left : INT32_MAX));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &x);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &x);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &x);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	fields = set_fields(curl, request);
	if (request->resolve) {
		resolve = append(NULL, request->resolve);
		curl_easy_setopt(curl, CURLOPT_RESOLVE, resolve);
	}
	ok = perform(curl, &x, where, err);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(fields);
	curl_easy_setopt(curl, CURLOPT_RESOLVE, NULL);
	curl_slist_free_all(resolve);
	return ok;
}

/*
 * http_test.c - kumo.http, against a web server of the test
 */
#include "base/clock.h"
#include "http_server.h"
#include "lua_test.h"

/* Runs after: local S = 'http://127.0.0.1:PORT', T the same with TLS, client =
 * a client, echo(request) = what the server was sent. */
static const struct eval_case cases[] = {
    {"an answer has a status, a reason, header fields and a body",
	"local r = client:get(S .. '/ok'):send() "
	"return {r:status_code(), r:status_reason(), r:content_length(), "
	"r:headers()['X-One'], r:headers()['content-type'], r:text()}",
	"[200,\"Fine\",2,\"1, 2\",\"text/plain\",\"ok\"]"},
    {"header fields can be listed",
	"local n = 0 for k, v in pairs(client:get(S .. '/ok'):send():headers())"
	" do n = n + 1 end return n",
	"3"},
    {"an answer without a reason or a length",
	"local r = client:get(S .. '/no-reason'):send() return "
	"{r:status_code(), r:status_reason(), r:content_length() == nil}",
	"[204,\"\",true]"},
    {"a refusal is an answer",
	"local r = client:get(S .. '/refused'):send() return {r:status_code(), "
	"r:status_is_server_error(), r:status_is_success(), r:text()}",
	"[503,true,false,\"later\"]"},
    {"the sorts of answers",
	"local r = client:get(S .. '/gone'):send() return "
	"{r:status_is_client_error(), r:status_is_redirection(), "
	"r:status_is_informational(), client:get(S .. '/ok'):send()"
	":status_is_success()}",
	"[true,false,false,true]"},
    {"fields of what came before the answer do not count",
	"return client:get(S .. '/continue'):send():headers()['x-first'] == "
	"nil",
	"true"},
    {"a body is there once",
	"local r = client:get(S .. '/ok'):send() r:bytes() r:text()",
	"the body of this response was taken already"},
    {"bytes are bytes", "return #client:get(S .. '/latin'):send():bytes()",
	"3"},
    {"text is UTF-8", "return client:get(S .. '/latin'):send():text()",
	"\"a\xEF\xBF\xBDz\""},

    {"who asks",
	"return echo(client:get(S .. '/echo')):match 'User.Agent: "
	"(penstock/%d)'",
	"\"penstock/"},
    {"a name of one's own",
	"return echo(kumo.http.build_client{user_agent='me/1'}"
	":get(S .. '/echo')):match 'User.Agent: (%S+)'",
	"\"me/1\""},
    {"a request with everything",
	"local text = echo(client:post(S .. '/echo'):header('X-A', '1')"
	":headers{['X-B']='2', ['X-Empty']=''}:basic_auth('u','p')"
	":body('the body')) return "
	"{text:match '^[^\\r]+', text:match 'X.A: %d', text:match 'X.B: %d', "
	"text:find('\\r\\nX-Empty:\\r\\n', 1, true) ~= nil, "
	"text:match 'Authorization: [^\\r]+', "
	"text:match '\\r\\n\\r\\n(.*)', text:find 'Content.Type' == nil, "
	"text:find 'Expect' == nil}",
	"[\"POST /echo HTTP/1.1\",\"X-A: 1\",\"X-B: 2\",true,"
	"\"Authorization: Basic dTpw\",\"the body\",true,true]"},
    {"a token",
	"return echo(client:get(S .. '/echo'):bearer_auth('abc'))"
	":match 'Authorization: [^\\r]+'",
	"\"Authorization: Bearer abc\""},
    {"a form",
	"local text = echo(client:post(S .. '/echo')"
	":form_url_encoded{b='x y&z', a=1, c=true}) "
	"return {text:match 'Content.Type: [^\\r]+', "
	"text:match '\\r\\n\\r\\n(.*)'}",
	"[\"Content-Type: application/x-www-form-urlencoded\","
	"\"a=1&b=x+y%26z&c=true\"]"},
    {"a PUT",
	"return echo(client:put(S .. '/echo'):body('new')):match '^[^\\r]+'",
	"\"PUT /echo HTTP/1.1\""},
    {"a PUT without a body, and a GET with one",
	"return {echo(client:put(S .. '/echo')):match '^[^\\r]+', "
	"echo(client:get(S .. '/echo'):body('q')):match '^[^\\r]+'}",
	"[\"PUT /echo HTTP/1.1\",\"GET /echo HTTP/1.1\"]"},
    {"a POST without a body",
	"return echo(client:post(S .. '/echo')):match 'Content.Length: %d+'",
	"\"Content-Length: 0\""},
    {"a connection is used again",
	"local a = client:get(S .. '/echo'):send():headers()['x-connection'] "
	"local b = client:get(S .. '/echo'):send():headers()['x-connection'] "
	"return a == b",
	"true"},

    {"a POST that moved becomes a GET",
	"return echo(client:post(S .. '/moved'):body('x')):match '^[^\\r]+'",
	"\"GET /echo HTTP/1.1\""},
    {"unless the server wants it kept",
	"return echo(client:post(S .. '/kept'):body('x')):match '^[^\\r]+'",
	"\"POST /echo HTTP/1.1\""},
    {"a PUT is not moved",
	"return client:put(S .. '/moved'):body('x'):send():status_code()",
	"302"},
    {"round and round", "client:get(S .. '/round'):send()",
	"Maximum (10) redirects followed"},
    {"not into files", "client:get(S .. '/to-file'):send()",
	"http: http://127.0.0.1:"},
    {"what authorizes goes to no other host",
	"return echo(client:get(S .. '/to-other'):bearer_auth 'secret')"
	":find 'secret' == nil",
	"true"},

    {"a body without end", "client:get(S .. '/endless'):send()",
	"the body of the answer is too large"},
    {"a header without end", "client:get(S .. '/endless-header'):send()",
	"the header of the answer is too large"},
    {"a server that says nothing",
	"client:get(S .. '/silence'):timeout('100ms'):send()",
	"no answer within the time"},
    {"the time of a client",
	"kumo.http.build_client{timeout=0.1}:get(S .. '/silence'):send()",
	"no answer within the time"},
    {"no answer at all", "client:get(S .. '/nothing'):send()", "Empty reply"},
    {"not HTTP", "client:get(S .. '/nonsense'):send()", "HTTP/0.9"},
    {"nobody there", "client:get('http://127.0.0.1:1/secret?token=x'):send()",
	"http: http://127.0.0.1:1: Failed to connect"},
    {"what is secret in a URL stays out of errors",
	"local ok, e = pcall(function() "
	"client:get('http://u:pw@127.0.0.1:1/path?q=1'):send() end) "
	"return tostring(e):find 'pw' == nil and tostring(e):find 'path' == "
	"nil",
	"true"},

    {"a certificate that nobody vouches for", "client:get(T .. '/ok'):send()",
	"certificate"},
    {"unless it does not matter",
	"return kumo.http.build_client{accept_invalid_certs=true}"
	":get(T .. '/ok'):send():text()",
	"\"ok\""},

    {"only HTTP", "client:get('file:///etc/passwd'):send()",
	"invalid value: not a URL of http or https"},
    {"not a URL", "client:get('nowhere'):send()",
	"invalid value: not a URL of http or https"},
    {"a name that is none", "client:get(S):header('a b', 'c')",
	"invalid value: not a name of a header field"},
    {"a value with a line end", "client:get(S):header('a', 'b\\r\\nc: d')",
	"invalid value: a has control characters"},
    {"a value that is no text", "client:get(S):headers{a={}}",
	"names and values are text"},
    {"a form of tables", "client:post(S):form_url_encoded{a={}}",
	"a: invalid value: text, a number or a boolean is wanted"},
    {"a request is sent once",
	"local r = client:get(S .. '/ok') r:send() r:send()",
	"this request was sent already"},
    {"a client that was closed", "client:close() client:get(S)",
	"this client was closed"},
    {"closed before the request is sent",
	"local r = client:get(S) client:close() r:send()",
	"this client was closed"},
    {"a parameter that does not exist", "kumo.http.build_client{colour=1}",
	"unknown key \"colour\""},
    {"later", "client:post(S):form_multipart_data{}",
	"request:form_multipart_data is not supported yet"},
    {"signatures, later", "client:post(S):aws_sign_v4{}",
	"request:aws_sign_v4 is not supported yet"},

    {"a URL with parameters",
	"return kumo.http.build_url('https://x.test/p?a=1', {b='x y&z', "
	"c='\xC3\xA9'})",
	"\"https://x.test/p?a=1&b=x%20y%26z&c=%c3%a9\""},
    {"a URL without", "return kumo.http.build_url('http://x.test/p')",
	"\"http://x.test/p\""},
    {"parameters for no URL", "kumo.http.build_url('x', {})",
	"not a URL of http or https"},
};

static struct http_server server;
static const char *authorities;

static void set_up(void)
{
	/* The machine's own way out is not for 127.0.0.1. */
	setenv("no_proxy", "*", 1);
	unsetenv("SSL_CERT_FILE");
	authorities = write_file("authorities.pem", "");
	http_server_start(&server, authorities);
}

static const char *prologue(void)
{
	static char text[512];

	snprintf(text, sizeof text,
	    "local S, T = 'http://127.0.0.1:%d', 'https://127.0.0.1:%d' "
	    "local client = kumo.http.build_client{} "
	    "local function echo(r) return r:send():text() end ",
	    server.port, server.tls_port);
	return text;
}

START_TEST(a_policy_speaks_http)
{
	struct eval_case c = cases[_i];

	c.policy = prologue();
	check_eval(&c);
}
END_TEST

static const struct eval_case with_authority[] = {
    {"a certificate that the authority signed",
	"return client:get(T .. '/ok'):send():text()", "\"ok\""},
    {"for another name",
	"client:get((T:gsub('127.0.0.1', 'localhost')) .. "
	"'/ok'):send()",
	"https://localhost"},
    {"from clear to TLS", "return client:get(S .. '/to-tls'):send():text()",
	"\"ok\""},
    {"never back", "client:get(T .. '/to-clear'):send()", "https://127.0.0.1"},
};

START_TEST(certificates_and_names_are_verified)
{
	struct eval_case c = with_authority[_i];

	setenv("SSL_CERT_FILE", authorities, 1);
	c.policy = prologue();
	check_eval(&c);
}
END_TEST

/* The deadline of the event is the request's too. */
START_TEST(a_silent_server_costs_no_more_than_the_event)
{
	struct buf text = BUF_INIT;

	buf_addf(&text,
	    "%s kumo.on('e', function() pcall(function() "
	    "client:get(S .. '/silence'):send() end) return 1 end)",
	    prologue());
	check_expires(buf_str(&text));
	buf_release(&text);
}
END_TEST

Suite *http_suite(void)
{
	Suite *suite = suite_create("http");
	TCase *tcase = tcase_create("http");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_add_loop_test(tcase, a_policy_speaks_http, 0, COUNT(cases));
	tcase_add_loop_test(tcase, certificates_and_names_are_verified, 0,
	    COUNT(with_authority));
	tcase_add_test(tcase, a_silent_server_costs_no_more_than_the_event);
	suite_add_tcase(suite, tcase);
	return suite;
}

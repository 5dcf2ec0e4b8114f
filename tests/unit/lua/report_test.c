/*
 * report_test.c - message:parse_rfc3464, parse_rfc5965
 */
#include "lua_test.h"

static const char prologue[] =
    "function h(type, part, body) return kumo.make_message('', 'x@b.example', "
    "'Content-Type: multipart/report; boundary=x; report-type=' .. type .. "
    "'\\r\\n\\r\\n--x\\r\\nContent-Type: message/' .. part .. '\\r\\n\\r\\n' "
    ".. "
    "body:gsub('\\n', '\\r\\n') .. '\\r\\n--x\\r\\nContent-Type: "
    "text/rfc822-headers\\r\\n\\r\\nSubject: a\\r\\n--x--\\r\\n') end "
    "function plain() return kumo.make_message('', 'x@b.example', "
    "'Subject: a\\r\\n\\r\\nb\\r\\n') end "
    "dsn = 'Reporting-MTA: dns; a.test\\nX-A: 1\\nX-A: 2\\n\\n"
    "Final-Recipient: rfc822; bob@b.test\\nAction: Failed\\n"
    "Status: 5.1.1 (no)\\nDiagnostic-Code: smtp; 550 5.1.1\\n  no\\n"
    "Last-Attempt-Date: 21 Nov 26 03:24 EST\\n' "
    "arf = 'Feedback-Type: abuse\\nUser-Agent: x/1\\nVersion: 1\\n"
    "Original-Mail-From: <a@b.test>\\nIncidents: 3\\n' ";

static const struct eval_case cases[] = {
    {"ordinary mail is no delivery report",
	"return plain():parse_rfc3464() == nil", "true", prologue},
    {"ordinary mail is no feedback report",
	"return plain():parse_rfc5965() == nil", "true", prologue},
    {"a delivery report is no feedback report",
	"return h('delivery-status', 'delivery-status', dsn):parse_rfc5965() "
	"== nil",
	"true", prologue},
    {"what it says of the message",
	"return h('delivery-status', 'delivery-status', "
	"dsn):parse_rfc3464().per_message",
	"{\"extensions\":{\"x-a\":[\"1\",\"2\"]},\"reporting_mta\":"
	"{\"mta_type\":\"dns\",\"name\":\"a.test\"}}",
	prologue},
    {"what it says of a recipient",
	"return h('delivery-status', 'delivery-status', "
	"dsn):parse_rfc3464().per_recipient",
	"[{\"action\":\"failed\",\"diagnostic_code\":{\"diagnostic\":"
	"\"550 5.1.1 no\",\"diagnostic_type\":\"smtp\"},\"extensions\":{},"
	"\"final_recipient\":{\"recipient\":\"bob@b.test\","
	"\"recipient_type\":\"rfc822\"},\"last_attempt_date\":"
	"\"2026-11-21T08:24:00Z\",\"status\":{\"class\":5,\"comment\":"
	"\"(no)\",\"detail\":1,\"subject\":1}}]",
	prologue},
    {"the original",
	"return h('delivery-status', 'delivery-status', "
	"dsn):parse_rfc3464().original_message",
	"\"Subject: a\"", prologue},
    {"case 93: without the part that tells",
	"h('delivery-status', 'rfc822', dsn):parse_rfc3464()",
	"without a message/delivery-status part", prologue},
    {"a malformed delivery report",
	"h('delivery-status', 'delivery-status', 'X: y'):parse_rfc3464()",
	"message/delivery-status: Reporting-MTA is missing", prologue},
    {"a feedback report",
	"return h('feedback-report', 'feedback-report', arf):parse_rfc5965()",
	"{\"authentication_results\":{},\"extensions\":{},\"feedback_type\":"
	"\"abuse\",\"incidents\":3,\"original_mail_from\":\"a@b.test\","
	"\"original_message\":\"Subject: a\",\"original_rcpto_to\":{},"
	"\"reported_domain\":{},\"reported_uri\":{},\"user_agent\":\"x/1\","
	"\"version\":\"1\"}",
	prologue},
    {"case 95: a feedback report without Version",
	"h('feedback-report', 'feedback-report', 'Feedback-Type: abuse\\n"
	"User-Agent: x'):parse_rfc5965()",
	"message/feedback-report: Version is missing", prologue},
};

EVAL_SUITE(report, reports_become_tables)

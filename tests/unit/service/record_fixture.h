/*
 * For the tests of the record: a typical session of 25 lines, a directory of
 * the test's own, and a way to ask a database.
 */
#ifndef TESTS_RECORD_FIXTURE_H
#define TESTS_RECORD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "policy/decision.h"
#include "service/record.h"

#define WALL_US 1795304359000001u	/* 2026-11-21T23:39:19.000001Z */

struct fixture {
	char dir[64], db[128], json[128];
	struct config config;
	struct metrics metrics;
	struct ulid_source ids;
};

static inline struct fixture *
fixture_new(const char *parent)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%s/weir-record-XXXXXX", parent);
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->db, sizeof(f->db), "%s/weir.db", f->dir);
	snprintf(f->json, sizeof(f->json), "%s/weir.json", f->dir);
	f->config.record.sqlite = f->db;
	f->config.record.json = "";
	f->config.record.queue = 4096;
	f->config.status.control = "";
	ulid_source_init(&f->ids, 1);
	return f;
}

static inline void
fixture_free(struct fixture *f)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
}

/* The first column of the first row as malloc'd text; "(none)" without. */
static inline char *
ask(const char *path, const char *sql)
{
	sqlite3_stmt *st;
	sqlite3 *db;
	char *text;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY,
	    NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	if (sqlite3_step(st) == SQLITE_ROW)
		text = strdup(sqlite3_column_type(st, 0) == SQLITE_NULL ?
		    "(null)" : (const char *)sqlite3_column_text(st, 0));
	else
		text = strdup("(none)");
	sqlite3_finalize(st);
	sqlite3_close(db);
	return text;
}

static inline void
expect(const char *path, const char *sql, const char *want)
{
	char *got = ask(path, sql);

	if (strcmp(got, want) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", sql, got, want);
	free(got);
}

static inline long
ask_number(const char *path, const char *sql)
{
	char *got = ask(path, sql);
	long n = atol(got);

	free(got);
	return n;
}

static inline struct addr
address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse_port(span_str(text), &a), 0);
	return a;
}

static inline void
put_line(struct record_session *s, uint64_t now_us, enum fact_direction d,
    struct span data)
{
	struct fact f = { .type = FACT_LINE, .now_us = now_us };

	f.u.line.direction = d;
	f.u.line.data = data;
	record_session_fact(s, &f);
}

static inline void
put_open(struct record_session *s, uint64_t now_us, const char *id,
    uint64_t wall_us)
{
	struct fact f = { .type = FACT_OPEN, .now_us = now_us };

	f.u.open.id = id;
	f.u.open.wall_us = wall_us;
	f.u.open.listener = "outbound";
	f.u.open.client = address("192.0.2.7:40000");
	f.u.open.destination = address("198.51.100.9:25");
	record_session_fact(s, &f);
}

static inline void
put_process(struct record_session *s, uint64_t now_us)
{
	struct fact f = { .type = FACT_PROCESS, .now_us = now_us };

	f.u.process = (struct policy_process){ .uid = 1001, .pid = 4711,
	    .cgroup = "/a\xff.service", .command = "php-fpm: pool \"a\"" };
	record_session_fact(s, &f);
}

static inline void
put_upstream(struct record_session *s, uint64_t now_us)
{
	struct fact f = { .type = FACT_UPSTREAM, .now_us = now_us };

	f.u.upstream.local = address("203.0.113.10:50000");
	f.u.upstream.remote = address("198.51.100.9:25");
	f.u.upstream.connect_us = 1500;
	f.u.upstream.error = f.u.upstream.reused = "";
	record_session_fact(s, &f);
	f = (struct fact){ .type = FACT_GREETING, .now_us = now_us + 51 };
	f.u.greeting.name = SPAN("mx.example.net");
	f.u.greeting.took_us = 51;
	record_session_fact(s, &f);
}

static inline void
put_tls(struct record_session *s, uint64_t now_us)
{
	struct fact f = { .type = FACT_TLS, .now_us = now_us };

	f.u.tls.leg = POLICY_LEG_UPSTREAM;
	f.u.tls.version = "TLS1.3";
	f.u.tls.cipher = "AES-256-GCM";
	f.u.tls.bits = 256;
	f.u.tls.certificate = SPAN("0123456789 not really DER");
	f.u.tls.subject = "CN=mx.example.net";
	f.u.tls.issuer = "CN=ca";
	f.u.tls.verify_error = "unknown issuer";
	f.u.tls.handshake_us = 2500;
	f.u.tls.error = "";
	record_session_fact(s, &f);
}

static inline void
put_rehomed(struct record_session *s, uint64_t now_us, const char *transaction)
{
	struct fact f = { .type = FACT_REHOMED, .now_us = now_us };

	f.u.rehomed.number = 0;
	f.u.rehomed.transaction_id = transaction;
	f.u.rehomed.phase = POLICY_PHASE_MAIL;
	f.u.rehomed.from.source = address("203.0.113.10:50000");
	f.u.rehomed.from.destination = address("198.51.100.9:25");
	f.u.rehomed.from.ehlo_name = "a.example";
	f.u.rehomed.to.destination = address("[2001:db8::9]:2525");
	f.u.rehomed.to.ehlo_name = "b.example";
	f.u.rehomed.policy = "p";
	f.u.rehomed.rule = "r";
	f.u.rehomed.error = "no way";
	f.u.rehomed.duration_us = 77;
	f.u.rehomed.round_trips = 5;
	record_session_fact(s, &f);
}

static inline void
put_tls_result(struct record_session *s, uint64_t now_us)
{
	struct fact f = { .type = FACT_TLS_RESULT, .now_us = now_us };

	f.u.tls_result.result = TLS_RESULT_CERTIFICATE_EXPIRED;
	f.u.tls_result.policy = "tlsa";
	f.u.tls_result.domain = SPAN("example.net");
	f.u.tls_result.mx = SPAN("mx.example.net");
	f.u.tls_result.local = address("203.0.113.10:50000");
	f.u.tls_result.remote = address("198.51.100.9:25");
	f.u.tls_result.reason = "over";
	record_session_fact(s, &f);
}

static inline void
put_recipient(struct record_session *s, uint64_t now_us, const char *id,
    unsigned index, const char *to, bool accepted)
{
	struct fact f = { .type = FACT_RECIPIENT, .now_us = now_us };

	f.u.recipient.transaction_id = id;
	f.u.recipient.index = index;
	f.u.recipient.address = span_str(to);
	f.u.recipient.accepted = accepted;
	f.u.recipient.decided_by = accepted ? "mx" : "reputation";
	f.u.recipient.code = accepted ? 250 : 550;
	f.u.recipient.enhanced = accepted ? SPAN("2.1.5") : SPAN("5.1.1");
	f.u.recipient.text = accepted ? SPAN("Ok") : SPAN("User unknown");
	f.u.recipient.latency_us = accepted ? 321 : 0;
	f.u.recipient.category = accepted ? "" : "mailbox";
	record_session_fact(s, &f);
}

static inline void
put_transaction(struct record_session *s, uint64_t now_us, const char *id,
    const char *from, enum policy_outcome outcome)
{
	struct fact f = { .type = FACT_TRANSACTION, .now_us = now_us };

	f.u.transaction.transaction_id = id;
	f.u.transaction.sender = span_str(from);
	f.u.transaction.recipients = 2;
	f.u.transaction.accepted = 1;
	f.u.transaction.outcome = outcome;
	f.u.transaction.decided_by = "mx";
	f.u.transaction.size = 1024;
	f.u.transaction.code = outcome == POLICY_OUTCOME_DELIVERED ? 250 : 550;
	f.u.transaction.enhanced = SPAN("2.0.0");
	f.u.transaction.text = SPAN("Ok: queued as 4711\r\n");
	f.u.transaction.begin_us = now_us - 9000;
	f.u.transaction.data_us = now_us - 5000;
	f.u.transaction.end_us = now_us;
	f.u.transaction.reply_us = 3000;
	f.u.transaction.held = true;
	f.u.transaction.mx_group = "example.net";
	f.u.transaction.category = outcome == POLICY_OUTCOME_DELIVERED ? "" :
	    "content";
	f.u.transaction.mail_us = 61;
	f.u.transaction.rcpt_us = 62;
	f.u.transaction.body_us = 63;
	f.u.transaction.local = address("203.0.113.10:50000");
	f.u.transaction.remote = address("198.51.100.9:25");
	record_session_fact(s, &f);
}

static inline void
put_decision(struct record_session *s, uint64_t now_us, const char *id)
{
	static const struct policy_annotation annotations[] = {
		{ { (const uint8_t *)"spam\"", 5 },
		    { (const uint8_t *)"1", 1 } },
	};
	struct policy_decision d = { .action = POLICY_REJECT, .score = 7.5,
		.annotations = annotations, .n_annotations = 1 };
	struct fact f = { .type = FACT_DECISION, .now_us = now_us };

	d.reply.code = 550;
	d.reply.enhanced = SPAN("5.1.1");
	d.reply.lines[0] = SPAN("User unknown");
	d.reply.lines[1] = SPAN("Ask him");
	d.reply.n_lines = 2;
	d.delay_ms = 10;
	d.rule = SPAN("list-1");
	d.reason = SPAN("on the list");
	f.u.decision.policy = "reputation";
	f.u.decision.version = "v3";
	f.u.decision.transaction_id = id;
	f.u.decision.phase = POLICY_PHASE_RCPT;
	f.u.decision.index = 1;
	f.u.decision.decision = &d;
	f.u.decision.error_text = "";
	f.u.decision.action = POLICY_REJECT;
	f.u.decision.latency_us = 432;
	f.u.decision.applied = true;
	record_session_fact(s, &f);
}

static inline void
put_close(struct record_session *s, uint64_t now_us)
{
	struct fact f = { .type = FACT_CLOSE, .now_us = now_us };

	f.u.close.cause = "quit";
	f.u.close.transactions = 1;
	f.u.close.client_bytes = 2000;
	f.u.close.upstream_bytes = 700;
	f.u.close.elapse_ms = 42;
	f.u.close.ehlo_us = 71;
	f.u.close.quit_us = 72;
	f.u.close.min_rtt_us = 73;
	record_session_fact(s, &f);
}

#define SESSION_LINES 25

/* One whole session; its id is id_r's, if that is not NULL. */
static inline void
put_session(struct record *r, struct fixture *f, uint64_t wall_us,
    struct ulid *id_r)
{
	static const char *const lines[] = {
		"220 mx.example.net ESMTP\r\n", "EHLO client.example.com\r\n",
		"250-mx.example.net\r\n", "250-SIZE 10240000\r\n",
		"250 8BITMIME\r\n",
		"MAIL FROM:<alice@example.com> SIZE=1024\r\n",
		"250 2.1.0 Ok\r\n", "RCPT TO:<bob@example.net>\r\n",
		"RCPT TO:<carol@example.net>\r\n",
	};
	struct record_session *s = record_session_new(r, &f->metrics);
	struct ulid id = ulid_next(&f->ids, wall_us);
	struct ulid transaction = ulid_next(&f->ids, wall_us);
	uint64_t now_us = 5000000;
	size_t i;

	assert_non_null(s);
	put_open(s, now_us, id.text, wall_us);
	put_process(s, now_us + 100);
	put_upstream(s, now_us + 1500);
	put_tls(s, now_us + 4000);
	put_tls_result(s, now_us + 4500);
	for (i = 0; i < SESSION_LINES; i++)
		put_line(s, now_us + 5000, i % 2 == 0 ? FACT_MX_TO_CLIENT :
		    FACT_CLIENT_TO_MX, span_str(lines[i % ARRAY_LEN(lines)]));
	put_recipient(s, now_us + 6000, transaction.text, 0,
	    "<bob@example.net>", true);
	put_decision(s, now_us + 6500, transaction.text);
	put_rehomed(s, now_us + 6600, transaction.text);
	put_recipient(s, now_us + 7000, transaction.text, 1,
	    "carol@example.net", false);
	put_transaction(s, now_us + 20000, transaction.text,
	    "<alice@example.com>", POLICY_OUTCOME_DELIVERED);
	put_close(s, now_us + 25000);
	record_session_end(s);
	if (id_r != NULL)
		*id_r = id;
}

#endif

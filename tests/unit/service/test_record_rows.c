/*
 * Facts in, rows out: every column of every table and view.
 */
#include "record_fixture.h"

#include <sys/stat.h>

static void
every_column(void **state)
{
	static const struct { const char *sql, *want; } cases[] = {
		{ "SELECT count(*) FROM sessions", "1" },
		{ "SELECT occurred_at FROM sessions",
		    "2026-11-21T23:39:19.000001Z" },
		{ "SELECT duration_us FROM sessions", "25000" },
		{ "SELECT listener FROM sessions", "outbound" },
		{ "SELECT client_address || ' ' || client_port FROM sessions",
		    "192.0.2.7 40000" },
		{ "SELECT destination_address || ' ' || destination_port "
		    "FROM sessions", "198.51.100.9 25" },
		{ "SELECT source_address || ' ' || source_port FROM sessions",
		    "203.0.113.10 50000" },
		{ "SELECT upstream_address || ' ' || upstream_port "
		    "FROM sessions", "198.51.100.9 25" },
		{ "SELECT connect_us || coalesce(connect_error, '-') "
		    "FROM sessions", "1500-" },
		{ "SELECT client_tls_version FROM sessions", "(null)" },
		{ "SELECT upstream_tls_version || upstream_tls_cipher || "
		    "upstream_tls_bits FROM sessions", "TLS1.3AES-256-GCM256" },
		{ "SELECT upstream_tls_handshake_us || upstream_tls_verified ||"
		    "upstream_tls_resumed FROM sessions", "250000" },
		{ "SELECT upstream_tls_error FROM sessions", "(null)" },
		{ "SELECT upstream_tls_verify_error || upstream_tls_subject || "
		    "upstream_tls_issuer FROM sessions",
		    "unknown issuerCN=mx.example.netCN=ca" },
		{ "SELECT der FROM certificates JOIN sessions "
		    "ON upstream_tls_certificate = certificates.id",
		    "0123456789 not really DER" },
		{ "SELECT seen_at FROM certificates",
		    "2026-11-21T00:00:00.000000Z" },
		{ "SELECT mail_from || ' ' || mail_to FROM sessions",
		    "alice@example.com bob@example.net,carol@example.net" },
		{ "SELECT transactions || outcome || code || cause "
		    "FROM sessions", "1delivered250quit" },
		{ "SELECT client_bytes || ' ' || upstream_bytes || ' ' || "
		    "elapse_ms FROM sessions", "2000 700 42" },
		{ "SELECT count(*) FROM transactions t JOIN sessions s "
		    "ON s.id = t.session_id", "1" },
		{ "SELECT occurred_at || sender || outcome || decided_by "
		    "FROM transactions", "2026-11-21T23:39:19.011001Z"
		    "alice@example.comdeliveredmx" },
		{ "SELECT recipients || accepted || size || code || enhanced "
		    "|| reply FROM transactions",
		    "2110242502.0.0Ok: queued as 4711\\r\\n" },
		{ "SELECT data_us || ' ' || reply_us || ' ' || duration_us || "
		    "' ' || held FROM transactions", "4000 3000 9000 1" },
		{ "SELECT group_concat(number || address || accepted || "
		    "decided_by || code || enhanced || reply || "
		    "coalesce(latency_us, '-'), ' ') FROM recipients WHERE "
		    "transaction_id = (SELECT id FROM transactions)",
		    "0bob@example.net1mx2502.1.5Ok321 "
		    "1carol@example.net0reputation5505.1.1User unknown-" },
		{ "SELECT number || occurred_at || policy || version || phase "
		    "|| recipient FROM decisions WHERE transaction_id = "
		    "(SELECT id FROM transactions)",
		    "02026-11-21T23:39:19.006501Zreputationv3rcpt1" },
		{ "SELECT action || result || code || enhanced || reply || "
		    "delay_ms FROM decisions",
		    "rejectreject5505.1.1User unknown\\r\\nAsk him10" },
		{ "SELECT rule || score || reason || annotations "
		    "FROM decisions",
		    "list-17.5on the list{\"spam\\\"\":\"1\"}" },
		{ "SELECT latency_us || applied || observed || "
		    "coalesce(error, '-') || coalesce(error_text, '-') "
		    "FROM decisions", "43210--" },
		{ "SELECT number || occurred_at || phase || "
		    "from_source_address || from_upstream_address || "
		    "from_upstream_port || from_ehlo_name || "
		    "coalesce(to_source_address, '-') || "
		    "to_upstream_address || to_upstream_port || to_ehlo_name "
		    "|| policy || rule || result || reason || duration_us || "
		    "round_trips FROM rehomings WHERE transaction_id = "
		    "(SELECT id FROM transactions)",
		    "02026-11-21T23:39:19.006601Zmail203.0.113.10198.51.100.925"
		    "a.example-2001:db8::92525b.exampleprfailedno way775" },
		{ "SELECT source_address || upstream_address || upstream_port "
		    "FROM transactions", "203.0.113.10198.51.100.925" },
		{ "SELECT number || occurred_at || result || policy || domain "
		    "|| mx || source_address || source_port || "
		    "upstream_address || upstream_port || reason "
		    "FROM tls_results",
		    "02026-11-21T23:39:19.004501Zcertificate-expired"
		    "tlsaexample.netmx.example.net203.0.113.1050000"
		    "198.51.100.925over" },
		{ "SELECT mail_from || ' ' || mail_to || ' ' || occurred_at || "
		    "' ' || elapse FROM connections", "alice@example.com "
		    "bob@example.net,carol@example.net "
		    "2026-11-21T23:39:19.000001Z 42" },
		{ "SELECT group_concat(name) FROM "
		    "pragma_table_info('connections')",
		    "id,mail_from,mail_to,occurred_at,elapse" },
		{ "SELECT group_concat(name) FROM "
		    "pragma_table_info('communications')",
		    "id,connection_id,direction,data,occurred_at" },
		{ "SELECT count(DISTINCT id) FROM communications", "25" },
		{ "SELECT count(DISTINCT occurred_at) FROM communications",
		    "25" },
		{ "SELECT direction || ' ' || data || ' ' || occurred_at "
		    "FROM communications ORDER BY occurred_at LIMIT 1 OFFSET 1",
		    "-> EHLO client.example.com\\r\\n "
		    "2026-11-21T23:39:19.005002Z" },
		{ "SELECT process_uid || ' ' || process_pid || ' ' || "
		    "process_cgroup || ' ' || process_command FROM sessions",
		    "1001 4711 /a\\xff.service php-fpm: pool \"a\"" },
		{ "SELECT mx_name || ' ' || greeting_us || ' ' || ehlo_us || "
		    "' ' || quit_us || ' ' || min_rtt_us FROM sessions",
		    "mx.example.net 51 71 72 73" },
		{ "SELECT mx_group || ' ' || coalesce(category, '-') || ' ' || "
		    "mail_us || ' ' || rcpt_us || ' ' || body_us "
		    "FROM transactions", "example.net - 61 62 63" },
		{ "SELECT group_concat(coalesce(category, '-'), ' ') "
		    "FROM recipients", "- mailbox" },
		{ "PRAGMA journal_mode", "wal" },
		{ "PRAGMA foreign_key_check", "(none)" },
		{ "SELECT count(*) > 0 FROM sqlite_master WHERE name = "
		    "'sessions' AND sql LIKE '%-- of the first transaction%'",
		    "1" },
	};
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct stat sb;
	size_t i;

	(void)state;
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	for (i = 0; i < ARRAY_LEN(cases); i++)
		expect(f->db, cases[i].sql, cases[i].want);
	assert_int_equal(stat(f->db, &sb), 0);
	assert_int_equal(sb.st_mode & 07137, 0);	/* not everybody's */
	record_stop(r);
	fixture_free(f);
}

/* What was not seen, sessions that never closed, the empty sender. */
static void
unknown(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_session *s;

	(void)state;
	s = record_session_new(r, &f->metrics);
	put_open(s, 1, "01JDEXAMPLE000000000000001", WALL_US);
	put_close(s, 2);
	record_session_end(s);
	s = record_session_new(r, &f->metrics);
	put_open(s, 1, "01JDEXAMPLE000000000000002", WALL_US);
	put_transaction(s, 9001, "01JDEXAMPLE00000000000000T", "<>",
	    POLICY_OUTCOME_DELIVERED);
	put_transaction(s, 9002, "01JDEXAMPLE00000000000001T", "<x@y>",
	    POLICY_OUTCOME_REJECTED);
	put_transaction(s, 9003, "01JDEXAMPLE00000000000002T", "<z@y>",
	    POLICY_OUTCOME_DELIVERED);
	put_close(s, 2);
	record_session_end(s);
	s = record_session_new(r, &f->metrics);
	put_open(s, 1, "01JDEXAMPLE000000000000003", WALL_US);
	record_session_end(s);
	record_session_end(NULL);
	record_flush(r);
	expect(f->db, "SELECT mail_from || mail_to FROM connections "
	    "WHERE id LIKE '%1'", "unknownunknown");
	expect(f->db, "SELECT mail_from || mail_to FROM connections "
	    "WHERE id LIKE '%2'", "<>unknown");
	expect(f->db, "SELECT mail_from || outcome || code || transactions "
	    "FROM sessions WHERE id LIKE '%2'", "rejected5503");
	expect(f->db, "SELECT count(*) FROM connections", "2");
	expect(f->db, "SELECT count(*) FROM sessions", "3");
	record_stop(r);
	fixture_free(f);
}

/* What a row has not is not what the one before it had. */
static void
nothing_of_the_row_before(void **state)
{
	struct fact annotation = { .type = FACT_ANNOTATION, .now_us = 5 };
	struct fact failed = { .type = FACT_DECISION, .now_us = 6 };
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_session *s;

	(void)state;
	put_session(r, f, WALL_US, NULL);
	annotation.u.annotation.policy = "tagger";
	failed.u.decision.policy = "late";
	failed.u.decision.version = failed.u.decision.transaction_id = "";
	failed.u.decision.error_text = "no answer";
	failed.u.decision.error = POLICY_ERROR_TIMEOUT;
	s = record_session_new(r, &f->metrics);
	put_open(s, 1, "01JDEXAMPLE000000000000002", WALL_US);
	record_session_fact(s, &annotation);
	record_session_fact(s, &failed);
	put_close(s, 9);
	record_session_end(s);
	record_flush(r);
	expect(f->db, "SELECT count(*) FROM sessions WHERE "
	    "id = '01JDEXAMPLE000000000000002' AND mail_from IS NULL "
	    "AND mail_to IS NULL AND outcome IS NULL AND code IS NULL "
	    "AND source_address IS NULL AND upstream_address IS NULL "
	    "AND upstream_tls_subject IS NULL AND process_uid IS NULL "
	    "AND upstream_tls_certificate IS NULL AND mx_name IS NULL", "1");
	expect(f->db, "SELECT group_concat(policy || coalesce(action, 0) || "
	    "coalesce(code, 0) || coalesce(rule, 0) || coalesce(score, 0) || "
	    "coalesce(annotations, 0) || coalesce(error_text, 0), ' ') "
	    "FROM decisions WHERE session_id = '01JDEXAMPLE000000000000002'",
	    "tagger000000 late00000no answer");
	record_stop(r);
	fixture_free(f);
}

/* A session of many chunks: lines in order, numbers without a gap. */
static void
long_session(void **state)
{
	enum { LINES = 3000 };
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_session *s = record_session_new(r, &f->metrics);
	static uint8_t large[100000];
	char text[64];
	unsigned i;

	(void)state;
	memset(large, 'x', sizeof(large));
	put_open(s, 1, "01JDEXAMPLE000000000000001", WALL_US);
	for (i = 0; i < LINES; i++) {
		snprintf(text, sizeof(text), "line %06u\r\n", i);
		put_line(s, 1 + i / 7, FACT_CLIENT_TO_MX, span_str(text));
		if (i % 100 == 0)
			put_recipient(s, 1 + i, "01JDEXAMPLE00000000000000T",
			    i / 100, i % 200 ? "a@b" : "c@d", true);
		if (i % 500 == 0)
			put_decision(s, i, "01JDEXAMPLE00000000000000T");
	}
	put_line(s, 10000, FACT_EVENT, span_of(large, sizeof(large)));
	put_close(s, 2000000);
	record_session_end(s);
	record_flush(r);
	expect(f->db, "SELECT count(*) > 5 FROM transcripts", "1");
	expect(f->db, "SELECT count(*) FROM communications", "3001");
	expect(f->db, "SELECT count(*) FROM (SELECT data, row_number() OVER "
	    "(ORDER BY occurred_at) - 1 AS n FROM communications "
	    "WHERE connection_id = '01JDEXAMPLE000000000000001') "
	    "WHERE n < 3000 AND data = printf('line %06d\\r\\n', n)", "3000");
	expect(f->db, "SELECT count(*) FROM (SELECT id, row_number() OVER "
	    "(ORDER BY occurred_at) - 1 AS n FROM communications) WHERE id = "
	    "printf('01JDEXAMPLE000000000000001-%08d', n)", "3001");
	expect(f->db, "SELECT length(data) FROM communications "
	    "WHERE direction = '--'", "32768");
	expect(f->db, "SELECT length(mail_to) FROM sessions", "119");
	expect(f->db, "SELECT count(*) || max(number) FROM decisions", "65");
	expect(f->db, "SELECT client_address || cause || duration_us "
	    "FROM sessions", "192.0.2.7quit1999999");
	record_stop(r);
	fixture_free(f);
}

static void
uses_the_index(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	sqlite3_stmt *st;
	sqlite3 *db;
	bool search = false;

	(void)state;
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "EXPLAIN QUERY PLAN SELECT "
	    "direction, data FROM communications WHERE connection_id = ? "
	    "ORDER BY occurred_at", -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(st, 3);

		if (strstr(detail, "SEARCH t USING PRIMARY KEY "
		    "(session_id=?)") != NULL)
			search = true;
		if (strstr(detail, "SCAN t") != NULL)
			fail_msg("%s", detail);
	}
	assert_true(search);
	sqlite3_finalize(st);
	sqlite3_close(db);
	record_stop(r);
	fixture_free(f);
}

static void
hostile_bytes(void **state)
{
	static const struct { struct span in; const char *data; } cases[] = {
		{ { (const uint8_t *)"a\0b\r\n", 5 }, "a\\x00b\\r\\n" },
		{ { (const uint8_t *)"\"q\" 'x'; --", 11 }, "\"q\" 'x'; --" },
		{ { (const uint8_t *)"\xff\xc3(\r", 4 }, "\\xff\\xc3(\\r" },
		{ { (const uint8_t *)"back\\slash", 10 }, "back\\slash" },
		{ { (const uint8_t *)"\xc3\xa4\r\n", 4 }, "\xc3\xa4\\r\\n" },
		{ { (const uint8_t *)"\x1b[2J\xe2\x80\xae", 7 },
		    "\\x1b[2J\\xe2\\x80\\xae" },
		{ { (const uint8_t *)"", 0 }, "" },
		{ { (const uint8_t *)"\n", 1 }, "\\n" },
		{ { (const uint8_t *)"]],[[\"", 6 }, "]],[[\"" },
	};
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_session *s = record_session_new(r, &f->metrics);
	char sql[160];
	size_t i;

	(void)state;
	put_open(s, 1, "01JDEXAMPLE000000000000001", WALL_US);
	for (i = 0; i < ARRAY_LEN(cases); i++)
		put_line(s, 2, FACT_CLIENT_TO_WEIR, cases[i].in);
	put_recipient(s, 3, "t", 0, "<a\x01\xff@b>", true);
	put_close(s, 4);
	record_session_end(s);
	record_flush(r);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(sql, sizeof(sql), "SELECT data FROM communications "
		    "ORDER BY occurred_at LIMIT 1 OFFSET %zu", i);
		expect(f->db, sql, cases[i].data);
	}
	expect(f->db, "SELECT address FROM recipients", "a\\x01\\xff@b");
	expect(f->db, "SELECT mail_to FROM connections", "a\\x01\\xff@b");
	record_stop(r);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_column),
		cmocka_unit_test(unknown),
		cmocka_unit_test(nothing_of_the_row_before),
		cmocka_unit_test(long_session),
		cmocka_unit_test(uses_the_index),
		cmocka_unit_test(hostile_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The schema is written for people who open the database with sqlite3(1): its
 * comments stay in sqlite_master, so that `.schema` explains the columns.
 *
 * The rows of one session lie together and in the order of time, because every
 * key begins with its ULID. Lines would be most of
 * all rows, so a chunk of them is one row of transcripts, and communications
 * takes them apart when somebody looks.
 */
#include "service/record_schema.h"

#include <assert.h>
#include <stdio.h>

/* A database that belongs to the tool that weir took these two names from:
 * its tables keep their rows under another name. */
static const char adopt[] =
	"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?";
static const char *const adopted[][2] = {
	{ "connections",
	    "ALTER TABLE connections RENAME TO connections_before_weir" },
	{ "communications",
	    "ALTER TABLE communications RENAME TO communications_before_weir" },
};

static const char version_1[] =
"CREATE TABLE sessions (	-- one client connection each\n"
"	id TEXT PRIMARY KEY,	-- ULID: sorts by time\n"
"	occurred_at TEXT,	-- when the client connected, UTC\n"
"	duration_us INTEGER,	-- until both ends were closed; NULL: not yet\n"
"	listener TEXT,\n"
"	client_address TEXT, client_port INTEGER,\n"
"	destination_address TEXT, destination_port INTEGER,	-- as meant\n"
"	source_address TEXT, source_port INTEGER,	-- weir's own\n"
"	upstream_address TEXT, upstream_port INTEGER,	-- as dialled\n"
"	connect_us INTEGER,	-- how long connecting took\n"
"	connect_error TEXT,	-- NULL: connected\n"
"	client_tls_version TEXT, client_tls_cipher TEXT,\n"
"	client_tls_bits INTEGER, client_tls_handshake_us INTEGER,\n"
"	client_tls_error TEXT,\n"
"	upstream_tls_version TEXT, upstream_tls_cipher TEXT,\n"
"	upstream_tls_bits INTEGER, upstream_tls_handshake_us INTEGER,\n"
"	upstream_tls_error TEXT,	-- why the handshake failed\n"
"	upstream_tls_verified INTEGER, upstream_tls_resumed INTEGER,\n"
"	upstream_tls_verify_error TEXT,\n"
"	upstream_tls_subject TEXT, upstream_tls_issuer TEXT,\n"
"	upstream_tls_certificate INTEGER REFERENCES certificates(id),\n"
"	mail_from TEXT,		-- of the first transaction; '' is <>\n"
"	mail_to TEXT,		-- all RCPT of it, with commas between\n"
"	transactions INTEGER,\n"
"	outcome TEXT,		-- the worst of its transactions\n"
"	code INTEGER,		-- the reply code of that one\n"
"	cause TEXT,		-- of the end: quit, client_gone, ...\n"
"	client_bytes INTEGER,	-- received from the client\n"
"	upstream_bytes INTEGER,	-- received from the MX\n"
"	elapse_ms INTEGER	-- until the 354; -1 not connected, -2 none\n"
") WITHOUT ROWID;\n"
"CREATE TABLE transactions (	-- MAIL to the final reply\n"
"	session_id TEXT REFERENCES sessions(id),\n"
"	id TEXT,		-- ULID\n"
"	occurred_at TEXT,	-- of MAIL\n"
"	sender TEXT,		-- '' is <>\n"
"	outcome TEXT,	-- delivered, deferred, rejected, discarded, aborted\n"
"	decided_by TEXT,	-- mx, weir, or a policy's name\n"
"	recipients INTEGER, accepted INTEGER,\n"
"	size INTEGER,		-- octets of content\n"
"	code INTEGER, enhanced TEXT, reply TEXT,	-- the last reply\n"
"	data_us INTEGER,	-- MAIL to 354; NULL: none\n"
"	reply_us INTEGER,	-- final dot to final reply; NULL: none\n"
"	duration_us INTEGER,	-- MAIL to the final reply\n"
"	held INTEGER,		-- 1: weir kept the content for a verdict\n"
"	PRIMARY KEY (session_id, id)\n"
") WITHOUT ROWID;\n"
"CREATE TABLE recipients (	-- one RCPT each, refused ones too\n"
"	session_id TEXT REFERENCES sessions(id),\n"
"	transaction_id TEXT,\n"
"	number INTEGER,		-- from 0 in its transaction\n"
"	address TEXT,\n"
"	accepted INTEGER,\n"
"	decided_by TEXT,	-- mx, weir, or a policy's name\n"
"	code INTEGER, enhanced TEXT, reply TEXT,\n"
"	latency_us INTEGER,	-- of the MX's reply; NULL: not asked\n"
"	PRIMARY KEY (session_id, transaction_id, number),\n"
"	FOREIGN KEY (session_id, transaction_id)\n"
"		REFERENCES transactions(session_id, id)\n"
") WITHOUT ROWID;\n"
"CREATE TABLE decisions (	-- what policies said, or why they did not\n"
"	session_id TEXT REFERENCES sessions(id),\n"
"	number INTEGER,		-- counts within the session\n"
"	transaction_id TEXT,	-- NULL outside of one\n"
"	occurred_at TEXT,\n"
"	policy TEXT, version TEXT,	-- version of the policy's rules\n"
"	phase TEXT,		-- NULL: an annotation without a request\n"
"	recipient INTEGER,	-- recipients.number, at phase rcpt\n"
"	action TEXT,		-- the policy's own; NULL with an error\n"
"	result TEXT,		-- what it came to\n"
"	code INTEGER, enhanced TEXT, reply TEXT,	-- asked for\n"
"	delay_ms INTEGER,\n"
"	rule TEXT, score REAL, reason TEXT,\n"
"	annotations TEXT,	-- JSON object\n"
"	latency_us INTEGER,\n"
"	applied INTEGER, observed INTEGER,\n"
"	error TEXT, error_text TEXT,\n"
"	PRIMARY KEY (session_id, number)\n"
") WITHOUT ROWID;\n"
"CREATE TABLE transcripts (	-- read them through communications\n"
"	session_id TEXT REFERENCES sessions(id),\n"
"	part INTEGER,		-- the number of its first line\n"
"	occurred_us INTEGER,	-- of that line, since 1970 UTC\n"
"	lines TEXT,	-- JSON: [[microseconds, direction, data], ...]\n"
"	PRIMARY KEY (session_id, part)\n"
") WITHOUT ROWID;\n"
"CREATE TABLE certificates (	-- of MXs, each kept once\n"
"	id INTEGER PRIMARY KEY,\n"
"	der BLOB UNIQUE,\n"
"	seen_at TEXT		-- to the day\n"
");\n"
"CREATE VIEW connections AS	-- one row per closed connection\n"
"	SELECT id,\n"
"		CASE mail_from WHEN '' THEN '<>'\n"
"			ELSE coalesce(mail_from, 'unknown') END AS mail_from,\n"
"		coalesce(mail_to, 'unknown') AS mail_to,\n"
"		occurred_at, elapse_ms AS elapse\n"
"	FROM sessions WHERE cause IS NOT NULL;\n"
"CREATE VIEW communications AS	-- one row per line or event\n"
"	SELECT printf('%s-%08d', t.session_id, t.part + j.key) AS id,\n"
"		t.session_id AS connection_id,\n"
"		json_extract(j.value, '$[1]') AS direction,\n"
"		json_extract(j.value, '$[2]') AS data,\n"
"		strftime('%Y-%m-%dT%H:%M:%S', (t.occurred_us +\n"
"			json_extract(j.value, '$[0]')) / 1000000,\n"
"			'unixepoch') || printf('.%06dZ', (t.occurred_us +\n"
"			json_extract(j.value, '$[0]')) % 1000000)\n"
"			AS occurred_at\n"
"	FROM transcripts t, json_each(t.lines) j;\n";

static int
adopt_names(sqlite3 *db)
{
	sqlite3_stmt *st;
	size_t i;
	int rc, found;

	for (i = 0; i < ARRAY_LEN(adopted); i++) {
		if (sqlite3_prepare_v2(db, adopt, -1, &st, NULL) != SQLITE_OK)
			return -1;
		sqlite3_bind_text(st, 1, adopted[i][0], -1, SQLITE_STATIC);
		rc = sqlite3_step(st);
		found = rc == SQLITE_ROW && sqlite3_column_int(st, 0) > 0;
		sqlite3_finalize(st);
		if (rc != SQLITE_ROW)
			return -1;
		if (found && sqlite3_exec(db, adopted[i][1], NULL, NULL,
		    NULL) != SQLITE_OK)
			return -1;
	}
	return 0;
}

static int
to_version_1(sqlite3 *db)
{
	if (adopt_names(db) != 0)
		return -1;
	return sqlite3_exec(db, version_1, NULL, NULL, NULL) == SQLITE_OK ?
	    0 : -1;
}

/* A comment must end before the text does: SQLite puts ")" behind it. */
static const char version_2[] =
"ALTER TABLE decisions ADD COLUMN\n"
"	would_change INTEGER	/* 1: it was observed, and had changed what\n"
"		was done */;\n"
"ALTER TABLE transactions ADD COLUMN\n"
"	rewritten TEXT	/* the sender that the MX was told; NULL: the same */;\n"
"ALTER TABLE recipients ADD COLUMN\n"
"	rewritten TEXT	/* what the MX was told; NULL: the same */;\n";

static int
to_version_2(sqlite3 *db)
{
	return sqlite3_exec(db, version_2, NULL, NULL, NULL) == SQLITE_OK ?
	    0 : -1;
}

/* Who sent, on this machine. */
static const char version_3_process[] =
"ALTER TABLE sessions ADD COLUMN\n"
"	process_uid INTEGER	/* of the sending process, when it is on this\n"
"		machine and can be known: who made its socket */;\n"
"ALTER TABLE sessions ADD COLUMN\n"
"	process_pid INTEGER	/* NULL: not known, or not allowed to know */;\n"
"ALTER TABLE sessions ADD COLUMN\n"
"	process_cgroup TEXT	/* /system.slice/... */;\n"
"ALTER TABLE sessions ADD COLUMN\n"
"	process_command TEXT	/* the first word of its command line */;\n";

static const char version_3_reuse[] =
"ALTER TABLE sessions ADD COLUMN\n"
"	upstream_reused TEXT	/* id of the session that had the connection\n"
"		to the MX before; NULL: it was made for this one */;\n";

static const char version_3_tls_results[] =
"CREATE TABLE tls_results (	-- how securing the MX came out\n"
"	session_id TEXT REFERENCES sessions(id),\n"
"	number INTEGER,		-- counts within the session\n"
"	occurred_at TEXT,\n"
"	result TEXT,		-- success, or a result type of RFC 8460 4.3\n"
"	policy TEXT,		-- no-policy-found, tlsa or sts\n"
"	domain TEXT,		-- of the recipient that it was for; NULL: of\n"
"				-- all of the session\n"
"	mx TEXT,		-- its name, as it greets\n"
"	source_address TEXT, source_port INTEGER,	-- weir's own\n"
"	upstream_address TEXT, upstream_port INTEGER,\n"
"	reason TEXT,		-- of a failure, in words\n"
"	PRIMARY KEY (session_id, number)\n"
") WITHOUT ROWID;\n";

static const char version_3_rehomings[] =
"CREATE TABLE rehomings (	-- transactions that had to go another way\n"
"	session_id TEXT REFERENCES sessions(id),\n"
"	number INTEGER,		-- counts within the session\n"
"	transaction_id TEXT,\n"
"	occurred_at TEXT,	-- when it was done, or failed\n"
"	phase TEXT,		-- mail or rcpt: whose decision it was\n"
"	from_source_address TEXT,	-- weir's own, so far\n"
"	from_upstream_address TEXT, from_upstream_port INTEGER,\n"
"	from_ehlo_name TEXT,	-- that the MX heard\n"
"	to_source_address TEXT,	-- NULL: the kernel's choice, and no connection\n"
"	to_upstream_address TEXT, to_upstream_port INTEGER,\n"
"	to_ehlo_name TEXT,\n"
"	policy TEXT, rule TEXT,	-- that chose it; NULL: back to the usual way\n"
"	result TEXT,		-- done or failed\n"
"	reason TEXT,		-- why it failed, as the client was told\n"
"	duration_us INTEGER,	-- NULL: nothing was dialled\n"
"	round_trips INTEGER,	-- that were waited for on the new connection\n"
"	PRIMARY KEY (session_id, number),\n"
"	FOREIGN KEY (session_id, transaction_id)\n"
"		REFERENCES transactions(session_id, id)\n"
") WITHOUT ROWID;\n"
"ALTER TABLE transactions ADD COLUMN\n"
"	source_address TEXT	/* weir's own towards the MX that was told MAIL;\n"
"		NULL: none was */;\n"
"ALTER TABLE transactions ADD COLUMN\n"
"	upstream_address TEXT	/* that MX */;\n"
"ALTER TABLE transactions ADD COLUMN upstream_port INTEGER;\n";

/* The client's certificate, as the MX's. */
static const char version_3_client_tls[] =
"ALTER TABLE sessions ADD COLUMN client_tls_verified INTEGER;\n"
"ALTER TABLE sessions ADD COLUMN client_tls_resumed INTEGER;\n"
"ALTER TABLE sessions ADD COLUMN client_tls_verify_error TEXT;\n"
"ALTER TABLE sessions ADD COLUMN client_tls_subject TEXT;\n"
"ALTER TABLE sessions ADD COLUMN client_tls_issuer TEXT;\n"
"ALTER TABLE sessions ADD COLUMN\n"
"	client_tls_certificate INTEGER REFERENCES certificates(id);\n";

/* Each part of the program that came with this version has its own text. */
static const char *const version_3[] = {
	version_3_process, version_3_tls_results, version_3_rehomings,
	version_3_client_tls, version_3_reuse,
};

static int
run_all(sqlite3 *db, const char *const texts[], size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (sqlite3_exec(db, texts[i], NULL, NULL, NULL) != SQLITE_OK)
			return -1;
	return 0;
}

static int
to_version_3(sqlite3 *db)
{
	return run_all(db, version_3, ARRAY_LEN(version_3));
}

/* What was lost when weir was killed is known when it starts again. */
static const char version_4_runs[] =
"CREATE TABLE runs (	-- weir, from its start to its end\n"
"	id INTEGER PRIMARY KEY,\n"
"	instance TEXT,		-- the name of this weir\n"
"	version TEXT,		-- of the program\n"
"	started_at TEXT,\n"
"	ended_at TEXT,		-- NULL: it runs, or was killed\n"
"	sessions_lost INTEGER,	-- that it saw end and that are not here;\n"
"				-- after a kill known at the next start\n"
"	counted INTEGER		-- weir's own: of PATH-count, what is here\n"
");\n";

/* One that has no source address or domain has an empty text there: NULL is
 * no part of a key. */
static const char version_4_mx_minutes[] =
"CREATE TABLE mx_minutes (	-- what MXs answered, and how fast\n"
"	step_s INTEGER,		-- 60; after some days 3600, then 86400\n"
"	starts_at TEXT,		-- of these seconds\n"
"	kind TEXT,		-- pair: source_address and mx_group; domain:\n"
"				-- recipient_domain\n"
"	source_address TEXT,	-- weir's own\n"
"	mx_group TEXT,		-- the domain that MXs greet with, or their net\n"
"	recipient_domain TEXT,	-- (other): of those with less mail\n"
"	delivered INTEGER,	-- transactions\n"
"	deferred INTEGER,	-- 4xx\n"
"	rejected INTEGER,	-- 5xx\n"
"	refused INTEGER,	-- connections\n"
"	timed_out INTEGER,	-- no connection, or no reply in time\n"
"	closed INTEGER,		-- the MX hung up instead of a reply\n"
"	categories TEXT,	-- what was not delivered: JSON, {name: count}\n"
"	replies TEXT,		-- likewise: {\"550 5.7.1\": count}\n"
"	content_bytes INTEGER,\n"
"	min_rtt_us INTEGER,	-- the network's part of each of these\n"
"	connect_p50_us INTEGER, connect_p99_us INTEGER,\n"
"	greeting_p50_us INTEGER, greeting_p99_us INTEGER,\n"
"	ehlo_p50_us INTEGER, ehlo_p99_us INTEGER,\n"
"	tls_p50_us INTEGER, tls_p99_us INTEGER,\n"
"	mail_p50_us INTEGER, mail_p99_us INTEGER,\n"
"	rcpt_p50_us INTEGER, rcpt_p99_us INTEGER,\n"
"	data_p50_us INTEGER, data_p99_us INTEGER,\n"
"	body_p50_us INTEGER, body_p99_us INTEGER,\n"
"	final_p50_us INTEGER, final_p99_us INTEGER,\n"
"	quit_p50_us INTEGER, quit_p99_us INTEGER,\n"
"	tally BLOB,		-- all of this, so that it can be added up\n"
"	PRIMARY KEY (kind, mx_group, recipient_domain, step_s, starts_at,\n"
"		source_address)\n"
") WITHOUT ROWID;\n"
"CREATE INDEX mx_minutes_by_time ON mx_minutes(step_s, starts_at);\n";

/* What the status page searches by. An index is kept small by what it leaves
 * out (success is everywhere, and found soon), and cheap by its order: first
 * the part of time, some nine hours that the beginning of the session's id
 * stands for. What is written meets few pages then, whatever the number of
 * domains, and a search goes from part to part (record_search.c). */
#define PART_OF(id) "substr(" id ", 1, 5)"
/* Behind the last @: what is behind the first, unless that has one, which is
 * rare and takes much longer. */
#define BEHIND_FIRST_AT(a) "substr(" a ", instr(" a ", '@') + 1)"
#define DOMAIN_OF(a) \
	"lower(CASE instr(" BEHIND_FIRST_AT(a) ", '@') WHEN 0 THEN " \
	BEHIND_FIRST_AT(a) " ELSE substr(" a ", length(rtrim(" a \
	", replace(" a ", '@', ''))) + 1) END)"
static const char version_4_search[] =
"ALTER TABLE transactions ADD COLUMN\n"
"	sender_domain TEXT	/* of sender, in lower case; not stored */\n"
"	AS (" DOMAIN_OF("sender") ");\n"
"ALTER TABLE recipients ADD COLUMN\n"
"	domain TEXT		/* of address, in lower case; not stored */\n"
"	AS (" DOMAIN_OF("address") ");\n"
"CREATE INDEX transactions_sender ON transactions("
	PART_OF("session_id") ", sender_domain, session_id, sender);\n"
"CREATE INDEX recipients_address ON recipients("
	PART_OF("session_id") ", domain, session_id, address);\n"
"CREATE INDEX sessions_time ON sessions(occurred_at);\n"
"CREATE INDEX sessions_client ON sessions("
	PART_OF("id") ", client_address);\n"
"CREATE INDEX sessions_upstream ON sessions("
	PART_OF("id") ", upstream_address);\n"
"CREATE INDEX transactions_group ON transactions("
	PART_OF("session_id") ", mx_group) WHERE mx_group NOT NULL;\n"
"CREATE INDEX rehomings_upstream ON rehomings("
	PART_OF("session_id") ", to_upstream_address);\n"
"CREATE INDEX sessions_outcome ON sessions("
	PART_OF("id") ", outcome) WHERE outcome <> 'delivered';\n"
"CREATE INDEX sessions_open ON sessions(cause) WHERE cause IS NULL;\n"
"CREATE INDEX transactions_code ON transactions("
	PART_OF("session_id") ", code, session_id, enhanced) "
	"WHERE code >= 400;\n"
"CREATE INDEX recipients_code ON recipients("
	PART_OF("session_id") ", code, session_id, enhanced) "
	"WHERE code >= 400;\n"
"CREATE INDEX decisions_policy ON decisions("
	PART_OF("session_id") ", policy);\n";

static const char version_4_operations[] =
"CREATE TABLE operations (	-- what somebody asked weir to do\n"
"	id INTEGER PRIMARY KEY,\n"
"	occurred_at TEXT,\n"
"	operation TEXT,		-- reload, drain, suspend-address, ...\n"
"	argument TEXT,		-- of the request: address=192.0.2.1 for=1h\n"
"	asked_by TEXT,		-- an address; control uid 0: by the control\n"
"				-- socket, who\n"
"	result TEXT		-- ok, or what was wrong\n"
");\n";

static const char version_4_measures[] =
"ALTER TABLE sessions ADD COLUMN\n"
"	mx_name TEXT		/* how the MX greets */;\n"
"ALTER TABLE sessions ADD COLUMN\n"
"	greeting_us INTEGER	/* connection to greeting; NULL: none, or that of\n"
"		the session that had the connection before */;\n"
"ALTER TABLE sessions ADD COLUMN\n"
"	ehlo_us INTEGER		/* the first EHLO to its reply */;\n"
"ALTER TABLE sessions ADD COLUMN\n"
"	quit_us INTEGER		/* QUIT to its reply */;\n"
"ALTER TABLE sessions ADD COLUMN\n"
"	min_rtt_us INTEGER	/* the network's part of all of these */;\n"
"ALTER TABLE transactions ADD COLUMN\n"
"	mx_group TEXT		/* the domain that the MX greets with, or its\n"
"		network; NULL: none was told MAIL */;\n"
"ALTER TABLE transactions ADD COLUMN\n"
"	category TEXT		/* of the MX's refusal; NULL: it is none */;\n"
"ALTER TABLE transactions ADD COLUMN\n"
"	mail_us INTEGER		/* MAIL to its reply */;\n"
"ALTER TABLE transactions ADD COLUMN\n"
"	rcpt_us INTEGER		/* the slowest RCPT to its reply */;\n"
"ALTER TABLE transactions ADD COLUMN\n"
"	body_us INTEGER		/* 354, or the first BDAT, to the last octet */;\n"
"ALTER TABLE recipients ADD COLUMN\n"
"	category TEXT		/* of the MX's refusal; NULL: it is none */;\n";

static const char version_4_mx_states[] =
"CREATE TABLE mx_states (	-- how MXs came to treat a source address\n"
"	id INTEGER PRIMARY KEY,\n"
"	occurred_at TEXT,\n"
"	source_address TEXT,	-- weir's own\n"
"	mx_group TEXT,		-- the domain that MXs greet with, or their net\n"
"	from_state TEXT,	-- normal, suspect, throttled, blocked, recovering\n"
"	to_state TEXT,		-- the same: whose trouble it is was found out\n"
"	detector TEXT,		-- replies, latency, connections; none: it is over\n"
"	attribution TEXT,	-- source, group, sender_domain, content, unknown\n"
"	evidence TEXT,		-- JSON: the figures, and a sentence\n"
"	session_id TEXT		-- that showed it; NULL: time did\n"
");\n"
"CREATE INDEX mx_states_group ON mx_states(mx_group, occurred_at);\n"
"CREATE INDEX mx_states_time ON mx_states(occurred_at);\n";

/* Refusals are few beside what is delivered: their indexes cost mail that is
 * not refused nothing. (Version 5 has other columns in them.) */
static const char version_4_refusals[] =
"CREATE INDEX recipients_refused ON recipients(session_id)\n"
"	WHERE accepted = 0;\n"
"CREATE INDEX transactions_refused ON transactions(session_id)\n"
"	WHERE outcome IN ('deferred', 'rejected');\n"
"CREATE INDEX sessions_unreached ON sessions(id)\n"
"	WHERE connect_error IS NOT NULL;\n";

static const char *const version_4[] = {
	version_4_runs,
	version_4_mx_minutes,
	version_4_measures,
	version_4_mx_states,
	version_4_search,
	version_4_operations,
	version_4_refusals,
};

static int
to_version_4(sqlite3 *db)
{
	return run_all(db, version_4, ARRAY_LEN(version_4));
}

/* The report reads these alone, and not the tables: they have all that it
 * groups by. */
static const char version_5_refusals[] =
"DROP INDEX recipients_refused;\n"
"CREATE INDEX recipients_refused ON recipients(session_id, transaction_id,\n"
"	accepted, code, decided_by, enhanced, category, number)\n"
"	WHERE accepted = 0;\n"
"DROP INDEX transactions_refused;\n"
"CREATE INDEX transactions_refused ON transactions(session_id, id, sender,\n"
"	mx_group, occurred_at, outcome, recipients, accepted, decided_by,\n"
"	code, enhanced, category)\n"
"	WHERE outcome IS NOT 'delivered' OR accepted < recipients;\n"
"DROP INDEX sessions_unreached;\n"
"CREATE INDEX sessions_unreached ON sessions(id, mail_from,\n"
"	upstream_address, code, connect_error, occurred_at)\n"
"	WHERE connect_error IS NOT NULL;\n";

static const char *const version_5[] = {
	version_5_refusals,
};

static int
to_version_5(sqlite3 *db)
{
	return run_all(db, version_5, ARRAY_LEN(version_5));
}

/* migrations[n] makes version n + 1 of version n. */
static int (*const migrations[])(sqlite3 *) = { to_version_1,
	to_version_2, to_version_3, to_version_4, to_version_5 };
static_assert(ARRAY_LEN(migrations) == RECORD_SCHEMA_VERSION,
    "one migration per version");

static int
read_version(sqlite3 *db, int *version_r)
{
	sqlite3_stmt *st;
	int rc;

	if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) !=
	    SQLITE_OK)
		return -1;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*version_r = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : -1;
}

/* All of it or nothing: whoever reads meanwhile never sees a version in
 * between. */
static int
migrate(sqlite3 *db, int from, int to)
{
	char pragma[48];

	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return -1;
	for (int version = from; version < to; version++)
		if (migrations[version](db) != 0)
			return -1;	/* closing db rolls back, and keeps
					   its error */
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", to);
	return sqlite3_exec(db, pragma, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

enum record_schema_result
record_schema_migrate(sqlite3 *db, int to, int *version_r)
{
	int from;

	if (read_version(db, version_r) != 0)
		return RECORD_SCHEMA_FAILED;
	if (*version_r > RECORD_SCHEMA_VERSION)
		return RECORD_SCHEMA_NEWER;
	from = *version_r < 0 ? 0 : *version_r;
	return from >= to || migrate(db, from, to) == 0 ? RECORD_SCHEMA_OK :
	    RECORD_SCHEMA_FAILED;
}

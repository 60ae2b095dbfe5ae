/*
 * Facts as rows: prepared statements and what is bound to them.
 */
#ifndef WEIR_SERVICE_RECORD_ROWS_H
#define WEIR_SERVICE_RECORD_ROWS_H

#include <sqlite3.h>

#include "service/record_chunk.h"
#include "service/record_text.h"

enum record_rows_statement {
	RECORD_ROWS_SESSION, RECORD_ROWS_TRANSACTION, RECORD_ROWS_RECIPIENT,
	RECORD_ROWS_DECISION, RECORD_ROWS_TRANSCRIPT, RECORD_ROWS_CERTIFICATE,
	RECORD_ROWS_CERTIFICATE_ID, RECORD_ROWS_TLS_RESULT, RECORD_ROWS_REHOMED,
	RECORD_ROWS_OPEN_TRANSACTION,
	RECORD_ROWS_STATEMENT_COUNT
};

#define RECORD_ROWS_CERTIFICATES 16	/* remembered */
#define RECORD_ROWS_PLACES 8		/* more than any row has */

struct record_rows {
	sqlite3 *db;
	sqlite3_stmt *statements[RECORD_ROWS_STATEMENT_COUNT];
	uint64_t bound[RECORD_ROWS_STATEMENT_COUNT];	/* columns, a bit each,
					   that are not NULL */
	char places[RECORD_ROWS_PLACES][ADDR_TEXT_MAX];	/* of short texts */
	struct buf lines, texts, scratch, joined, mail_to;
	struct record_text_clock clock;
	struct record_cursor cursor;
	struct record_rows_certificate {
		struct buf der;
		int64_t id;
		uint64_t day;		/* it was written or refreshed */
	} certificates[RECORD_ROWS_CERTIFICATES];
};

/* rows is all zero; db must be at the schema's version. SQLite's codes. */
int record_rows_init(struct record_rows *rows, sqlite3 *db) MUSTUSE;
void record_rows_release(struct record_rows *rows);

/* Writes a chunk's rows. SQLite's codes. */
int record_rows_write(struct record_rows *rows,
	const struct record_chunk *chunk) MUSTUSE;

/* What one chunk knows of its session: the facts point into the chunk. */
struct record_rows_about {
	struct fact open, process, upstream, greeting, tls[2], close;
	/* of which there was something, but not its end; "": none */
	char open_transaction[ULID_TEXT_LEN + 1];
	bool has_open, has_process, has_upstream, has_greeting, has_tls[2];
	bool has_close, has_sender;
	struct span sender;
	int64_t certificate[2];		/* likewise; 0: none */
};

/* Takes the cursor's fact in; writes the row. SQLite's codes. */
int record_rows_collect(struct record_rows *rows, struct record_rows_about *a)
	MUSTUSE;
int record_rows_session(struct record_rows *rows,
	const struct record_chunk *chunk, const struct record_rows_about *a)
	MUSTUSE;

/* The batch was rolled back: forget what it taught. */
void record_rows_forget(struct record_rows *rows);

#endif

/*
 * Facts as rows.
 */
#ifndef WEIR_SERVICE_RECORD_ROWS_H
#define WEIR_SERVICE_RECORD_ROWS_H

#include <sqlite3.h>

#include "service/record_certificates.h"
#include "service/record_chunk.h"
#include "service/record_stage.h"
#include "service/record_text.h"

enum record_rows_table {
	RECORD_ROWS_SESSION, RECORD_ROWS_TRANSACTION,
	RECORD_ROWS_OPEN_TRANSACTION, RECORD_ROWS_RECIPIENT,
	RECORD_ROWS_DECISION, RECORD_ROWS_TRANSCRIPT, RECORD_ROWS_TLS_RESULT,
	RECORD_ROWS_REHOMED,
	RECORD_ROWS_TABLE_COUNT
};

struct record_rows {
	struct record_stage stages[RECORD_ROWS_TABLE_COUNT];
	unsigned chunks;		/* whose rows are in there */
	struct record_certificates certificates;
	struct buf scratch, joined, mail_to;
	struct record_text_clock clock;
	struct record_cursor cursor;
};

/* rows is all zero, and must not move; db must be at the schema's version.
 * SQLite's codes. */
int record_rows_init(struct record_rows *rows, sqlite3 *db) MUSTUSE;
/* Before db is closed, and after. */
void record_rows_finalize(struct record_rows *rows);
void record_rows_release(struct record_rows *rows);

/* Writes a chunk's rows, with those of some other chunks: it must live until
 * the flush, which writes what is left. SQLite's codes, of any of these. */
int record_rows_write(struct record_rows *rows,
	const struct record_chunk *chunk) MUSTUSE;
int record_rows_flush(struct record_rows *rows) MUSTUSE;

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

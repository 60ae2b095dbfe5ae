/*
 * A stage is to SQLite a table that can only be read from its first row to its
 * last (a virtual one, without a CREATE), so that one statement,
 *
 *	INSERT INTO sessions(...) SELECT * FROM staged_sessions
 *
 * takes many rows. For a statement of one row SQLite opens the table and each
 * of its indexes, looks for the place from the root on, and gives everything
 * back, which costs more than the row; in a statement of many the place behind
 * the last row is at hand, which is where the next one belongs.
 */
#include "service/record_stage.h"

#include <assert.h>
#include <stdlib.h>

#define ROOM 64			/* rows, at first */
#define TEXTS_KEPT (256 * 1024)	/* bytes of memory */

struct reader {
	sqlite3_vtab base;
	struct record_stage *stage;
};

static int
stage_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **vtab_r, char **error_r)
{
	struct record_stage *stage = aux;
	struct reader *reader;
	struct buf sql;
	int rc;

	(void)argc;
	(void)argv;
	(void)error_r;
	buf_init(&sql, 0);
	buf_printf(&sql, "CREATE TABLE x(%s)", stage->table->columns);
	buf_append_byte(&sql, '\0');
	rc = buf_failed(&sql) ? SQLITE_NOMEM :
	    sqlite3_declare_vtab(db, (const char *)buf_span(&sql).data);
	buf_release(&sql);
	if (rc != SQLITE_OK)
		return rc;
	reader = calloc(1, sizeof(*reader));
	if (reader == NULL)
		return SQLITE_NOMEM;
	reader->stage = stage;
	*vtab_r = &reader->base;
	return SQLITE_OK;
}

static int
stage_disconnect(sqlite3_vtab *vtab)
{
	free(vtab);
	return SQLITE_OK;
}

static int
stage_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	(void)vtab;
	info->estimatedCost = ROOM;
	return SQLITE_OK;
}

static struct record_stage *
stage_of(sqlite3_vtab_cursor *cursor)
{
	return ((struct reader *)cursor->pVtab)->stage;
}

static int
stage_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor_r)
{
	(void)vtab;
	*cursor_r = calloc(1, sizeof(**cursor_r));
	return *cursor_r == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static int
stage_close(sqlite3_vtab_cursor *cursor)
{
	free(cursor);
	return SQLITE_OK;
}

static int
stage_filter(sqlite3_vtab_cursor *cursor, int index, const char *name, int argc,
    sqlite3_value **argv)
{
	(void)index;
	(void)name;
	(void)argc;
	(void)argv;
	stage_of(cursor)->reading = 0;
	return SQLITE_OK;
}

static int
stage_next(sqlite3_vtab_cursor *cursor)
{
	stage_of(cursor)->reading++;
	return SQLITE_OK;
}

static int
stage_eof(sqlite3_vtab_cursor *cursor)
{
	const struct record_stage *stage = stage_of(cursor);

	return stage->reading == stage->rows;
}

static int
stage_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
	const struct record_stage *stage = stage_of(cursor);
	const struct record_value *v = &stage->values[stage->reading *
	    stage->columns + (unsigned)column];

	switch (v->kind) {
	case RECORD_VALUE_NULL:
		break;
	case RECORD_VALUE_INT:
		sqlite3_result_int64(context, v->u.number);
		break;
	case RECORD_VALUE_REAL:
		sqlite3_result_double(context, v->u.real);
		break;
	case RECORD_VALUE_TEXT:
		sqlite3_result_text(context, (const char *)v->u.text,
		    v->len, SQLITE_STATIC);
		break;
	case RECORD_VALUE_KEPT:
		sqlite3_result_text(context,
		    (const char *)buf_span(&stage->texts).data + v->u.at,
		    v->len, SQLITE_STATIC);
		break;
	}
	return SQLITE_OK;
}

static int
stage_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *id_r)
{
	*id_r = (sqlite3_int64)stage_of(cursor)->reading;
	return SQLITE_OK;
}

static const sqlite3_module module = {
	.xConnect = stage_connect, .xBestIndex = stage_best_index,
	.xDisconnect = stage_disconnect, .xOpen = stage_open,
	.xClose = stage_close, .xFilter = stage_filter, .xNext = stage_next,
	.xEof = stage_eof, .xColumn = stage_column, .xRowid = stage_rowid,
};

static int
prepare(struct record_stage *stage, sqlite3 *db)
{
	const struct record_table *t = stage->table;
	struct buf sql;
	int rc = SQLITE_NOMEM;

	buf_init(&sql, 0);
	buf_printf(&sql, "%s INTO %s(%s) SELECT * FROM %s WHERE true %s",
	    t->insert, t->table, t->columns, t->stage, t->then);
	if (!buf_failed(&sql))
		rc = sqlite3_prepare_v3(db, (const char *)buf_span(&sql).data,
		    (int)buf_len(&sql), SQLITE_PREPARE_PERSISTENT,
		    &stage->insert, NULL);
	buf_release(&sql);
	return rc;
}

int
record_stage_init(struct record_stage *stage, sqlite3 *db,
    const struct record_table *table)
{
	const char *c;
	int rc;

	stage->table = table;
	stage->columns = 1;
	for (c = table->columns; *c != '\0'; c++)
		stage->columns += *c == ',';
	buf_init(&stage->texts, 0);
	rc = sqlite3_create_module(db, table->stage, &module, stage);
	return rc == SQLITE_OK ? prepare(stage, db) : rc;
}

void
record_stage_finalize(struct record_stage *stage)
{
	sqlite3_finalize(stage->insert);
	stage->insert = NULL;
}

void
record_stage_release(struct record_stage *stage)
{
	free(stage->values);
	buf_release(&stage->texts);
}

static int
grow(struct record_stage *stage)
{
	size_t room = stage->room == 0 ? ROOM : stage->room * 2;
	struct record_value *values;

	values = realloc(stage->values,
	    room * stage->columns * sizeof(*values));
	if (values == NULL)
		return -1;
	stage->values = values;
	stage->room = room;
	return 0;
}

struct record_value *
record_stage_add(struct record_stage *stage)
{
	struct record_value *row;

	if (stage->rows == stage->room && grow(stage) != 0)
		return NULL;
	row = &stage->values[stage->rows++ * stage->columns];
	memset(row, 0, stage->columns * sizeof(*row));
	return row;
}
static_assert(RECORD_VALUE_NULL == 0, "zero is NULL");

int
record_stage_flush(struct record_stage *stage)
{
	int rc;

	if (stage->rows == 0)
		return SQLITE_OK;
	if (buf_failed(&stage->texts))
		return SQLITE_NOMEM;
	rc = sqlite3_step(stage->insert);
	sqlite3_reset(stage->insert);
	record_stage_clear(stage);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void
record_stage_clear(struct record_stage *stage)
{
	stage->rows = 0;
	if (stage->texts.cap > TEXTS_KEPT)
		buf_release(&stage->texts);
	buf_clear(&stage->texts);
}

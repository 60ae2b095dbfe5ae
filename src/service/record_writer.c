/*
 * What the writer thread does with chunks: JSON lines at once or never, SQLite
 * in batches that wait, up to the bound, until whatever is in the way has
 * gone. No trouble of one sink is the other's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "service/record_internal.h"

#define BACKOFF_MIN_US 100000u
#define BACKOFF_MAX_US 5000000u
#define LOG_EVERY_US (60 * (uint64_t)CLOCK_US_PER_S)
#define EXPIRE_EVERY_US (60 * (uint64_t)CLOCK_US_PER_S)
#define EXPIRE_PAUSE_US 10000u		/* at least, while there is more */
#define ROLL_PAUSE_US 200000u		/* likewise */
#define EXPIRE_STEP 300			/* sessions */
#define ROLL_STEP 5			/* keys of mx_minutes */
#define JSON_WRITE_BYTES (256 * 1024)	/* at once */
#define BATCH_MAX 2048			/* chunks per transaction */

/* ---------------------------------------------------------------- trouble */

void
record_trouble_is(struct record_trouble *t, const char *sink, const char *path,
    const char *error, uint64_t now_us)
{
	char quoted_path[LOG_QUOTE_MAX], quoted[LOG_QUOTE_MAX];

	snprintf(t->error, sizeof(t->error), "%s", error);
	t->wait_us = t->wait_us == 0 ? BACKOFF_MIN_US : t->wait_us * 2;
	if (t->wait_us > BACKOFF_MAX_US)
		t->wait_us = BACKOFF_MAX_US;
	t->retry_us = now_us + t->wait_us;
	if (strcmp(t->logged, error) == 0 &&
	    now_us - t->logged_us < LOG_EVERY_US)
		return;
	t->logged_us = now_us;
	snprintf(t->logged, sizeof(t->logged), "%s", error);
	log_event(LOG_ERROR, "record.failed", "sink=%s file=%s error=%s", sink,
	    log_quote(span_str(path), quoted_path),
	    log_quote(span_str(error), quoted));
}

void
record_trouble_over(struct record_trouble *t, const char *sink,
    const char *path)
{
	char quoted[LOG_QUOTE_MAX];

	if (t->error[0] != '\0')
		log_event(LOG_INFO, "record.recovered", "sink=%s file=%s",
		    sink, log_quote(span_str(path), quoted));
	t->error[0] = '\0';
	t->retry_us = t->wait_us = 0;
}

/* ------------------------------------------------------------------- life */

void
record_writer_init(struct record_writer *w)
{
	memset(w, 0, sizeof(*w));
	record_list_init(&w->waiting);
	record_json_init(&w->json);
}

static void
drop_waiting(struct record_writer *w)
{
	struct record_chunk *chunk;

	while ((chunk = record_list_take(&w->waiting)) != NULL) {
		record_chunk_unref(chunk);
		w->dropped++;
	}
}

void
record_writer_release(struct record_writer *w)
{
	drop_waiting(w);
	record_sqlite_close(w->db);
	record_json_release(&w->json);
	free(w->sqlite_path);
	free(w->json_path);
}

void
record_writer_end(struct record_writer *w, uint64_t wall_us)
{
	if (w->db != NULL && w->run.count != NULL)
		record_run_end(&w->run, record_sqlite_handle(w->db), wall_us);
}

void
record_writer_configure(struct record_writer *w, char *sqlite_path,
    char *json_path, const struct config_record *config,
    struct record_count *count, uint64_t base)
{
	if (count != w->run.count) {	/* another database: another run */
		record_writer_end(w, clock_wall_us());
		w->run.count = count;
		w->run.base = base;
		w->run.recorded = 0;
		w->run.id = 0;
	}
	record_sqlite_close(w->db);
	w->db = NULL;
	record_json_close(&w->json);
	free(w->sqlite_path);
	free(w->json_path);
	w->sqlite_path = sqlite_path;
	w->json_path = json_path;
	w->retention_us = config->retention_us;
	w->max_bytes = config->max_size;
	w->json.legacy = config->format == CONFIG_RECORD_LEGACY;
	w->max = config->queue > 0 ? config->queue : 1;
	memset(&w->sqlite_trouble, 0, sizeof(w->sqlite_trouble));
	memset(&w->json_trouble, 0, sizeof(w->json_trouble));
	w->expire_us = w->roll_us = 0;
	w->opens++;
	if (sqlite_path == NULL)
		drop_waiting(w);
}

/* ------------------------------------------------------------------- JSON */

static int
json_try(struct record_writer *w)
{
	if (w->json.fd == -1 && record_json_open(&w->json, w->json_path) != 0)
		return -1;
	if (record_json_write(&w->json) == 0)
		return 0;
	/* it may be another file by now */
	record_json_close(&w->json);
	return -1;
}

static void
json_run(struct record_writer *w, const struct record_list *list, bool force,
    uint64_t now_us)
{
	const struct record_chunk *chunk;
	unsigned held = 0, done = 0;
	bool ok = true;

	if (!force && now_us < w->json_trouble.retry_us) {
		w->failed += list->n;
		return;
	}
	for (chunk = list->head; ok && chunk != NULL; chunk = chunk->next) {
		if (chunk->write == NULL)
			record_json_add(&w->json, chunk);
		else if (chunk->is_line)
			record_json_add_line(&w->json, chunk);
		held++;
		if (buf_len(&w->json.out) < JSON_WRITE_BYTES)
			continue;
		if ((ok = json_try(w) == 0)) {
			done += held;
			held = 0;
		}
	}
	if (ok && json_try(w) == 0) {
		record_trouble_over(&w->json_trouble, "json", w->json_path);
		return;
	}
	record_trouble_is(&w->json_trouble, "json", w->json_path,
	    strerror(errno), now_us);
	buf_clear(&w->json.out);
	w->failed += list->n - done;
}

/* ----------------------------------------------------------------- SQLite */

static int
move_aside(struct record_writer *w, const char *error, uint64_t wall_us)
{
	char path[LOG_QUOTE_MAX], why[LOG_QUOTE_MAX];
	int rc = record_sqlite_move_aside(w->sqlite_path, wall_us);

	log_event(LOG_ERROR, "record.corrupt", "file=%s error=%s action=%s",
	    log_quote(span_str(w->sqlite_path), path),
	    log_quote(span_str(error), why),
	    rc == 0 ? "moved_aside" : "none");
	return rc;
}

/* Brings the connection into the state that a failure leaves it in. */
static void
sqlite_failed(struct record_writer *w, enum record_sqlite_result result,
    const char *error, uint64_t now_us, uint64_t wall_us)
{
	if (result == RECORD_SQLITE_OK || result == RECORD_SQLITE_BAD_CHUNK)
		return;
	if (result != RECORD_SQLITE_AGAIN) {
		record_sqlite_close(w->db);
		w->db = NULL;
	}
	record_trouble_is(&w->sqlite_trouble, "sqlite", w->sqlite_path, error,
	    now_us);
	/* begin a new one at once, but not twice in a row */
	if (result == RECORD_SQLITE_CORRUPT &&
	    move_aside(w, error, wall_us) == 0) {
		w->run.id = 0;
		if (w->sqlite_trouble.wait_us == BACKOFF_MIN_US)
			w->sqlite_trouble.retry_us = now_us;
	}
}

/* Writes the first n that wait, as one transaction. */
static enum record_sqlite_result
write_batch(struct record_writer *w, unsigned n,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	enum record_sqlite_result result;
	struct record_chunk *chunk = w->waiting.head;
	uint64_t ended = 0;

	/* no session should wait for this, as long as the writer keeps up */
	record_sqlite_give_way(w->db, w->waiting.n < BATCH_MAX);
	result = record_sqlite_begin(w->db, error);
	for (; result == RECORD_SQLITE_OK && n > 0; n--, chunk = chunk->next) {
		result = record_sqlite_write(w->db, chunk, error);
		ended += chunk->last;
	}
	if (result == RECORD_SQLITE_OK)
		result = record_sqlite_flush(w->db, error);
	if (result == RECORD_SQLITE_OK)
		result = record_sqlite_note(w->db, &w->run, ended, error);
	if (result == RECORD_SQLITE_OK)
		result = record_sqlite_commit(w->db, error);
	if (result == RECORD_SQLITE_OK)
		w->run.recorded += ended;
	return result;
}

/* One of the first n cannot be written: each of them is tried alone, and the
 * one that still cannot be is left out. */
static void
sort_out(struct record_writer *w, unsigned n, const char *error)
{
	struct record_chunk *bad;
	char quoted[LOG_QUOTE_MAX];

	if (n > 1) {
		w->alone = n;
		return;
	}
	bad = record_list_take(&w->waiting);
	log_event(LOG_ERROR, "record.bad_chunk", "session=%s error=%s",
	    bad->id, log_quote(span_str(error), quoted));
	record_chunk_unref(bad);
	w->failed++;
}

/* How many are written as one. */
static unsigned
batch(struct record_writer *w)
{
	if (w->alone > 0 && w->waiting.n > 0) {
		w->alone--;
		return 1;
	}
	return w->waiting.n < BATCH_MAX ? w->waiting.n : BATCH_MAX;
}

/* Its rows are there to be read: the caller's chunk is done with. */
static void
written(struct record_writer *w, struct record_chunk *chunk)
{
	if (w->ended != NULL && chunk->last && chunk->write == NULL)
		record_ended_add(w->ended, chunk->id);
	record_chunk_unref(chunk);
	w->written++;
}

/* Somebody moved the file: what comes now belongs to where it was. */
static void
leave_if_gone(struct record_writer *w)
{
	char path[LOG_QUOTE_MAX];

	if (w->db == NULL || !record_sqlite_is_gone(w->db))
		return;
	log_event(LOG_WARNING, "record.moved", "file=%s",
	    log_quote(span_str(w->sqlite_path), path));
	record_sqlite_close(w->db);
	w->db = NULL;
	w->run.id = 0;
}

static enum record_sqlite_result
sqlite_step(struct record_writer *w, uint64_t wall_us,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	enum record_sqlite_result result = RECORD_SQLITE_OK;
	unsigned n;

	leave_if_gone(w);
	if (w->db == NULL) {
		result = record_sqlite_open(w->sqlite_path, &w->db, error);
		if (result == RECORD_SQLITE_OK)
			result = record_sqlite_set_max(w->db, w->max_bytes,
			    error);
		w->opens++;
	}
	if (result == RECORD_SQLITE_OK)
		result = record_sqlite_begin_run(w->db, &w->run, wall_us,
		    error);
	if (result != RECORD_SQLITE_OK || w->waiting.n == 0)
		return result;
	n = batch(w);
	result = write_batch(w, n, error);
	if (result == RECORD_SQLITE_BAD_CHUNK)
		sort_out(w, n, error);
	for (; result == RECORD_SQLITE_OK && n > 0; n--)
		written(w, record_list_take(&w->waiting));
	return result;
}

static void
sqlite_run(struct record_writer *w, bool force, uint64_t now_us,
    uint64_t wall_us)
{
	char error[RECORD_SQLITE_ERROR_MAX];
	enum record_sqlite_result result;

	while (force || now_us >= w->sqlite_trouble.retry_us) {
		force = false;
		if (w->db != NULL && w->waiting.n == 0)
			break;
		result = sqlite_step(w, wall_us, error);
		sqlite_failed(w, result, error, now_us, wall_us);
		if (result == RECORD_SQLITE_OK)
			record_trouble_over(&w->sqlite_trouble, "sqlite",
			    w->sqlite_path);
	}
}

/* By age now and then, and while there is more a third of the time; by size
 * whenever something was written, more than that was. */
static void
expire_run(struct record_writer *w, uint64_t n, uint64_t now_us,
    uint64_t wall_us)
{
	struct record_limits limits = { .max_bytes = w->max_bytes };
	char error[RECORD_SQLITE_ERROR_MAX];
	enum record_sqlite_result result;
	uint64_t began_us = clock_mono_us(), took_us;
	bool due = now_us >= w->expire_us, more;

	if (w->db == NULL || !(due || (w->max_bytes > 0 && n > 0)))
		return;
	if (due && w->retention_us > 0 && wall_us > w->retention_us)
		limits.before_us = wall_us - w->retention_us;
	result = record_sqlite_expire(w->db, &limits, EXPIRE_STEP +
	    2 * (unsigned)n, &more, error);
	took_us = clock_mono_us() - began_us;
	if (due || more)
		w->expire_us = now_us + (more ? EXPIRE_PAUSE_US + 2 * took_us :
		    EXPIRE_EVERY_US);
	sqlite_failed(w, result, error, now_us, wall_us);
}

static void
roll_run(struct record_writer *w, uint64_t now_us, uint64_t wall_us)
{
	char error[RECORD_SQLITE_ERROR_MAX];
	enum record_sqlite_result result;
	bool more;

	if (w->db == NULL || now_us < w->roll_us)
		return;
	result = record_sqlite_roll(w->db, wall_us, ROLL_STEP, &more, error);
	w->roll_us = now_us + (more ? ROLL_PAUSE_US : EXPIRE_EVERY_US);
	sqlite_failed(w, result, error, now_us, wall_us);
}

/* -------------------------------------------------------------------- run */

void
record_writer_run(struct record_writer *w, struct record_list *list, bool force,
    uint64_t now_us, uint64_t wall_us)
{
	struct record_chunk *chunk;
	uint64_t before;

	if (w->json_path != NULL && (list->n > 0 || w->json.fd == -1))
		json_run(w, list, force, now_us);
	while ((chunk = record_list_take(list)) != NULL) {
		record_chunk_ref(chunk);
		if (w->recent != NULL && chunk->write == NULL)
			record_recent_add(w->recent, chunk);
		if (w->top != NULL && chunk->write == NULL)
			top_add(w->top, chunk, wall_us);
		if (w->sqlite_path != NULL &&
		    !record_list_is_full(&w->waiting, w->max, chunk)) {
			record_list_append(&w->waiting, chunk);
			continue;
		}
		if (w->sqlite_path == NULL) {
			written(w, chunk);
			continue;
		}
		w->dropped++;
		record_chunk_unref(chunk);
	}
	if (w->sqlite_path != NULL) {
		before = w->written;
		sqlite_run(w, force, now_us, wall_us);
		expire_run(w, w->written - before, now_us, wall_us);
		roll_run(w, now_us, wall_us);
	}
}

uint64_t
record_writer_next_us(const struct record_writer *w)
{
	uint64_t next = UINT64_MAX;

	if (w->sqlite_path != NULL && (w->db == NULL || w->waiting.n > 0))
		next = w->sqlite_trouble.retry_us;
	if (w->json_path != NULL && w->json.fd == -1 &&
	    w->json_trouble.retry_us < next)
		next = w->json_trouble.retry_us;
	if (w->db != NULL && (w->retention_us > 0 || w->max_bytes > 0) &&
	    w->expire_us < next)
		next = w->expire_us;
	if (w->db != NULL && w->roll_us < next)
		next = w->roll_us;
	return next;
}

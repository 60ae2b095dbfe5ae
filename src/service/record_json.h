/*
 * The record as JSON lines: one object per fact, one fact per line.
 *
 *	{"time":"2026-11-21T23:39:19.000001Z","session":"01J...",
 *	 "event":"line","direction":"->","data":"QUIT\\r\\n"}
 *
 * The legacy format has two shapes of lines, and nothing else:
 *
 *	{"id":"01J...","mail_from":"...","mail_to":"...",
 *	 "occurred_at":"...","elapse":42}
 *	{"id":"01J...-00000000","connection_id":"01J...","direction":"->",
 *	 "data":"QUIT\\r\\n","occurred_at":"..."}
 */
#ifndef WEIR_SERVICE_RECORD_JSON_H
#define WEIR_SERVICE_RECORD_JSON_H

#include "service/record_chunk.h"
#include "service/record_text.h"

struct record_json {
	struct buf out, scratch;
	struct record_text_clock clock;
	struct record_cursor cursor;
	int fd;				/* -1: closed */
	bool legacy;			/* the format */
	/* of the legacy one: what is kept of open sessions, also in order */
	struct record_json_open *first_open, **last_open;
	void *open;			/* tsearch(3) */
	size_t n_open;
};

void record_json_init(struct record_json *j);
void record_json_release(struct record_json *j);	/* closes */

/* Appends to path. 0, or -1 with errno. A second call closes the first. */
int record_json_open(struct record_json *j, const char *path) MUSTUSE;
void record_json_close(struct record_json *j);

/* Renders a chunk's facts into out. */
void record_json_add(struct record_json *j, const struct record_chunk *chunk);

/* A chunk that is such a line already; not of the legacy format. */
void record_json_add_line(struct record_json *j,
	const struct record_chunk *chunk);

/* Renders a chunk in the legacy format; forgets what it keeps for that. */
void record_json_add_legacy(struct record_json *j,
	const struct record_chunk *chunk);
void record_json_forget(struct record_json *j);

/* Writes out and empties it. On failure nothing of it stays in the file, and
 * out is emptied as well. 0, or -1 with errno. */
int record_json_write(struct record_json *j) MUSTUSE;

#endif

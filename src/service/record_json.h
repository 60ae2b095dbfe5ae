/*
 * The record as JSON lines: one object per fact, one fact per line.
 *
 *	{"time":"2026-11-21T23:39:19.000001Z","session":"01J...",
 *	 "event":"line","direction":"->","data":"QUIT\\r\\n"}
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
};

void record_json_init(struct record_json *j);
void record_json_release(struct record_json *j);	/* closes */

/* Appends to path. 0, or -1 with errno. A second call closes the first. */
int record_json_open(struct record_json *j, const char *path) MUSTUSE;
void record_json_close(struct record_json *j);

/* Renders a chunk's facts into out. */
void record_json_add(struct record_json *j, const struct record_chunk *chunk);

/* A chunk that is such a line already. */
void record_json_add_line(struct record_json *j,
	const struct record_chunk *chunk);

/* Writes out and empties it. On failure nothing of it stays in the file, and
 * out is emptied as well. 0, or -1 with errno. */
int record_json_write(struct record_json *j) MUSTUSE;

#endif

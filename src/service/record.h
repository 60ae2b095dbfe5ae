/*
 * The record: what every session did, in SQLite and as JSON lines.
 *
 *	worker 1: record_session --chunk--+
 *	worker 2: record_session --chunk--+--> queue --> writer thread --> SQLite
 *	                                  (bounded)          |----------> JSONL
 *	                                                     +----------> recent
 *
 * A worker appends a session's facts to a chunk of memory, a copy each and
 * nothing more; full chunks, and a session's last one, go to the queue. All
 * escaping and SQL is the writer's. When the queue is full the chunk is
 * dropped and counted: the record never stops mail.
 */
#ifndef WEIR_SERVICE_RECORD_H
#define WEIR_SERVICE_RECORD_H

#include "config/config.h"
#include "service/metrics.h"
#include "session/fact.h"

struct record;

/* Starts the writer thread. A database or file that cannot be opened is
 * logged, shown and tried again: never a reason not to start. NULL: no
 * memory. Reads config->record only during the call. */
struct record *record_start(const struct config *config);

/* Writes what is queued, closes, ends the thread. */
void record_stop(struct record *r);

/* SIGHUP: other files, or the same ones opened anew. From the main thread. */
void record_reopen(struct record *r, const struct config *config);

/* Who sends most, and what is refused (service/top.h); NULL without memory. */
struct top;
struct top *record_top(const struct record *r);

/* Is anything recorded (SQLite, JSON, or the list of recent sessions)? */
bool record_is_on(const struct record *r);

/* One session's part, in its worker's thread. new: NULL without memory (then
 * the session goes unrecorded). end: after the FACT_CLOSE fact. */
struct record_session;
struct record_session *record_session_new(struct record *r,
	struct metrics *metrics);
void record_session_fact(struct record_session *s, const struct fact *fact);
void record_session_end(struct record_session *s);	/* NULL is fine */

/* ------------------------------------------- for the HTTP thread and tests */

struct record_status {
	bool sqlite_on, json_on;
	bool sqlite_ok, json_ok;
	char sqlite_error[256], json_error[256];	/* "" when ok */
	/* In chunks; a short session is one. dropped: by the full queue, which
	 * METRICS_RECORD_DROPPED counts as well, or by the writer because the
	 * database was away too long. failed: JSON lines not written, and what
	 * SQLite refused for good. */
	uint64_t written, dropped, failed;
	unsigned queued;
	uint64_t sessions_lost;	/* with the run before, which was killed */
};
void record_get_status(struct record *r, struct record_status *status_r);

/* Waits until all that was queued before is written (tests, drain). */
void record_flush(struct record *r);

/**
 * record_list(r, out, query, limit) - the last sessions, newest first, as a
 * JSON array; record_show(r, out, id) - one whole, with transcript,
 * transactions, recipients and decisions, as a JSON object. From SQLite through
 * one of some connections that only read, or, without it, from the list of the
 * recent ones in memory. Return 0; or -1 if the record cannot be read or has no
 * such session: out is then as before. Calls from
 * several threads run at once; a search ends after some seconds with
 * what it has. What is shown is at most a fraction of a second old; of an open
 * session only what was handed over so far. The members are the columns that
 * service/record_query.c names.
 */
struct record_query {
	struct span text;	/* part of sender, recipient, client or MX */
	uint64_t before;	/* 0, or sessions older than this (wall us) */
	/* Each of these that is not empty has to be so, too. */
	struct span sender;	/* of any transaction: an address, or @domain,
				 * or <>; case does not matter */
	struct span recipient;	/* any, refused or not: likewise */
	struct span client;	/* an address without port */
	struct span mx;		/* an address without port, or a group */
	struct span code;	/* that the client was told for a recipient or
				 * a transaction: 550, 5xx or 5.7.1 */
	struct span outcome;	/* of the session: deferred, ... */
	struct span policy;	/* that was asked or annotated */
	uint64_t since, until;	/* connected in [since, until); 0: any */
};
/* What is wrong with it, for who asked; NULL: nothing. */
const char *record_query_check(const struct record_query *query);
int record_list(struct record *r, struct buf *out,
	const struct record_query *query, unsigned limit) MUSTUSE;
int record_show(struct record *r, struct buf *out, struct span id) MUSTUSE;

#endif

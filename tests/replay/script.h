/*
 * Scenarios: text files that say who sends what, and all that must come of it.
 * The language is described in README beside the scenarios.
 */
#ifndef WEIR_TESTS_REPLAY_SCRIPT_H
#define WEIR_TESTS_REPLAY_SCRIPT_H

#include "tests/replay/world.h"

#define SCRIPT_LINES_MAX 4000
#define SCRIPT_WORDS_MAX 64

struct script_line {
	char *text;
	unsigned number;
};

/* A scenario with its includes, and how it is to be cut. */
struct script {
	struct script_line lines[SCRIPT_LINES_MAX];
	size_t n_lines;
	bool whole_only;	/* "whole": splits would show, by their nature */
	bool every_split;	/* "every-split": each read at each octet */
	char *variable;		/* "each NAME WORD...": once for every word */
	char *values[256];
	size_t n_values;
};

/* One run of a scenario. */
struct run {
	struct world world;
	bool started;
	struct buf conf;	/* weir.conf, until it starts */
	struct session_open open;
	bool tls_failed_before, process_sought, client_is_local, no_record;
	char group[64], state[16];	/* what health points to */
	struct policy_source_health source_health;
	struct policy_health health;
	struct addr source_out;	/* cannot be used; NONE: all can */
	char refuse[128], listener[256];
	struct buf client, mx;	/* to be fed as one read */
	bool any_input;
	size_t longest;		/* of the reads */
	size_t log_seen;	/* notes up to here are behind an R: */
	unsigned line;
	struct buf error;	/* why it failed */
};

/* Words of a line: split at white space, "..." with escapes in them, and
 * WORD*N repeated. */
struct words {
	struct buf memory;
	struct span list[SCRIPT_WORDS_MAX];
	size_t n;
};

/* script.c */
int script_read(struct script *s, const char *path, struct buf *error);
void script_free(struct script *s);
int script_words(struct words *w, const char *text);	/* 0 or -1 */
void script_words_free(struct words *w);
void script_fails(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* step.c: run one line */
void script_step(struct run *r, const char *text);
void script_finish(struct run *r);
void script_flush(struct run *r);
void script_quiet(struct run *r);

/* step_policy.c: lines about policies and the record */
bool script_policy_setup(struct run *r, const char *text);
bool script_policy_step(struct run *r, const struct words *w);
bool script_note_is(const struct note *n, const struct words *w, size_t from);
int script_policy_index(const struct run *r, struct span name);

#endif

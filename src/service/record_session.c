/*
 * A worker's side of the record: facts into chunks, chunks into the queue. It
 * keeps what a chunk needs to be understood alone: the numbers of lines and
 * decisions, the session's first transaction, the worst outcome.
 *
 * A chunk leaves when it is full, with the session's end, and when a
 * transaction ends and it is worth it: half full, or a second old.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "service/record_internal.h"
#include "service/record_text.h"

#define FIRST_RECIPIENTS_MAX 65536	/* bytes of sessions.mail_to */

struct record_session {
	struct record *record;
	struct metrics *metrics;
	struct record_chunk *chunk;	/* NULL: nothing since the last */
	uint64_t chunk_us;		/* when it began */
	char id[ULID_TEXT_LEN + 1];	/* "" before FACT_OPEN */
	struct addr client;
	char process[RECORD_CHUNK_PROCESS_MAX];
	char first_transaction[ULID_TEXT_LEN + 1];
	uint64_t began_us, wall_offset_us;
	uint64_t line_us;		/* of the last line */
	uint32_t lines, decisions;
	size_t first_recipients;	/* bytes */
	enum policy_outcome worst;
	unsigned worst_code, transactions;
};

struct record_session *
record_session_new(struct record *r, struct metrics *metrics)
{
	struct record_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->record = r;
	s->metrics = metrics;
	return s;
}

/* Gives the chunk to the writer, or drops it. */
static void
hand_over(struct record_session *s)
{
	struct record_chunk *chunk = s->chunk;

	if (chunk == NULL)
		return;
	s->chunk = NULL;
	chunk->client = s->client;
	memcpy(chunk->process, s->process, sizeof(chunk->process));
	chunk->worst = s->worst;
	chunk->worst_code = s->worst_code;
	chunk->transactions = s->transactions;
	if (record_push(s->record, chunk) == 0)
		return;
	metrics_add(&s->metrics->counters[METRICS_RECORD_DROPPED], 1);
	free(chunk);
}

static struct record_chunk *
chunk_begin(struct record_session *s, uint64_t now_us)
{
	struct record_chunk *chunk;

	chunk = record_chunk_grow(NULL, RECORD_CHUNK_START);
	if (chunk == NULL)
		return NULL;
	memcpy(chunk->id, s->id, sizeof(chunk->id));
	chunk->began_us = s->began_us;
	chunk->wall_offset_us = s->wall_offset_us;
	chunk->first_line = s->lines;
	chunk->first_decision = s->decisions;
	s->chunk_us = now_us;
	return chunk;
}

/* Appends the fact; makes what room it needs. -1 without memory. */
static int
append(struct record_session *s, const struct fact *fact, bool of_first)
{
	struct record_chunk *grown;
	size_t need, cap;

	for (;;) {
		if (s->chunk == NULL)
			s->chunk = chunk_begin(s, fact->now_us);
		if (s->chunk == NULL)
			return -1;
		need = record_chunk_put(s->chunk, fact, of_first);
		if (need == 0)
			return 0;
		need += s->chunk->len;
		if (need > RECORD_CHUNK_MAX && s->chunk->len > 0) {
			hand_over(s);
			continue;
		}
		for (cap = s->chunk->cap; cap < need; cap *= 2)
			;
		grown = record_chunk_grow(s->chunk, cap);
		if (grown == NULL)
			return -1;
		s->chunk = grown;
	}
}

/* How bad an outcome is, to show one for a session of several. */
static int
badness(enum policy_outcome outcome)
{
	static const int table[POLICY_OUTCOME_COUNT] = {
		[POLICY_OUTCOME_DELIVERED] = 1, [POLICY_OUTCOME_DISCARDED] = 2,
		[POLICY_OUTCOME_ABORTED] = 3, [POLICY_OUTCOME_DEFERRED] = 4,
		[POLICY_OUTCOME_REJECTED] = 5,
	};

	return outcome < POLICY_OUTCOME_COUNT ? table[outcome] : 0;
}

static bool
is_of_first(struct record_session *s, const char *transaction_id)
{
	if (s->first_transaction[0] == '\0')
		memcpy(s->first_transaction, transaction_id,
		    strnlen(transaction_id, ULID_TEXT_LEN));
	return strncmp(s->first_transaction, transaction_id,
	    ULID_TEXT_LEN) == 0;
}

static void
note_process(struct record_session *s, const struct policy_process *p)
{
	char *at = s->process, *end = at + sizeof(s->process) - 1;

	memcpy(at, "uid ", 4);
	at += 4;
	at += record_text_digits(p->uid, at);
	if (p->cgroup[0] != '\0')
		*at++ = ' ';
	for (const char *c = p->cgroup; *c != '\0' && at < end; c++)
		*at++ = *c;
	*at = '\0';
}

/* What later chunks have to know. Returns whether the fact belongs to the
 * first transaction. */
static bool
note(struct record_session *s, struct fact *f)
{
	bool of_first;

	switch (f->type) {
	case FACT_OPEN:
		memcpy(s->id, f->u.open.id,
		    strnlen(f->u.open.id, ULID_TEXT_LEN));
		s->client = f->u.open.client;
		s->began_us = f->now_us;
		s->wall_offset_us = f->u.open.wall_us - f->now_us;
		return false;
	case FACT_PROCESS:
		note_process(s, &f->u.process);
		return false;
	case FACT_LINE:
		/* no two lines at one time, so that the time orders them */
		if (f->now_us <= s->line_us)
			f->now_us = s->line_us + 1;
		s->line_us = f->now_us;
		return false;
	case FACT_RECIPIENT:
		of_first = is_of_first(s, f->u.recipient.transaction_id);
		if (!of_first)
			return false;
		s->first_recipients += f->u.recipient.address.len + 1;
		return s->first_recipients <= FIRST_RECIPIENTS_MAX;
	case FACT_TRANSACTION:
		s->transactions++;
		if (badness(f->u.transaction.outcome) > badness(s->worst)) {
			s->worst = f->u.transaction.outcome;
			s->worst_code = f->u.transaction.code;
		}
		return is_of_first(s, f->u.transaction.transaction_id);
	default:
		return false;
	}
}

void
record_session_fact(struct record_session *s, const struct fact *fact)
{
	struct fact copy;
	bool of_first;

	if (s == NULL ||
	    (s->id[0] == '\0' && fact->type != FACT_OPEN))
		return;
	copy = *fact;
	of_first = note(s, &copy);
	if (append(s, &copy, of_first) != 0)
		return;
	/* counted after the chunk's own first numbers were taken */
	if (fact->type == FACT_LINE)
		s->lines++;
	else if (fact->type == FACT_DECISION || fact->type == FACT_ANNOTATION)
		s->decisions++;
	if (fact->type == FACT_TRANSACTION &&
	    (s->chunk->len > RECORD_CHUNK_MAX / 2 ||
	    fact->now_us - s->chunk_us > CLOCK_US_PER_S))
		hand_over(s);
}

void
record_session_end(struct record_session *s)
{
	if (s == NULL)
		return;
	if (s->chunk != NULL)
		s->chunk->last = true;
	if (s->id[0] != '\0')
		record_count_session(s->record);
	hand_over(s);
	free(s);
}

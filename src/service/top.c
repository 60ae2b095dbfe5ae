/*
 *	chunk --> present slice --> slices[6] --> present hour --> hours[24]
 *	                                                  \--> all
 *
 * A fact costs one look-up for each list it is in; the longer times are made
 * of whole slices, when these end. What is asked for is merged from them.
 */
#include "service/top.h"

#include <assert.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/heavy.h"
#include "service/record_text.h"

#define SLICES 6			/* an hour of them */
#define HOURS 24
#define TEXT_MAX 160			/* octets of a reason */
#define OUT_OF_ORDER 503		/* says but that MAIL was refused */

enum part { PART_DELIVERED, PART_DEFERRED, PART_REJECTED, PART_BYTES };
static_assert(PART_BYTES < HEAVY_PARTS, "room for every part");

/* One key's kind, by all that came or by what was refused. */
struct list {
	struct heavy *now;		/* the present slice */
	struct heavy *slices[SLICES];	/* those before it, a ring */
	struct heavy *hour;		/* the whole slices of this hour */
	struct heavy *hours[HOURS];	/* those before it, a ring */
	struct heavy *all;		/* of all whole slices */
};

struct top {
	pthread_mutex_t lock;
	uint64_t slice;			/* number of the present one, since
					   1970 */
	struct list lists[TOP_BY_COUNT][2];
};

static const char *const by_names[] = {
	[TOP_SENDERS] = "senders", [TOP_SENDER_DOMAINS] = "sender_domains",
	[TOP_RECIPIENTS] = "recipients",
	[TOP_RECIPIENT_DOMAINS] = "recipient_domains",
	[TOP_CLIENTS] = "clients", [TOP_PROCESSES] = "processes",
	[TOP_REASONS] = "reasons", [TOP_CODES] = "codes",
};
static_assert(ARRAY_LEN(by_names) == TOP_BY_COUNT, "name every list");

static const char *const since_names[] = {
	[TOP_HOUR] = "1h", [TOP_DAY] = "24h", [TOP_START] = "all",
};
static_assert(ARRAY_LEN(since_names) == TOP_SINCE_COUNT, "name every time");

static int
index_of(const char *const *names, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++)
		if (span_eq(name, span_str(names[i])))
			return (int)i;
	return -1;
}

const char *
top_by_name(enum top_by by)
{
	return by_names[by];
}

int
top_by_of(struct span name, enum top_by *by_r)
{
	int i = index_of(by_names, ARRAY_LEN(by_names), name);

	if (i >= 0)
		*by_r = (enum top_by)i;
	return i >= 0 ? 0 : -1;
}

const char *
top_since_name(enum top_since since)
{
	return since_names[since];
}

int
top_since_of(struct span name, enum top_since *since_r)
{
	int i = index_of(since_names, ARRAY_LEN(since_names), name);

	if (i >= 0)
		*since_r = (enum top_since)i;
	return i >= 0 ? 0 : -1;
}

/* ------------------------------------------------------------------- life */

static void
list_free(struct list *l)
{
	heavy_free(l->now);
	heavy_free(l->hour);
	heavy_free(l->all);
	for (size_t i = 0; i < SLICES; i++)
		heavy_free(l->slices[i]);
	for (size_t i = 0; i < HOURS; i++)
		heavy_free(l->hours[i]);
}

static int
list_init(struct list *l)
{
	bool ok = true;

	l->now = heavy_new(TOP_SLICE_KEYS);
	l->hour = heavy_new(TOP_SLICE_KEYS);
	l->all = heavy_new(TOP_ALL_KEYS);
	for (size_t i = 0; i < SLICES; i++)
		ok = (l->slices[i] = heavy_new(TOP_SLICE_KEYS)) != NULL && ok;
	for (size_t i = 0; i < HOURS; i++)
		ok = (l->hours[i] = heavy_new(TOP_SLICE_KEYS)) != NULL && ok;
	return ok && l->now != NULL && l->hour != NULL && l->all != NULL ?
	    0 : -1;
}

struct top *
top_new(void)
{
	struct top *t = calloc(1, sizeof(*t));
	bool ok = true;

	if (t == NULL)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	for (size_t i = 0; i < TOP_BY_COUNT; i++)
		for (size_t k = 0; k < 2; k++)
			ok = list_init(&t->lists[i][k]) == 0 && ok;
	if (ok)
		return t;
	top_free(t);
	return NULL;
}

void
top_free(struct top *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < TOP_BY_COUNT; i++)
		for (size_t k = 0; k < 2; k++)
			list_free(&t->lists[i][k]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ------------------------------------------------------------------- time */

static void
swap(struct heavy **a, struct heavy **b)
{
	struct heavy *was = *a;

	*a = *b;
	*b = was;
}

static void
list_turn(struct list *l, uint64_t ended)
{
	size_t slice = ended % SLICES, hour = ended / SLICES % HOURS;

	heavy_merge(l->hour, l->now);
	heavy_merge(l->all, l->now);
	heavy_clear(l->slices[slice]);
	swap(&l->slices[slice], &l->now);
	if (slice == SLICES - 1) {	/* the hour's last one */
		heavy_clear(l->hours[hour]);
		swap(&l->hours[hour], &l->hour);
	}
}

/* Brings it to the present slice. A clock that was set back stands still. */
static void
turn(struct top *t, uint64_t wall_us)
{
	uint64_t slice = wall_us / TOP_SLICE_US;
	uint64_t most = SLICES * (HOURS + 1);

	if (t->slice == 0)
		t->slice = slice;
	/* after a long silence (or a leap of the clock) all rings are empty
	 * when each place was turned over once */
	if (slice > t->slice + 2 * most)
		t->slice += (slice - t->slice - 2 * most) / most * most;
	for (; t->slice < slice; t->slice++)
		for (size_t i = 0; i < TOP_BY_COUNT; i++)
			for (size_t k = 0; k < 2; k++)
				list_turn(&t->lists[i][k], t->slice);
}

/* ------------------------------------------------------------------ facts */

struct event {
	struct top *top;
	enum policy_outcome outcome;
	uint64_t parts[HEAVY_PARTS];
};

static struct event
event_of(struct top *t, enum policy_outcome outcome, uint64_t bytes)
{
	return (struct event){ t, outcome, {
		[PART_DELIVERED] = outcome == POLICY_OUTCOME_DELIVERED,
		[PART_DEFERRED] = outcome == POLICY_OUTCOME_DEFERRED,
		[PART_REJECTED] = outcome == POLICY_OUTCOME_REJECTED,
		[PART_BYTES] = bytes } };
}

static bool
is_refusal(const struct event *e)
{
	return e->parts[PART_DEFERRED] + e->parts[PART_REJECTED] > 0;
}

static void
count(const struct event *e, enum top_by by, struct span key)
{
	heavy_add(e->top->lists[by][0].now, key, e->parts);
	if (is_refusal(e))
		heavy_add(e->top->lists[by][1].now, key, e->parts);
}

/* user@EXAMPLE.com is one address, and the record's other spellings of it are
 * of no use in a list. */
static void
count_address(const struct event *e, enum top_by by, enum top_by by_domain,
    struct span address)
{
	uint8_t text[HEAVY_KEY_MAX];
	struct span key;
	size_t i, at;

	address = span_take(record_text_address(address), sizeof(text));
	for (i = 0, at = address.len; i < address.len; i++) {
		text[i] = (uint8_t)tolower(address.data[i]);
		if (text[i] == '@')
			at = i;
	}
	key = span_of(text, address.len);
	count(e, by, key.len == 0 ? SPAN("<>") : key);
	if (at < key.len)
		count(e, by_domain, span_skip(key, at + 1));
}

/* Words that hold a digit differ from message to message (times, addresses,
 * ids): with a # in their place the same refusal is the same. */
static void
count_refusal(const struct event *e, unsigned code, struct span enhanced,
    struct span text)
{
	char key[HEAVY_KEY_MAX];
	size_t len, word;
	bool has_digit;

	if (!is_refusal(e))
		return;
	len = (size_t)snprintf(key, sizeof(key), "%03u%s%.*s", code,
	    enhanced.len > 0 ? " " : "", (int)span_take(enhanced, 16).len,
	    enhanced.len > 0 ? (const char *)enhanced.data : "");
	count(e, TOP_CODES, span_of(key, len));
	text = span_take(text, TEXT_MAX);
	while (text.len > 0) {
		for (word = 0, has_digit = false; word < text.len &&
		    text.data[word] != ' '; word++)
			has_digit = has_digit || isdigit(text.data[word]);
		if (word > 0) {
			struct span w = has_digit ? SPAN("#") :
			    span_take(text, word);

			key[len++] = ' ';
			memcpy(key + len, w.data, w.len);
			len += w.len;
		}
		text = span_skip(text, word + 1);
	}
	count(e, TOP_REASONS, span_of(key, len));
}
static_assert(TEXT_MAX + 32 < HEAVY_KEY_MAX, "a reason fits into a key");

static void
add_transaction(struct top *t, const struct record_chunk *chunk,
    const struct fact *f)
{
	struct event e = event_of(t, f->u.transaction.outcome,
	    f->u.transaction.size);
	char client[ADDR_TEXT_MAX];

	count_address(&e, TOP_SENDERS, TOP_SENDER_DOMAINS,
	    f->u.transaction.sender);
	if (chunk->client.family != ADDR_NONE)
		count(&e, TOP_CLIENTS, span_str(addr_format(&chunk->client,
		    client)));
	if (chunk->process[0] != '\0')
		count(&e, TOP_PROCESSES, span_str(chunk->process));
	/* if no recipient was left, those had the refusals; not where a
	 * pipeline named them behind a MAIL that was refused */
	if (f->u.transaction.accepted > 0 ||
	    f->u.transaction.recipients == 0 || f->u.transaction.mail_refused)
		count_refusal(&e, f->u.transaction.code,
		    f->u.transaction.enhanced, f->u.transaction.text);
}

static void
add_recipient(struct top *t, const struct fact *f)
{
	unsigned class = f->u.recipient.code / 100;
	struct event e = event_of(t, f->u.recipient.accepted ?
	    POLICY_OUTCOME_DELIVERED : class == 5 ? POLICY_OUTCOME_REJECTED :
	    class == 4 ? POLICY_OUTCOME_DEFERRED : POLICY_OUTCOME_ABORTED, 0);

	count_address(&e, TOP_RECIPIENTS, TOP_RECIPIENT_DOMAINS,
	    f->u.recipient.address);
	if (f->u.recipient.code != OUT_OF_ORDER)
		count_refusal(&e, f->u.recipient.code,
		    f->u.recipient.enhanced, f->u.recipient.text);
}

void
top_add(struct top *t, const struct record_chunk *chunk, uint64_t wall_us)
{
	struct record_cursor c;

	pthread_mutex_lock(&t->lock);
	turn(t, wall_us);
	record_cursor_init(&c, chunk, RECORD_CURSOR(FACT_TRANSACTION) |
	    RECORD_CURSOR(FACT_RECIPIENT));
	while (record_cursor_next(&c)) {
		if (c.fact.type == FACT_TRANSACTION)
			add_transaction(t, chunk, &c.fact);
		else if (c.fact.type == FACT_RECIPIENT)
			add_recipient(t, &c.fact);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---------------------------------------------------------------- reading */

/* Locked. */
static void
collect(const struct list *l, enum top_since since, struct heavy *sum)
{
	heavy_merge(sum, l->now);
	if (since == TOP_START) {
		heavy_merge(sum, l->all);
	} else if (since == TOP_HOUR) {
		for (size_t i = 0; i < SLICES; i++)
			heavy_merge(sum, l->slices[i]);
	} else {
		heavy_merge(sum, l->hour);
		for (size_t i = 0; i < HOURS; i++)
			heavy_merge(sum, l->hours[i]);
	}
}

static void
entry_json(struct buf *out, struct buf *scratch, const struct heavy_entry *e)
{
	buf_append_str(out, "{\"key\":");
	record_text_json(out, scratch, e->key);
	buf_printf(out, ",\"count\":%llu,\"error\":%llu,\"delivered\":%llu,"
	    "\"deferred\":%llu,\"rejected\":%llu,\"bytes\":%llu}",
	    (unsigned long long)e->count, (unsigned long long)e->error,
	    (unsigned long long)e->parts[PART_DELIVERED],
	    (unsigned long long)e->parts[PART_DEFERRED],
	    (unsigned long long)e->parts[PART_REJECTED],
	    (unsigned long long)e->parts[PART_BYTES]);
}

static void
sum_json(struct buf *out, const struct heavy *sum, size_t limit)
{
	struct heavy_entry *entries = calloc(limit, sizeof(*entries));
	struct buf scratch;
	size_t i, n = 0;

	buf_init(&scratch, 0);
	if (entries != NULL)
		n = heavy_list(sum, entries, limit);
	buf_printf(out, ",\"total\":%llu,\"absent\":%llu,\"entries\":[",
	    (unsigned long long)heavy_total(sum),
	    (unsigned long long)heavy_absent(sum));
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_append_byte(out, ',');
		entry_json(out, &scratch, &entries[i]);
	}
	buf_append_str(out, "]}");
	buf_release(&scratch);
	free(entries);
}

void
top_json(struct top *t, struct buf *out, enum top_by by, enum top_since since,
    bool refused, size_t limit, uint64_t wall_us)
{
	struct heavy *sum = heavy_new(TOP_ALL_KEYS);

	buf_printf(out, "{\"by\":\"%s\",\"since\":\"%s\",\"refused\":%s",
	    by_names[by], since_names[since], refused ? "true" : "false");
	if (sum != NULL) {
		pthread_mutex_lock(&t->lock);
		turn(t, wall_us);
		collect(&t->lists[by][refused], since, sum);
		pthread_mutex_unlock(&t->lock);
		sum_json(out, sum, limit);
	} else {
		buf_append_str(out, ",\"total\":0,\"absent\":0,"
		    "\"entries\":[]}");
	}
	heavy_free(sum);
}

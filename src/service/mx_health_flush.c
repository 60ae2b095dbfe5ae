/*
 * Minutes that are over go to the record. One key at a time behind its lock,
 * for the few microseconds that it takes to write a tally as bytes.
 */
#include "service/mx_health_internal.h"
#include "service/record_minutes.h"

#define ROWS_BYTES 8192			/* handed over at once */

/* Without a record a minute ends all the same. */
static void
hand_over(struct mx_health *h, struct buf *rows)
{
	if (h->table.record != NULL)
		record_minutes_put(h->table.record, rows);
	buf_clear(rows);
}

/* The shard is locked. */
static void
flush_entry(struct mx_entry *e, uint64_t wall_us, bool all, struct buf *rows)
{
	struct record_minutes_key key = {
		.group = span_str(e->pair->group), .source = e->pair->source,
	};

	if (e->series.minute_us == 0 ||
	    (!all && !mx_series_is_due(&e->series, wall_us)))
		return;
	record_minutes_add(rows, &key, e->series.minute_us, &e->series.now);
	mx_series_close(&e->series);
}

static void
flush_shard(struct mx_health *h, struct mx_shard *s, uint64_t wall_us,
    bool all, struct buf *rows)
{
	bool more = true;

	for (size_t i = 0; more; i++) {
		pthread_mutex_lock(&s->lock);
		more = i < s->n;
		if (more)
			flush_entry(s->entries[i], wall_us, all, rows);
		pthread_mutex_unlock(&s->lock);
		if (buf_len(rows) >= ROWS_BYTES)
			hand_over(h, rows);
	}
}

void
mx_health_flush(struct mx_health *h, uint64_t wall_us, bool all)
{
	struct buf rows;
	size_t i;

	if (h == NULL)
		return;
	buf_init(&rows, 0);
	for (i = 0; i < MX_TABLE_SHARDS; i++)
		flush_shard(h, &h->table.shards[i], wall_us, all, &rows);
	for (i = 0; i < MX_DOMAINS_PLACES; i++) {
		mx_domains_flush(h->domains, i, wall_us, all, &rows);
		if (buf_len(&rows) >= ROWS_BYTES)
			hand_over(h, &rows);
	}
	hand_over(h, &rows);
	buf_release(&rows);
}

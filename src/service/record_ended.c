/*
 * The writer notes ids when their rows are committed, and whoever watches
 * looks their rows up: so that a session is told of as it is shown elsewhere,
 * and costs the writer a copy of its id.
 */
#include "service/record_ended.h"

#include "service/record_internal.h"
#include "service/record_query.h"

int
record_ended_init(struct record_ended *e)
{
	memset(e, 0, sizeof(*e));
	return pthread_mutex_init(&e->lock, NULL) == 0 ? 0 : -1;
}

void
record_ended_destroy(struct record_ended *e)
{
	pthread_mutex_destroy(&e->lock);
}

void
record_ended_add(struct record_ended *e, const char *id)
{
	pthread_mutex_lock(&e->lock);
	memcpy(e->ids[e->n++ % RECORD_ENDED_MAX], id, ULID_TEXT_LEN + 1);
	pthread_mutex_unlock(&e->lock);
}

struct ids {
	char list[RECORD_ENDED_MAX][ULID_TEXT_LEN + 1];
	size_t n;
};

/* Those after *seen, the oldest first. Returns how many more there were. */
static uint64_t
take(struct record_ended *e, uint64_t *seen, struct ids *ids)
{
	uint64_t from = *seen, omitted = 0;

	ids->n = 0;
	pthread_mutex_lock(&e->lock);
	if (from > e->n)
		from = e->n;
	if (e->n - from > RECORD_ENDED_MAX) {
		omitted = e->n - from - RECORD_ENDED_MAX;
		from += omitted;
	}
	while (from < e->n)
		memcpy(ids->list[ids->n++], e->ids[from++ % RECORD_ENDED_MAX],
		    ULID_TEXT_LEN + 1);
	*seen = e->n;
	pthread_mutex_unlock(&e->lock);
	return omitted;
}

static int
rows(sqlite3 *db, struct buf *out, const void *arg)
{
	const struct ids *ids = arg;
	size_t i, before = buf_len(out);

	for (i = 0; i < ids->n; i++)
		if (record_query_row(db, out, span_str(ids->list[i])) < 0) {
			buf_truncate(out, before);
			return -1;
		}
	return 0;
}

void
record_ended_rows(struct record *r, uint64_t *seen, struct buf *out,
    uint64_t *omitted_r)
{
	struct ids ids;

	*omitted_r = take(record_get_ended(r), seen, &ids);
	if (ids.n > 0 && (out == NULL || record_ask(r, out, rows, &ids) != 0))
		*omitted_r += ids.n;
}

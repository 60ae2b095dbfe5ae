/*
 * The record as the rest of weir sees it: the queue, the thread that empties
 * it, and the way of others to what was written.
 *
 * Three threads meet here. Workers touch only the queue. The writer thread
 * owns `writer`; after each run it copies its state to `status`, under the
 * queue's lock. The HTTP server's threads read `status` and have database
 * connections of their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "service/record_internal.h"
#include "service/record_query.h"
#include "service/record_reader.h"

#define OPENING_S 2	/* what asks waits for the file to be opened */
#define WRITER_NICE 5

struct reload {				/* from record_reopen() to the writer */
	bool wanted;
	char *sqlite_path, *json_path;
	struct config_record config;	/* its strings are not used */
	struct record_count *count;
	uint64_t base;
};

/* A counter is mapped as long as there are workers that may count in it. */
struct counter {
	struct counter *next;
	struct record_count *count;
	char path[];
};

struct record {
	struct record_queue queue;
	struct record_writer writer;	/* the writer thread's */
	struct record_recent recent;
	struct record_ended ended;
	pthread_t thread;
	atomic_bool on;
	_Atomic uint64_t pushes_dropped;
	_Atomic(struct record_count *) count;	/* of the database; or NULL */
	struct counter *counters;	/* the main thread's */
	char *instance;

	/* under queue.lock: */
	pthread_cond_t done;		/* a run ended */
	bool stop;
	uint64_t flushes_wanted, flushes_done;
	struct reload reload;
	struct record_status status;
	uint64_t opens;
	char *reader_path;		/* NULL: no database */

	struct record_readers readers;
};

int
record_push(struct record *r, struct record_chunk *chunk)
{
	if (record_queue_push(&r->queue, chunk) == 0)
		return 0;
	atomic_fetch_add_explicit(&r->pushes_dropped, 1, memory_order_relaxed);
	return -1;
}

static int
put(struct record *r, record_write_fn *write, struct span data, bool is_line)
{
	struct record_chunk *chunk = record_chunk_grow(NULL, data.len);

	if (chunk == NULL) {
		atomic_fetch_add_explicit(&r->pushes_dropped, 1,
		    memory_order_relaxed);
		return -1;
	}
	chunk->write = write;
	chunk->is_line = is_line;
	chunk->len = data.len;
	if (data.len > 0)
		memcpy(chunk->data, data.data, data.len);
	if (record_push(r, chunk) == 0)
		return 0;
	free(chunk);
	return -1;
}

void
record_count_session(struct record *r)
{
	struct record_count *count = atomic_load_explicit(&r->count,
	    memory_order_relaxed);

	if (count != NULL)
		atomic_fetch_add_explicit(&count->page->ended, 1,
		    memory_order_relaxed);
}

/* From now on sessions are counted beside the database at path. Returns the
 * counter and what it had. */
static struct record_count *
count_at(struct record *r, const char *path, uint64_t *base_r)
{
	struct record_count *count = NULL;
	struct counter *c;

	for (c = r->counters; c != NULL; c = c->next)
		if (strcmp(c->path, path) == 0)
			break;
	if (c == NULL && path[0] != '\0') {
		c = calloc(1, sizeof(*c) + strlen(path) + 1);
		if (c != NULL) {
			memcpy(c->path, path, strlen(path) + 1);
			c->count = record_count_open(path);
			c->next = r->counters;
			r->counters = c;
		}
	}
	if (c != NULL)
		count = c->count;
	*base_r = count == NULL ? 0 : atomic_load(&count->page->ended);
	atomic_store(&r->count, count);
	return count;
}

static void
free_counters(struct record *r)
{
	struct counter *c;

	while ((c = r->counters) != NULL) {
		r->counters = c->next;
		record_count_close(c->count);
		free(c);
	}
}

int
record_put(struct record *r, record_write_fn *write, struct span data)
{
	return put(r, write, data, false);
}

int
record_put_line(struct record *r, record_write_fn *write, struct span line)
{
	return put(r, write, line, true);
}

/* ----------------------------------------------------------------- writer */

/* Under the queue's lock. */
static void
publish(struct record *r)
{
	const struct record_writer *w = &r->writer;
	struct record_status *s = &r->status;

	s->sqlite_on = w->sqlite_path != NULL;
	s->json_on = w->json_path != NULL;
	s->sqlite_ok = w->db != NULL && w->sqlite_trouble.error[0] == '\0';
	s->json_ok = w->json.fd != -1 && w->json_trouble.error[0] == '\0';
	snprintf(s->sqlite_error, sizeof(s->sqlite_error), "%s",
	    w->sqlite_trouble.error);
	snprintf(s->json_error, sizeof(s->json_error), "%s",
	    w->json_trouble.error);
	s->written = w->written;
	s->dropped = w->dropped;
	s->failed = w->failed;
	s->queued = w->waiting.n;
	s->sessions_lost = w->run.lost;
	if (r->opens != w->opens) {
		r->opens = w->opens;
		free(r->reader_path);
		r->reader_path = s->sqlite_on ? strdup(w->sqlite_path) : NULL;
	}
}

/* The writer works in bursts of milliseconds, which no session should wait
 * for; what it does can wait. */
static void
yield_to_workers(void)
{
	setpriority(PRIO_PROCESS, 0, WRITER_NICE);
}

static void *
run(void *ctx)
{
	struct record *r = ctx;
	struct record_list list;
	struct reload reload;
	uint64_t flushes;
	bool stop;

	yield_to_workers();
	record_list_init(&list);
	do {
		record_queue_take(&r->queue, record_writer_next_us(&r->writer),
		    &list);
		pthread_mutex_lock(&r->queue.lock);
		stop = r->stop;
		flushes = r->flushes_wanted;
		reload = r->reload;
		r->reload.wanted = false;
		/* what came between the two locks was before the flush */
		record_list_join(&list, &r->queue.chunks);
		pthread_mutex_unlock(&r->queue.lock);

		if (reload.wanted)
			record_writer_configure(&r->writer, reload.sqlite_path,
			    reload.json_path, &reload.config, reload.count,
			    reload.base);
		record_writer_run(&r->writer, &list,
		    stop || flushes != r->flushes_done, clock_mono_us(),
		    clock_wall_us());

		pthread_mutex_lock(&r->queue.lock);
		r->flushes_done = flushes;
		publish(r);
		pthread_cond_broadcast(&r->done);
		pthread_mutex_unlock(&r->queue.lock);
	} while (!stop);
	return NULL;
}

/* ------------------------------------------------------------------- life */

static char *
path_or_null(const char *path)
{
	return path[0] == '\0' ? NULL : strdup(path);
}

static bool
wanted(const struct config *config)
{
	return config->record.sqlite[0] != '\0' ||
	    config->record.json[0] != '\0' ||
	    config->status.address.family != ADDR_NONE ||
	    config->status.control[0] != '\0';
}

static int
start_thread(struct record *r)
{
	if (pthread_cond_init(&r->done, NULL) != 0)
		return -1;
	if (record_readers_init(&r->readers) != 0)
		goto err_done;
	if (pthread_create(&r->thread, NULL, run, r) != 0)
		goto err_readers;
	return 0;

err_readers:
	record_readers_destroy(&r->readers);
err_done:
	pthread_cond_destroy(&r->done);
	return -1;
}

struct record *
record_start(const struct config *config)
{
	struct record *r = calloc(1, sizeof(*r));
	struct record_count *count;
	uint64_t base;

	if (r == NULL)
		return NULL;
	/* its statistics take a lock for each piece of memory; it refuses
	 * when it is in use already */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	r->instance = strdup(config->hostname == NULL ? "" :
	    config->hostname);
	if (r->instance == NULL)
		goto err_free;
	if (record_queue_init(&r->queue, config->record.queue) != 0)
		goto err_free;
	if (record_recent_init(&r->recent) != 0)
		goto err_queue;
	if (record_ended_init(&r->ended) != 0)
		goto err_recent;
	record_writer_init(&r->writer);
	r->writer.recent = &r->recent;
	r->writer.ended = &r->ended;
	r->writer.top = top_new();
	r->writer.run.instance = r->instance;
	count = count_at(r, config->record.sqlite, &base);
	record_writer_configure(&r->writer, path_or_null(config->record.sqlite),
	    path_or_null(config->record.json), &config->record, count, base);
	/* until the writer has looked, all is as it is wanted */
	r->status.sqlite_on = r->status.sqlite_ok =
	    config->record.sqlite[0] != '\0';
	r->status.json_on = r->status.json_ok = config->record.json[0] != '\0';
	atomic_store(&r->on, wanted(config));
	if (start_thread(r) != 0)
		goto err_writer;
	return r;

err_writer:
	top_free(r->writer.top);
	record_writer_release(&r->writer);
	free_counters(r);
	record_ended_destroy(&r->ended);
err_recent:
	record_recent_destroy(&r->recent);
err_queue:
	record_queue_destroy(&r->queue);
err_free:
	free(r->instance);
	free(r);
	return NULL;
}

void
record_stop(struct record *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->queue.lock);
	r->stop = true;
	pthread_mutex_unlock(&r->queue.lock);
	record_queue_kick(&r->queue);
	pthread_join(r->thread, NULL);
	if (r->writer.waiting.n > 0)
		log_event(LOG_ERROR, "record.lost", "chunks=%u",
		    r->writer.waiting.n);
	record_readers_destroy(&r->readers);
	top_free(r->writer.top);
	record_writer_end(&r->writer, clock_wall_us());
	record_writer_release(&r->writer);
	free_counters(r);
	free(r->instance);
	record_ended_destroy(&r->ended);
	record_recent_destroy(&r->recent);
	record_queue_destroy(&r->queue);
	pthread_cond_destroy(&r->done);
	if (r->reload.wanted) {
		free(r->reload.sqlite_path);
		free(r->reload.json_path);
	}
	free(r->reader_path);
	free(r);
}

void
record_reopen(struct record *r, const struct config *config)
{
	pthread_mutex_lock(&r->queue.lock);
	if (r->reload.wanted) {
		free(r->reload.sqlite_path);
		free(r->reload.json_path);
	}
	r->reload.sqlite_path = path_or_null(config->record.sqlite);
	r->reload.json_path = path_or_null(config->record.json);
	r->reload.config = config->record;
	r->reload.count = count_at(r, config->record.sqlite, &r->reload.base);
	r->reload.wanted = true;
	r->queue.max = config->record.queue > 0 ? config->record.queue : 1;
	pthread_mutex_unlock(&r->queue.lock);
	atomic_store(&r->on, wanted(config));
	record_queue_kick(&r->queue);
}

struct record_ended *
record_get_ended(struct record *r)
{
	return &r->ended;
}

struct top *
record_top(const struct record *r)
{
	return r->writer.top;
}

bool
record_is_on(const struct record *r)
{
	return atomic_load_explicit(&r->on, memory_order_relaxed);
}

void
record_flush(struct record *r)
{
	uint64_t mine;

	pthread_mutex_lock(&r->queue.lock);
	mine = ++r->flushes_wanted;
	r->queue.kicked = true;
	pthread_cond_signal(&r->queue.wake);
	while (r->flushes_done < mine)
		pthread_cond_wait(&r->done, &r->queue.lock);
	pthread_mutex_unlock(&r->queue.lock);
}

void
record_get_status(struct record *r, struct record_status *status_r)
{
	pthread_mutex_lock(&r->queue.lock);
	*status_r = r->status;
	status_r->queued += r->queue.chunks.n;
	pthread_mutex_unlock(&r->queue.lock);
	status_r->dropped += atomic_load_explicit(&r->pushes_dropped,
	    memory_order_relaxed);
}

/* ----------------------------------------------------------------- reader */

/* A connection to the database, or NULL when the list of recent sessions has
 * to do. */
static struct record_reader *
reader(struct record *r)
{
	struct record_reader *one = NULL;
	char *path = NULL;
	uint64_t opens;

	pthread_mutex_lock(&r->queue.lock);
	opens = r->opens;
	if (r->reader_path != NULL && r->status.sqlite_ok)
		path = strdup(r->reader_path);
	pthread_mutex_unlock(&r->queue.lock);
	if (path != NULL)
		one = record_readers_take(&r->readers, path, opens);
	free(path);
	return one;
}

/* As fn returned; -1 where there is no database to be read now. */
static int
ask_database(struct record *r, struct buf *out, record_ask_fn *fn,
    const void *arg)
{
	struct record_reader *one = reader(r);
	int result = -1;

	if (one != NULL) {
		result = fn(one->db, out, arg);
		record_readers_give(&r->readers, one);
	}
	return result;
}

static int
ask_recent(struct record *r, struct buf *out, record_ask_fn *fn,
    const void *arg)
{
	struct record_sqlite *recent = record_recent_load(&r->recent);
	int result;

	if (recent == NULL)
		return -1;
	result = fn(record_sqlite_handle(recent), out, arg);
	record_sqlite_close(recent);
	return result;
}

int
record_ask(struct record *r, struct buf *out, record_ask_fn *fn,
    const void *arg)
{
	int result = ask_database(r, out, fn, arg);

	if (result == -1 && !buf_failed(out))
		result = ask_recent(r, out, fn, arg);
	return result == 0 ? 0 : -1;
}

/* For the writer's first look at the file, which may have to be made. */
static void
await_opening(struct record *r)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += OPENING_S;
	pthread_mutex_lock(&r->queue.lock);
	while (r->status.sqlite_on && r->status.sqlite_ok &&
	    r->reader_path == NULL && pthread_cond_timedwait(&r->done,
	    &r->queue.lock, &until) == 0)
		continue;
	pthread_mutex_unlock(&r->queue.lock);
}

int
record_ask_whole(struct record *r, struct buf *out, record_ask_fn *fn,
    const void *arg)
{
	struct record_status status;
	int result;

	await_opening(r);
	record_get_status(r, &status);
	result = status.sqlite_on ? ask_database(r, out, fn, arg) :
	    ask_recent(r, out, fn, arg);
	return result == 0 ? 0 : -1;
}

struct list_query { const struct record_query *query; unsigned limit; };

static int
list(sqlite3 *db, struct buf *out, const void *arg)
{
	const struct list_query *q = arg;

	return record_query_list(db, out, q->query, q->limit);
}

int
record_list(struct record *r, struct buf *out, const struct record_query *query,
    unsigned limit)
{
	struct list_query q = { query, limit };

	return record_ask(r, out, list, &q);
}

static int
show(sqlite3 *db, struct buf *out, const void *arg)
{
	const struct span *id = arg;

	return record_query_show(db, out, *id);
}

int
record_show(struct record *r, struct buf *out, struct span id)
{
	return record_ask(r, out, show, &id);
}

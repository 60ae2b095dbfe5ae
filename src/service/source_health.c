/*
 * A table of addresses that only grows: a worker may hold an older
 * configuration than the main thread, and nothing that it looks up may go
 * away. The main thread alone adds; a finished entry is published by its slot,
 * so that readers need no lock. What the status page shows in words stands
 * behind one.
 */
#include "service/source_health.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"

#define SLOTS (2 * SOURCE_HEALTH_MAX)	/* a power of two */

struct source {
	struct addr address;
	_Atomic bool out, suspended;	/* what workers go by */
	_Atomic int64_t open;
	_Atomic uint64_t connections;
	/* The main thread's; under the lock, which readers of words take. */
	bool listed;			/* in the configuration of now */
	bool is_out;			/* as the last look found it */
	char why[SOURCE_PROBE_WHY_MAX];
	uint64_t since_wall_us;
	uint64_t suspended_until_us;	/* wall; 0: for good. Anybody's, under
					   the lock */
};

struct source_health {
	struct source_health_prober prober;
	struct config *config;
	_Atomic(struct source *) slots[SLOTS];
	size_t n;
	bool said_full;
	pthread_mutex_t lock;
};

static size_t
slot_of(const struct addr *a)
{
	size_t i, n = a->family == ADDR_IPV4 ? 4 : 16;
	uint64_t h = UINT64_C(14695981039346656037);

	for (i = 0; i < n; i++)
		h = (h ^ a->ip[i]) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 32) & (SLOTS - 1);
}

/* Half of the slots are always empty: it ends. */
static struct source *
find(struct source_health *h, const struct addr *a, size_t *slot_r)
{
	struct source *s;
	size_t i = slot_of(a);

	while ((s = atomic_load_explicit(&h->slots[i],
	    memory_order_acquire)) != NULL && !addr_eq_ip(&s->address, a))
		i = (i + 1) & (SLOTS - 1);
	*slot_r = i;
	return s;
}

static struct source *
look_up(struct source_health *h, const struct addr *a)
{
	size_t slot;

	return h == NULL || a->family == ADDR_NONE ? NULL : find(h, a, &slot);
}

struct source_health *
source_health_new(const struct source_health_prober *prober)
{
	struct source_health *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->prober = *prober;
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

void
source_health_free(struct source_health *h)
{
	size_t i;

	if (h == NULL)
		return;
	for (i = 0; i < SLOTS; i++)
		free(h->slots[i]);
	config_unref(h->config);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* ------------------------------------------------------- the kernel's word */

static void *
kernel_begin(void *ctx)
{
	(void)ctx;
	return source_probe_new();
}

static enum source_probe_result
kernel_look(void *round, const struct addr *a,
    char why_r[SOURCE_PROBE_WHY_MAX])
{
	return source_probe_look(round, a, why_r);
}

static void
kernel_end(void *round)
{
	source_probe_free(round);
}

struct source_health_prober
source_health_prober(void (*wake)(void *ctx), void *ctx)
{
	return (struct source_health_prober){ .begin = kernel_begin,
	    .look = kernel_look, .end = kernel_end, .wake = wake, .ctx = ctx };
}

/* -------------------------------------------------------- the main thread */

static void
add(struct source_health *h, const struct addr *a)
{
	struct source *s;
	size_t slot;

	if (a->family == ADDR_NONE)
		return;
	s = find(h, a, &slot);
	if (s == NULL && h->n < SOURCE_HEALTH_MAX &&
	    (s = calloc(1, sizeof(*s))) != NULL) {
		s->address = *a;
		s->address.port = 0;
		atomic_store_explicit(&h->slots[slot], s,
		    memory_order_release);
		h->n++;
	}
	if (s != NULL)
		s->listed = true;
	else if (!h->said_full) {
		h->said_full = true;
		log_event(LOG_WARNING, "source.unwatched", "reason=\"more than "
		    "%d source addresses: the health of the rest is not "
		    "watched\"", SOURCE_HEALTH_MAX);
	}
}

void
source_health_configure(struct source_health *h, struct config *c)
{
	size_t i, k;

	pthread_mutex_lock(&h->lock);
	for (i = 0; i < SLOTS; i++)
		if (h->slots[i] != NULL)
			h->slots[i]->listed = false;
	for (i = 0; i < ARRAY_LEN(c->upstream.source); i++)
		add(h, &c->upstream.source[i]);
	for (i = 0; i < c->n_pools; i++)
		for (k = 0; k < c->pools[i].n_addresses; k++)
			add(h, &c->pools[i].addresses[k]);
	pthread_mutex_unlock(&h->lock);
	config_ref(c);
	config_unref(h->config);
	h->config = c;
	source_health_probe(h);
}

static bool
is_in(const struct config_pool *pool, const struct addr *a)
{
	size_t i;

	for (i = 0; i < pool->n_addresses; i++)
		if (addr_eq_ip(&pool->addresses[i], a))
			return true;
	return false;
}

static void
log_change(const struct source_health *h, const struct source *s)
{
	char text[ADDR_TEXT_MAX], pools[LOG_QUOTE_MAX], why[LOG_QUOTE_MAX];
	struct buf names;
	size_t i;

	buf_init(&names, 0);
	for (i = 0; i < h->config->n_pools; i++)
		if (is_in(&h->config->pools[i], &s->address))
			buf_printf(&names, "%s%s", buf_len(&names) > 0 ? "," :
			    "", h->config->pools[i].name);
	log_quote(buf_span(&names), pools);
	buf_release(&names);
	addr_format(&s->address, text);
	if (s->is_out)
		log_event(LOG_WARNING, "source.down", "address=%s pools=%s "
		    "reason=%s", text, pools,
		    log_quote(span_str(s->why), why));
	else
		log_event(LOG_INFO, "source.up", "address=%s pools=%s", text,
		    pools);
}

/* The flag is set even where nothing has changed: a worker may have. */
static void
settle(struct source_health *h, struct source *s, bool is_out,
    const char *why)
{
	bool first = s->since_wall_us == 0, changed = s->is_out != is_out;

	atomic_store(&s->out, is_out);
	if (!first && !changed && strcmp(s->why, why) == 0)
		return;
	pthread_mutex_lock(&h->lock);
	s->is_out = is_out;
	memcpy(s->why, why, strlen(why) + 1);
	if (first || changed)
		s->since_wall_us = clock_wall_us();
	pthread_mutex_unlock(&h->lock);
	if (changed)
		log_change(h, s);
}

static void
log_resumed(const struct source *s, const char *why)
{
	char text[ADDR_TEXT_MAX];

	log_event(LOG_INFO, "source.resumed", "address=%s reason=%s",
	    addr_format(&s->address, text), why);
}

/* The time of a suspension is over. */
static void
expire(struct source_health *h, struct source *s)
{
	bool over;

	if (!atomic_load_explicit(&s->suspended, memory_order_relaxed))
		return;
	pthread_mutex_lock(&h->lock);
	over = s->suspended_until_us != 0 &&
	    clock_wall_us() >= s->suspended_until_us &&
	    atomic_exchange(&s->suspended, false);
	pthread_mutex_unlock(&h->lock);
	if (over)
		log_resumed(s, "time");
}

void
source_health_probe(struct source_health *h)
{
	void *round = h->prober.begin(h->prober.ctx);
	size_t i;

	if (round == NULL)
		return;
	for (i = 0; i < SLOTS; i++) {
		struct source *s = h->slots[i];
		char why[SOURCE_PROBE_WHY_MAX] = "";
		enum source_probe_result result;

		if (s == NULL || !s->listed)
			continue;
		expire(h, s);
		result = h->prober.look(round, &s->address, why);
		if (result != SOURCE_PROBE_UNKNOWN)
			settle(h, s, result == SOURCE_PROBE_OUT, why);
	}
	h->prober.end(round);
}

/* ------------------------------------------------------------- any thread */

bool
source_health_is_usable(void *h, const struct addr *a)
{
	const struct source *s = look_up(h, a);

	return s == NULL || !(atomic_load_explicit(&s->out,
	    memory_order_relaxed) || atomic_load_explicit(&s->suspended,
	    memory_order_relaxed));
}

void
source_health_failed(struct source_health *h, const struct addr *a)
{
	struct source *s = look_up(h, a);

	if (s != NULL && !atomic_exchange(&s->out, true))
		h->prober.wake(h->prober.ctx);
}

int
source_health_suspend(struct source_health *h, const struct addr *a,
    uint64_t until_wall_us)
{
	struct source *s = look_up(h, a);
	char text[ADDR_TEXT_MAX], until[CLOCK_TEXT_MAX];
	bool listed;

	if (s == NULL)
		return -1;
	pthread_mutex_lock(&h->lock);
	listed = s->listed;
	if (listed) {
		s->suspended_until_us = until_wall_us;
		atomic_store(&s->suspended, true);
	}
	pthread_mutex_unlock(&h->lock);
	if (!listed)
		return -1;
	log_event(LOG_WARNING, "source.suspended", "address=%s until=%s",
	    addr_format(a, text), until_wall_us == 0 ? "resumed" :
	    clock_format_utc(until_wall_us, until));
	return 0;
}

int
source_health_resume(struct source_health *h, const struct addr *a)
{
	struct source *s = look_up(h, a);
	bool was;

	if (s == NULL)
		return -1;
	pthread_mutex_lock(&h->lock);
	was = atomic_exchange(&s->suspended, false);
	s->suspended_until_us = 0;
	pthread_mutex_unlock(&h->lock);
	if (was)
		log_resumed(s, "asked");
	return was ? 0 : 1;
}

void
source_health_opened(struct source_health *h, const struct addr *a)
{
	struct source *s = look_up(h, a);

	if (s == NULL)
		return;
	atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->connections, 1, memory_order_relaxed);
}

void
source_health_closed(struct source_health *h, const struct addr *a)
{
	struct source *s = look_up(h, a);

	if (s != NULL)
		atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
}

bool
source_health_state(struct source_health *h, const struct addr *a,
    struct source_state *state_r)
{
	struct source *s = look_up(h, a);
	int64_t open;

	*state_r = (struct source_state){ .is_up = true };
	if (s == NULL)
		return false;
	pthread_mutex_lock(&h->lock);
	memcpy(state_r->why, s->why, sizeof(s->why));
	state_r->is_up = !s->is_out;
	state_r->since_wall_us = s->since_wall_us;
	state_r->is_suspended = atomic_load(&s->suspended);
	state_r->suspended_until_wall_us = s->suspended_until_us;
	pthread_mutex_unlock(&h->lock);
	open = atomic_load_explicit(&s->open, memory_order_relaxed);
	state_r->open = open < 0 ? 0 : (uint64_t)open;
	state_r->connections = atomic_load_explicit(&s->connections,
	    memory_order_relaxed);
	return true;
}

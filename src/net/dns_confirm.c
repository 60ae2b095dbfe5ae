/*
 * A table of fixed size, where a new answer takes the place of whichever
 * shares its slot. Two questions with one 64-bit hash would share an answer:
 * that costs a wrong name in SNI, which promises nothing.
 */
#include "net/dns_confirm.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 1024
#define YES_US (3600ull * CLOCK_US_PER_S)
#define NO_US (600ull * CLOCK_US_PER_S)
#define SILENCE_US (60ull * CLOCK_US_PER_S)

struct slot {
	uint64_t key, until_us;
	bool confirmed;
};

struct dns_confirm {
	struct loop *loop;
	struct dns *dns;
	uint64_t silent_until_us;	/* nobody answers: do not ask */
	struct slot slots[SLOTS];
};

struct dns_confirm_query {
	struct dns_confirm *confirm;
	struct dns_query *query;
	struct loop_timer *timer;
	struct addr destination;
	uint64_t key;
	dns_confirm_fn *fn;
	void *ctx;
};

static uint64_t
key_of(const char *name, const struct addr *destination)
{
	uint64_t h = 0xcbf29ce484222325u;	/* FNV-1a */
	size_t i;

	for (i = 0; i < sizeof(destination->ip); i++)
		h = (h ^ destination->ip[i]) * 0x100000001b3u;
	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3u;
	return h;
}

struct dns_confirm *
dns_confirm_new(struct loop *loop, struct dns *dns)
{
	struct dns_confirm *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = loop;
	c->dns = dns;
	return c;
}

void
dns_confirm_free(struct dns_confirm *c)
{
	free(c);
}

enum dns_confirmed
dns_confirm_known(struct dns_confirm *c, const char *name,
    const struct addr *destination)
{
	uint64_t key = key_of(name, destination);
	const struct slot *s = &c->slots[key % SLOTS];

	if (s->key != key || s->until_us <= loop_now_us(c->loop))
		return DNS_CONFIRM_UNKNOWN;
	return s->confirmed ? DNS_CONFIRM_YES : DNS_CONFIRM_NO;
}

static void
finish(struct dns_confirm_query *q, bool confirmed, uint64_t lifetime_us)
{
	struct dns_confirm *c = q->confirm;
	dns_confirm_fn *fn = q->fn;
	void *ctx = q->ctx;

	c->slots[q->key % SLOTS] = (struct slot){ q->key,
	    loop_now_us(c->loop) + lifetime_us, confirmed };
	dns_confirm_cancel(q);
	fn(ctx, confirmed);
}

static enum dns_type
type_of(const struct addr *a)
{
	return a->family == ADDR_IPV4 ? DNS_A : DNS_AAAA;
}

static void
on_answer(void *ctx, const struct dns_answer *a)
{
	struct dns_confirm_query *q = ctx;
	bool confirmed = false;
	struct addr found;
	size_t i;

	q->query = NULL;
	for (i = 0; i < a->n && !confirmed; i++)
		confirmed = dns_record_addr(type_of(&q->destination),
		    a->records[i], &found) == 0 &&
		    addr_eq_ip(&found, &q->destination);
	finish(q, confirmed, confirmed ? YES_US : a->status == DNS_FAILED ?
	    SILENCE_US : NO_US);
}

static void
on_silence(void *ctx)
{
	struct dns_confirm_query *q = ctx;
	struct dns_confirm *c = q->confirm;

	c->silent_until_us = loop_now_us(c->loop) + SILENCE_US;
	finish(q, false, SILENCE_US);
}

struct dns_confirm_query *
dns_confirm_start(struct dns_confirm *c, const char *name,
    const struct addr *destination, dns_confirm_fn *fn, void *ctx)
{
	struct dns_confirm_query *q;
	uint64_t now_us = loop_now_us(c->loop);

	if (now_us < c->silent_until_us ||
	    (q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->confirm = c;
	q->destination = *destination;
	q->key = key_of(name, destination);
	q->fn = fn;
	q->ctx = ctx;
	q->timer = loop_timer_new(c->loop, on_silence, q);
	if (q->timer != NULL)
		q->query = dns_lookup(c->dns, name, type_of(destination),
		    on_answer, q);
	if (q->query == NULL) {
		dns_confirm_cancel(q);
		return NULL;
	}
	loop_timer_start(q->timer, now_us + DNS_CONFIRM_US);
	return q;
}

void
dns_confirm_cancel(struct dns_confirm_query *q)
{
	if (q == NULL)
		return;
	dns_cancel(q->query);
	loop_timer_free(q->timer);
	free(q);
}

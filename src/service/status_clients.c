/*
 * A connection that sends a byte now and then is never idle, so that the HTTP
 * library's time limit never ends it, and some dozens of them would hold the
 * port for good. Here a request's head has a time in which to be whole,
 * however lively the connection is; and when all places are taken, a new
 * client takes that of whoever has done least with it.
 *
 * To cut one off is to shut its socket down: the library finds that it has
 * ended, and does the rest.
 */
#include "service/status_clients.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

void
status_clients_init(struct status_clients *c)
{
	pthread_mutex_init(&c->lock, NULL);
	TAILQ_INIT(&c->list);
}

void
status_clients_destroy(struct status_clients *c)
{
	struct status_client *client;

	while ((client = TAILQ_FIRST(&c->list)) != NULL) {
		TAILQ_REMOVE(&c->list, client, entry);
		free(client);
	}
	pthread_mutex_destroy(&c->lock);
}

static void
cut(struct status_client *client)
{
	client->is_cut = true;
	(void)shutdown(client->fd, SHUT_RDWR);
}

/* How many there are, of that address or (NULL) in all. */
static unsigned
count(const struct status_clients *c, const struct addr *addr)
{
	const struct status_client *client;
	unsigned n = 0;

	TAILQ_FOREACH(client, &c->list, entry)
		n += !client->is_cut && (addr == NULL ||
		    addr_eq_ip(&client->addr, addr));
	return n;
}

/* Would it rather be a than b that goes? */
static bool
goes_first(const struct status_clients *c, const struct status_client *a,
    const struct status_client *b)
{
	unsigned of_a, of_b;

	if (a->state != b->state)
		return a->state == STATUS_CLIENT_WAITING;
	of_a = count(c, &a->addr);
	of_b = count(c, &b->addr);
	if (of_a != of_b)
		return of_a > of_b;
	return a->since_us < b->since_us;
}

static void
make_room(struct status_clients *c, const struct status_client *new)
{
	struct status_client *client, *victim = NULL;

	if (count(c, NULL) <= STATUS_CLIENTS_MAX)
		return;
	TAILQ_FOREACH(client, &c->list, entry)
		if (client != new && !client->is_cut &&
		    client->state != STATUS_CLIENT_BUSY &&
		    (victim == NULL || goes_first(c, client, victim)))
			victim = client;
	if (victim != NULL)
		cut(victim);
}

struct status_client *
status_clients_add(struct status_clients *c, int fd, const struct addr *addr,
    uint64_t now_us)
{
	struct status_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->fd = fd;
	client->addr = *addr;
	client->since_us = now_us;
	pthread_mutex_lock(&c->lock);
	TAILQ_INSERT_TAIL(&c->list, client, entry);
	make_room(c, client);
	pthread_mutex_unlock(&c->lock);
	return client;
}

void
status_clients_remove(struct status_clients *c, struct status_client *client)
{
	if (client == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	TAILQ_REMOVE(&c->list, client, entry);
	pthread_mutex_unlock(&c->lock);
	free(client);
}

void
status_clients_state(struct status_clients *c, struct status_client *client,
    enum status_client_state state, uint64_t now_us)
{
	if (client == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	client->state = state;
	client->since_us = now_us;
	pthread_mutex_unlock(&c->lock);
}

static uint64_t
patience_us(const struct status_client *client)
{
	switch (client->state) {
	case STATUS_CLIENT_WAITING:
		return STATUS_CLIENTS_WAIT_S * (uint64_t)CLOCK_US_PER_S;
	case STATUS_CLIENT_ANSWERED:
		return STATUS_CLIENTS_ANSWER_S * (uint64_t)CLOCK_US_PER_S;
	default:
		return UINT64_MAX;
	}
}

void
status_clients_check(struct status_clients *c, uint64_t now_us)
{
	struct status_client *client;

	pthread_mutex_lock(&c->lock);
	TAILQ_FOREACH(client, &c->list, entry)
		if (!client->is_cut && now_us > client->since_us &&
		    now_us - client->since_us > patience_us(client))
			cut(client);
	pthread_mutex_unlock(&c->lock);
}

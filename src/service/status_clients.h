/*
 * Who is connected to a port of the status server, and who has to go when
 * there is no room, or when nothing comes of it.
 */
#ifndef WEIR_SERVICE_STATUS_CLIENTS_H
#define WEIR_SERVICE_STATUS_CLIENTS_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/addr.h"

#define STATUS_CLIENTS_MAX 64
#define STATUS_CLIENTS_WAIT_S 10	/* for a request's head to be whole,
					   and between two requests */
#define STATUS_CLIENTS_ANSWER_S 60	/* to take an answer */

enum status_client_state {
	STATUS_CLIENT_WAITING,		/* weir waits for a request */
	STATUS_CLIENT_ANSWERED,		/* the client is to read an answer */
	STATUS_CLIENT_BUSY,		/* weir works on it, or streams */
};

struct status_client {
	TAILQ_ENTRY(status_client) entry;
	int fd;				/* the HTTP library's */
	struct addr addr;		/* NONE: of the control socket */
	enum status_client_state state;
	uint64_t since_us;		/* it is in this state (monotonic) */
	bool is_cut;			/* on its way out: does not count */
};

struct status_clients {
	pthread_mutex_t lock;
	TAILQ_HEAD(status_client_list, status_client) list;
};

void status_clients_init(struct status_clients *c);
void status_clients_destroy(struct status_clients *c);	/* frees all */

/**
 * status_clients_add(c, fd, addr, now_us) - there is one more.
 *
 * If there are more than STATUS_CLIENTS_MAX, one of the others is cut off: of
 * the address that has most, the one that has kept weir waiting longest; one
 * that is reading an answer only where nobody else can be.
 *
 * Returns it, for status_clients_remove() before the fd is closed; NULL: no
 * memory.
 */
struct status_client *status_clients_add(struct status_clients *c, int fd,
	const struct addr *addr, uint64_t now_us);
void status_clients_remove(struct status_clients *c,
	struct status_client *client);

void status_clients_state(struct status_clients *c,
	struct status_client *client, enum status_client_state state,
	uint64_t now_us);

/* Cuts off who has been too long in a state; to be called each second. */
void status_clients_check(struct status_clients *c, uint64_t now_us);

#endif

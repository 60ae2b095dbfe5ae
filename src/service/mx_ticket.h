/*
 * Who may go in: at most so many sessions from one source address to one group
 * of MXs at a time (deliverability.cap), fewer where the MXs throttle it
 * (deliverability.adaptive; mx/cap.h).
 *
 * A ticket is taken before anything is dialled, and lasts as long as the
 * connection. It never ends a connection that stands.
 */
#ifndef WEIR_SERVICE_MX_TICKET_H
#define WEIR_SERVICE_MX_TICKET_H

#include "base/addr.h"
#include "config/config.h"
#include "service/mx_health.h"

struct mx_ticket;

enum mx_ticket_result {
	MX_TICKET_NONE,		/* there is no cap, or it is not known yet from
				   which address, or there is no memory: go in */
	MX_TICKET_TAKEN,
	MX_TICKET_FULL,		/* do not; why_r says so */
};

#define MX_TICKET_WHY_MAX 256

/* How why_r ends, by which the record knows these from other failures. */
#define MX_TICKET_FULL_END ", and may have no more"

/**
 * mx_ticket_take(h, c, source, destination, now_us, ticket_r, why_r)
 *
 * source  NONE: the kernel will choose; then the address that was last used
 *         there, of the destination's family, counts
 * why_r   "example.com has 4 sessions from 192.0.2.1, and may have no more"
 */
enum mx_ticket_result mx_ticket_take(struct mx_health *h,
	const struct config_deliverability *c, const struct addr *source,
	const struct addr *destination, uint64_t now_us,
	struct mx_ticket **ticket_r, char why_r[MX_TICKET_WHY_MAX]) MUSTUSE;

/* For a connection that stands already. NULL: there is no cap, no memory. */
struct mx_ticket *mx_ticket_for(struct mx_health *h,
	const struct config_deliverability *c, const struct addr *source,
	const struct addr *destination, uint64_t now_us);

void mx_ticket_give_back(struct mx_ticket *t);	/* NULL is fine */

#endif

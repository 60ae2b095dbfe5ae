/*
 * Measuring the MX: how long each phase took it, and what came of what it was
 * asked (mx/sample.h).
 *
 *	reply --session_phase--> connection (up to TLS)  --+
 *	                         transaction (the rest)  --+--> SESSION_MEASURE
 *
 * There is one sample for each transaction that the MX decided on, or left
 * without a decision by hanging up or falling silent; one for a connection that
 * refused us before any; and one of QUIT. Whichever is the first of its
 * connection brings the phases that are the connection's. What weir, a policy
 * or the client decided says nothing about the MX, and is none.
 *
 * Inside session/ only; internal.h includes it.
 */
#ifndef WEIR_SESSION_MEASURE_H
#define WEIR_SESSION_MEASURE_H

#include "mx/sample.h"
#include "policy/types.h"

struct mx_reply;
struct session;
struct transaction;
struct upstream;

struct measured_connection {
	uint64_t starttls_us;		/* when it was sent */
	uint64_t phase_us[MX_PHASE_TLS + 1];	/* 0: not measured (yet) */
	bool told;			/* a sample had them */
	bool said_421;			/* the last that the MX said */
};

struct measured_transaction {
	uint64_t body_since_us;		/* the 354, or the first BDAT */
	uint64_t phase_us[MX_PHASE_FINAL - MX_PHASE_MAIL + 1];
	bool told;			/* there was a sample of it */
	enum mx_phase answered;		/* by the MX's last word on it */
	uint8_t domain_len;
	uint64_t recipient;		/* a hash of it; 0: none was sent */
	uint8_t domain[255];		/* of the first recipient that was sent */
};

/* ---- what is measured */

/* A connection is dialled. */
void session_measure_anew(struct upstream *up);

/* The first time that it is told, the phase of a connection took so long. */
void session_phase_of_connection(struct upstream *up, enum mx_phase phase,
	uint64_t us);

/* That of a transaction; of several RCPT the slowest counts. */
void session_phase(struct transaction *t, enum mx_phase phase, uint64_t us);

uint64_t session_phase_of(const struct transaction *t, enum mx_phase phase);

/* It is on another connection now. */
void session_phases_forget(struct transaction *t);

/* Its first recipient is sent. address: the whole of it. */
void session_measure_recipient(struct transaction *t, struct span address);

/* ---- what comes of it; of the connection in use */

/* The MX greets: the session is open. */
void session_measure_greeting(struct session *s, const struct policy_reply *r);

/* There is no connection. Any other result than REFUSED and TIMED_OUT says
 * nothing about the MX. */
void session_measure_unreached(struct session *s, enum mx_result result);

/* What a reply of the MX to that is about. */
enum mx_category session_measure_category(const struct session *s,
	const struct policy_reply *r, enum mx_phase phase);

/* The MX refuses to have anything to do with us, before there is a transaction
 * on this connection, by its reply to that. */
void session_measure_refused(struct session *s, const struct policy_reply *r,
	enum mx_phase phase, uint64_t took_us);
void session_measure_ehlo_refused(struct session *s,
	const struct mx_reply *reply);

/* The outcome of a transaction, if it was the MX that decided it. r: its last
 * reply; NULL: to be read in there. The first time counts. */
void session_measure_transaction(struct session *s, struct transaction *t,
	enum policy_outcome outcome, const struct policy_reply *r);

/* The MX hung up (CLOSED), or let its time pass (TIMED_OUT). Nothing, if it
 * owed nothing that matters. */
void session_measure_lost(struct session *s, enum mx_result result);

/* It takes its leave, unasked: that decides on what is under way. */
void session_measure_leave(struct session *s, const struct mx_reply *reply);

void session_measure_quit(struct session *s, uint64_t us);

/* The connection is set aside or left: what was not told of it yet. */
void session_measure_connection(struct session *s);

/* It is about to go, and what is under way on it as well. */
void session_measure_over(struct session *s);

#endif

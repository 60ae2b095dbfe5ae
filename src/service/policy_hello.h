/*
 * The handshake: what weir says first, and in words what is wrong with what it
 * is told. Pure.
 */
#ifndef WEIR_SERVICE_POLICY_HELLO_H
#define WEIR_SERVICE_POLICY_HELLO_H

#include "service/policy_client.h"

/* hello_r points into setup. */
void policy_hello_make(const struct policy_client_setup *setup,
	struct policy_event *hello_r);

/* Why the first answer to Hello, of that many bytes, is no Welcome that weir
 * can use; NULL: it is one. Static, or written to why. */
const char *policy_hello_wrong(const struct policy_answer *answer,
	size_t length, char *why, size_t size);

/* The server closed, or said nothing in time, having sent that much. */
const char *policy_hello_closed(struct span sent);
const char *policy_hello_silence(struct span sent);

#endif

/*
 * One event as a message of protobuf-c's, for encode.c alone.
 */
#ifndef WEIR_POLICY_MESSAGE_H
#define WEIR_POLICY_MESSAGE_H

#include <stdalign.h>
#include <stddef.h>

#include "policy/codec.h"
#include "proto/policy.pb-c.h"

#define PB(name) Weir__Policy__V1__##name
#define EVENT(name) WEIR__POLICY__V1__TO_POLICY__EVENT_##name

#define POLICY_SCRATCH_BYTES 4096

/* Where the arrays and texts of a message lie. */
struct policy_scratch {
	alignas(max_align_t) uint8_t mem[POLICY_SCRATCH_BYTES];
	size_t used;
	void *heap;		/* chain of what did not fit */
	bool failed;
};

/* One message of every kind that an event can be. */
union policy_message {
	ProtobufCMessage base;		/* of each of them */
	PB(Hello) hello;
	PB(Ready) ready;
	PB(Ping) ping;
	PB(Drain) drain;
	PB(Connect) connect;
	PB(Upstream) upstream;
	PB(Tls) tls;
	PB(Ehlo) ehlo;
	PB(Auth) auth;
	PB(Command) command;
	PB(Mail) mail;
	PB(Rcpt) rcpt;
	PB(Data) data;
	PB(Headers) headers;
	PB(EndOfMessage) end_of_message;
	PB(Reply) reply;
	PB(TransactionEnd) transaction_end;
	PB(SessionEnd) session_end;
	PB(Cancel) cancel;
};

/* Fills m, which points into scratch and into e. Returns the number of its
 * field in ToPolicy; scratch->failed: no memory, m is not whole. Any event but
 * Body. */
unsigned policy_message_fill(struct policy_scratch *scratch,
	const struct policy_event *e, union policy_message *m);
void policy_scratch_release(struct policy_scratch *scratch);

#endif

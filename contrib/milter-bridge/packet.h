/*
 * Packets: found in what a filter sent, and written for it.
 */
#ifndef WEIR_MILTER_PACKET_H
#define WEIR_MILTER_PACKET_H

#include "base/buf.h"
#include "milter-bridge/protocol.h"

struct milter_packet {
	uint8_t letter;
	struct span payload;	/* into the input */
};

enum milter_packet_type {
	MILTER_PACKET_MORE, MILTER_PACKET_WHOLE, MILTER_PACKET_BAD
};

/**
 * milter_packet_next(in, packet_r, consumed_r) - the first packet of `in`.
 *
 * MORE: not all of it is there, nothing is consumed. BAD: its length is 0 or
 * more than MILTER_REPLY_MAX; known with the first four bytes. Pure.
 */
enum milter_packet_type milter_packet_next(struct span in,
	struct milter_packet *packet_r, size_t *consumed_r);

/* Writes the head of a packet and returns where it stands; what is appended
 * then is its payload, until milter_packet_end() sets the length. Failure:
 * out is failed. */
size_t milter_packet_begin(struct buf *out, enum milter_command command);
void milter_packet_end(struct buf *out, size_t start);

/* Appends a 32-bit number; a text with its NUL, without those inside. */
void milter_packet_u32(struct buf *out, uint32_t value);
void milter_packet_text(struct buf *out, struct span text);

/* A command whose payload is `texts`, each with its NUL. */
void milter_packet_texts(struct buf *out, enum milter_command command,
	const struct span *texts, size_t n);

/* CONNECT, from this client. An unknown name is "[192.0.2.1]", as Postfix
 * and Sendmail have it. address: without port; "" if it is unknown. */
void milter_packet_connect(struct buf *out, struct span name,
	struct span address, uint16_t port);

/* HEADER. value: what stands behind the colon, with CRLF before each fold.
 * leading_space: the filter wants the space behind the colon, too. A value
 * that libmilter would not take is cut. */
void milter_packet_header(struct buf *out, struct span name,
	struct span value, bool leading_space);

/* BODY; chunk has at most MILTER_PAYLOAD_MAX bytes. */
void milter_packet_body(struct buf *out, struct span chunk);

#endif

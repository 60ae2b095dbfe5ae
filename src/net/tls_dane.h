/*
 * DANE for SMTP (RFC 7672) over a chain and the TLSA records of its server.
 * Whether those came with DNSSEC is the caller's to know.
 */
#ifndef WEIR_NET_TLS_DANE_H
#define WEIR_NET_TLS_DANE_H

#include "base/tls_demand.h"

#include <gnutls/gnutls.h>

/* Can this record be used at all? Usage 2 or 3, selector 0 or 1, matching type
 * 0 (data that is a certificate, or a key), 1 or 2 (a digest of its length).
 * Pure. */
bool tls_dane_is_usable(const struct tls_tlsa *record);

/**
 * tls_dane_verify(chain, n, demand, verdict_r) - does one record match?
 *
 * chain   as the server sent it, DER, its own certificate first
 * demand  names and tlsa; an empty tlsa is as one without usable records
 *
 * Usage 3 is the server's certificate or key, and nothing else of it counts.
 * Usage 2 is an authority above it, sent in the chain or given in full by the
 * record; signatures, dates and one of the names must be right. Of the digests
 * for one usage and selector only the strongest counts, and matching type 0
 * always (RFC 7671 9). Without a usable record the verdict is ok with
 * TLSA_INVALID: encryption is all that can be had (RFC 7672 2.2).
 */
void tls_dane_verify(const gnutls_datum_t *chain, size_t n,
	const struct tls_demand *demand, struct tls_verdict *verdict_r);

#endif

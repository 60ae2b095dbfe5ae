/*
 * What is demanded of a peer's certificate, and what became of it: decided
 * above, checked where the TLS session is.
 */
#ifndef WEIR_BASE_TLS_DEMAND_H
#define WEIR_BASE_TLS_DEMAND_H

#include "base/tls_result.h"

#define TLS_NAMES_MAX 32	/* in one demand */
#define TLS_NAME_MAX 253	/* bytes of one */
#define TLS_TLSA_MAX 16
#define TLS_TLSA_BYTES_MAX 8192	/* association data of one record */

/* One TLSA record (RFC 6698 2.1). */
struct tls_tlsa {
	uint8_t usage, selector, matching;
	struct span data;
};

/* Level verify: a chain to the trust store, and one of the names. Level dane:
 * what the TLSA records say (RFC 7672); they need the names for usage 2. */
struct tls_demand {
	bool dane;
	const char *const *names;	/* host names, A-labels; "*.rest" stands
					   for any one label and "rest" */
	size_t n_names;
	const struct tls_tlsa *tlsa;
	size_t n_tlsa;
};

/* Whether text is such a name: LDH labels (and underscores) of at most 63
 * bytes, at least two of them, perhaps a "*" as the first and a last dot; no
 * address. Pure. */
bool tls_name_is_valid(struct span text);

/* A deep copy, in one malloc'd piece that *memory_r frees (NULL: nothing was
 * to be copied). 0; -1: no memory. */
int tls_demand_copy(const struct tls_demand *from, struct tls_demand *to_r,
	void **memory_r) MUSTUSE;

/* The same names and records in the same order. Pure. */
bool tls_demand_eq(const struct tls_demand *a, const struct tls_demand *b);

struct tls_verdict {
	bool ok;		/* mail may go on */
	/* SUCCESS, or what a report says; with `ok` if no record was usable,
	 * which asks for encryption only (RFC 7672 2.2). TLS_RESULT_COUNT: the
	 * domain demands nothing. */
	enum tls_result result;
	char why[160];		/* for people; "" when all is well */
};

void tls_verdict_set(struct tls_verdict *v, bool ok, enum tls_result result,
	const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif

/*
 * The peers' certificates, each kept once however often it is seen.
 */
#ifndef WEIR_SERVICE_RECORD_CERTIFICATES_H
#define WEIR_SERVICE_RECORD_CERTIFICATES_H

#include <sqlite3.h>

#include "base/buf.h"

#define RECORD_CERTIFICATES 16	/* remembered */

struct record_certificates {
	sqlite3_stmt *insert, *find;
	struct record_certificate {
		struct buf der;
		int64_t id;
		uint64_t day;		/* it was written or refreshed */
	} known[RECORD_CERTIFICATES];
};

/* c is all zero; finalized before db is closed. SQLite's codes. */
int record_certificates_init(struct record_certificates *c, sqlite3 *db)
	MUSTUSE;
void record_certificates_finalize(struct record_certificates *c);
void record_certificates_release(struct record_certificates *c);

/* The certificate's id; a row is made, or touched once a day. SQLite's
 * codes. */
int record_certificates_id(struct record_certificates *c, struct span der,
	uint64_t wall_us, int64_t *id_r) MUSTUSE;

/* What was written was rolled back. */
void record_certificates_forget(struct record_certificates *c);

#endif

/*
 * BDAT: "BDAT 1000" and "BDAT 86 LAST".
 */
#ifndef WEIR_SMTP_BDAT_H
#define WEIR_SMTP_BDAT_H

#include "base/compiler.h"
#include "base/span.h"

#define SMTP_BDAT_MAX 0x80000000u	/* octets of one chunk */

struct smtp_bdat {
	uint64_t size;		/* octets that follow the line */
	bool last;
};

/**
 * smtp_bdat_parse(args, bdat_r) - read the arguments of BDAT.
 *
 * Returns 0, or -1 if the size is not digits only or above SMTP_BDAT_MAX, or
 * something else than LAST (in any case) follows. Pure. Source: RFC 3030 2.
 */
int smtp_bdat_parse(struct span args, struct smtp_bdat *bdat_r) MUSTUSE;

#endif

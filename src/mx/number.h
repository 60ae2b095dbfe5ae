/*
 * Whole numbers as bytes, small ones as few: seven bits each, the lowest
 * first, the top bit says that more follow.
 */
#ifndef WEIR_MX_NUMBER_H
#define WEIR_MX_NUMBER_H

#include "base/buf.h"

void mx_number_put(struct buf *out, uint64_t n);

/* Takes its bytes off *in. 0; or -1: it is cut off, or too large. */
int mx_number_get(struct span *in, uint64_t *n_r) MUSTUSE;

#endif

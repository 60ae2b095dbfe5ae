/*
 * Why a socket call failed, in the words that operators read.
 */
#ifndef WEIR_NET_REASON_H
#define WEIR_NET_REASON_H

/* "connection refused", lower case, static. Pure. */
const char *reason_errno(int error);

#endif

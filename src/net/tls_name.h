/*
 * Whether a certificate was issued to one of the names that are demanded.
 */
#ifndef WEIR_NET_TLS_NAME_H
#define WEIR_NET_TLS_NAME_H

#include "net/tls.h"

/**
 * tls_name_find(certificate, names, n) - the first name that it carries.
 *
 * certificate  DER
 * names        as in struct tls_demand, each tls_name_is_valid()
 *
 * As RFC 6125 and Postfix do it: the DNS names of subjectAltName count; the
 * common name only where there are none. Case and a last dot do not matter. A
 * "*" in the certificate is its whole first label and stands for exactly one,
 * above at least two others. A demanded "*.rest" (RFC 8461 4.1) is met by any
 * one label before rest, and by the same wildcard.
 *
 * Returns its index, or -1. Pure; says nothing of who issued it.
 */
int tls_name_find(struct span certificate, const char *const *names, size_t n);

/* The names that it carries, by the same rule, for words: "a.example,
 * b.example"; cut to fit. */
void tls_name_list(struct span certificate, char *text, size_t size);

#endif

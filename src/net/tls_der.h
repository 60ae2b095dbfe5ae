/*
 * Parts of a DER certificate as they stand there. GnuTLS gives them only
 * encoded anew, and a hash counts on every octet.
 */
#ifndef WEIR_NET_TLS_DER_H
#define WEIR_NET_TLS_DER_H

#include "base/span.h"

struct tls_der {
	struct span tbs;	/* TBSCertificate: what is signed */
	struct span spki;	/* SubjectPublicKeyInfo */
};

/* Both with tag and length. false: that is no X.509 certificate. Pure. */
bool tls_der_read(struct span certificate, struct tls_der *parts_r);

#endif

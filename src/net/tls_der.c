/*
 * RFC 5280 4.1:
 *
 *	Certificate ::= SEQUENCE { tbsCertificate, ... }
 *	TBSCertificate ::= SEQUENCE { [0] version OPTIONAL, serialNumber,
 *	    signature, issuer, validity, subject, subjectPublicKeyInfo, ... }
 */
#include "net/tls_der.h"

enum { DER_INTEGER = 0x02, DER_SEQUENCE = 0x30, DER_VERSION = 0xa0 };

/* Takes one element of that tag from the front of in. whole has its tag and
 * length, content has not. */
static bool
take(struct span *in, uint8_t tag, struct span *whole, struct span *content)
{
	size_t head = 2, length, n;

	if (in->len < 2 || in->data[0] != tag)
		return false;
	length = in->data[1];
	if (length >= 0x80) {
		n = length & 0x7f;
		if (n == 0 || n > 4 || in->len < 2 + n)
			return false;
		for (length = 0; n > 0; n--)
			length = length << 8 | in->data[head++];
	}
	if (length > in->len - head)
		return false;
	*whole = span_take(*in, head + length);
	*content = span_skip(*whole, head);
	*in = span_skip(*in, head + length);
	return true;
}

bool
tls_der_read(struct span certificate, struct tls_der *parts_r)
{
	static const uint8_t before_key[] = {
		DER_INTEGER, DER_SEQUENCE, DER_SEQUENCE, DER_SEQUENCE,
		DER_SEQUENCE,
	};
	struct span whole, inner, fields, unused;
	size_t i;

	if (!take(&certificate, DER_SEQUENCE, &whole, &inner) ||
	    certificate.len != 0 ||
	    !take(&inner, DER_SEQUENCE, &parts_r->tbs, &fields))
		return false;
	(void)take(&fields, DER_VERSION, &whole, &unused);
	for (i = 0; i < sizeof(before_key); i++)
		if (!take(&fields, before_key[i], &whole, &unused))
			return false;
	return take(&fields, DER_SEQUENCE, &parts_r->spki, &unused);
}

/*
 * Records as a name server may send them, and names as a client may write
 * them: whatever is taken for a host name is one, and reads back as itself.
 */
#include "fuzz.h"
#include "net/dns_record.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

static void
check_name(const char *name)
{
	char again[DNS_NAME_MAX];

	CHECK(strlen(name) < DNS_NAME_MAX);
	CHECK(dns_name(span_str(name), again) == 0);
	CHECK(strcmp(name, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	char name[DNS_NAME_MAX];
	struct dns_tlsa tlsa;
	struct dns_mx mx;
	struct addr a;

	if (dns_name(in, name) == 0)
		check_name(name);
	if (dns_record_mx(in, &mx) == 0) {
		CHECK(size == 3 || size == strlen(mx.host) + 4);
		if (mx.host[0] != '\0')
			check_name(mx.host);
	}
	if (dns_record_tlsa(in, &tlsa) == 0)
		CHECK(tlsa.data.len > 0 && tlsa.data.len + 3 == size);
	CHECK((dns_record_addr(DNS_A, in, &a) == 0) == (size == 4));
	CHECK((dns_record_addr(DNS_AAAA, in, &a) == 0) == (size == 16));
	return 0;
}

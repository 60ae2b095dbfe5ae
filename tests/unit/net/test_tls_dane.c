/*
 * TLSA records of every usage, selector and matching type, right and wrong,
 * over chains that are right and wrong.
 */
#include "tls_chain.h"
#include "net/tls_dane.h"
#include "net/tls_der.h"
#include <gnutls/crypto.h>

enum { ROOT, MIDDLE, SERVER, OTHER_ROOT, OTHER, EXPIRED, OLD_MIDDLE, OF_OLD,
    DIRECT, LINKS };

static struct tls_chain_link links[LINKS];
static const char *const server_names[] = { "mx.example.net", NULL };
static const char *const demanded[] = { "mx.example.net" };
static const char *const elsewhere[] = { "mx.example.org" };

static int
make_links(void **state)
{
	static const struct tls_chain_want wants[LINKS] = {
		[ROOT] = { "CN=Root", NULL, true, -9, 9, NULL, NULL },
		[MIDDLE] = { "CN=Middle", NULL, true, -9, 9, &links[ROOT],
		    NULL },
		[SERVER] = { "CN=mx", server_names, false, -9, 9,
		    &links[MIDDLE], NULL },
		[OTHER_ROOT] = { "CN=Other root", NULL, true, -9, 9, NULL,
		    NULL },
		[OTHER] = { "CN=mx", server_names, false, -9, 9,
		    &links[OTHER_ROOT], NULL },
		[EXPIRED] = { "CN=mx", server_names, false, -9, -1,
		    &links[MIDDLE], NULL },
		[OLD_MIDDLE] = { "CN=Old", NULL, true, -9, -1, &links[ROOT],
		    NULL },
		[OF_OLD] = { "CN=mx", server_names, false, -9, 9,
		    &links[OLD_MIDDLE], NULL },
		[DIRECT] = { "CN=mx", server_names, false, -9, 9,
		    &links[ROOT], NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < LINKS; i++)
		links[i] = tls_chain_make(&wants[i]);
	return 0;
}

static int
free_links(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < LINKS; i++)
		tls_chain_free(&links[i]);
	return 0;
}

/* A record about one link, and where its digest goes. */
struct made {
	struct tls_tlsa record;
	uint8_t digest[64];
};

static void
make_record(struct made *m, uint8_t usage, uint8_t selector, uint8_t matching,
    int link)
{
	const struct tls_chain_link *l = &links[link];
	struct span data = selector == 1 ? span_of(l->spki, l->spki_len) :
	    span_of(l->der.data, l->der.size);

	m->record = (struct tls_tlsa){ usage, selector, matching, data };
	if (matching == 0)
		return;
	assert_int_equal(gnutls_hash_fast(matching == 2 ? GNUTLS_DIG_SHA512 :
	    GNUTLS_DIG_SHA256, data.data, data.len, m->digest), 0);
	m->record.data = span_of(m->digest, matching == 2 ? 64 : 32);
}

static struct tls_verdict
verify(const int *chain, size_t n, const struct tls_tlsa *records,
    size_t n_records, const char *const *names)
{
	gnutls_datum_t der[8];
	struct tls_demand demand = { .dane = true, .names = names,
	    .n_names = names == NULL ? 0 : 1, .tlsa = records,
	    .n_tlsa = n_records };
	struct tls_verdict v;
	size_t i;

	for (i = 0; i < n; i++)
		der[i] = links[chain[i]].der;
	tls_dane_verify(der, n, &demand, &v);
	assert_int_equal(v.why[0] == '\0', v.result == TLS_RESULT_SUCCESS);
	return v;
}

static void
usage_3_is_the_server_and_nothing_else(void **state)
{
	static const int chains[][2] = {
		{ SERVER, MIDDLE }, { EXPIRED, MIDDLE }, { OTHER, ROOT },
	};
	struct made m;
	struct tls_verdict v;
	uint8_t selector, matching;
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_LEN(chains); i++)
		for (selector = 0; selector < 2; selector++)
			for (matching = 0; matching < 3; matching++) {
				make_record(&m, 3, selector, matching,
				    chains[i][0]);
				v = verify(chains[i], 2, &m.record, 1,
				    elsewhere);	/* names do not matter */
				assert_true(v.ok);
				assert_int_equal(v.result, 0);
				for (j = 0; j < ARRAY_LEN(chains); j++) {
					if (j == i)
						continue;
					v = verify(chains[j], 2, &m.record, 1,
					    demanded);
					assert_false(v.ok);
					assert_int_equal(v.result,
					    TLS_RESULT_TLSA_INVALID);
				}
			}
	/* The authority is not the server. */
	make_record(&m, 3, 0, 1, MIDDLE);
	assert_false(verify(chains[0], 2, &m.record, 1, demanded).ok);
}

static void
usage_2_is_an_authority_that_was_sent(void **state)
{
	static const struct {
		int chain[3];
		size_t n;
		int authority;
		const char *const *names;
		enum tls_result result;
	} rows[] = {
		{ { SERVER, MIDDLE, ROOT }, 3, MIDDLE, demanded, 0 },
		{ { SERVER, MIDDLE, ROOT }, 3, ROOT, demanded, 0 },
		{ { SERVER, MIDDLE }, 2, MIDDLE, demanded, 0 },
		{ { SERVER, MIDDLE }, 2, MIDDLE, elsewhere,
		    TLS_RESULT_CERTIFICATE_HOST_MISMATCH },
		{ { SERVER, MIDDLE }, 2, MIDDLE, NULL,
		    TLS_RESULT_CERTIFICATE_HOST_MISMATCH },
		{ { EXPIRED, MIDDLE }, 2, MIDDLE, demanded,
		    TLS_RESULT_CERTIFICATE_EXPIRED },
		{ { OF_OLD, OLD_MIDDLE, ROOT }, 3, ROOT, demanded,
		    TLS_RESULT_CERTIFICATE_EXPIRED },
		/* It has nothing to do with the server's certificate. */
		{ { OTHER, MIDDLE, ROOT }, 3, MIDDLE, demanded,
		    TLS_RESULT_CERTIFICATE_NOT_TRUSTED },
		/* The server is no authority, not even over itself. */
		{ { SERVER, MIDDLE }, 2, SERVER, demanded,
		    TLS_RESULT_TLSA_INVALID },
		{ { ROOT }, 1, ROOT, demanded, TLS_RESULT_TLSA_INVALID },
	};
	struct made m;
	struct tls_verdict v;
	uint8_t selector, matching;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++)
		for (selector = 0; selector < 2; selector++)
			for (matching = 0; matching < 3; matching++) {
				if (rows[i].n == 1 && selector == 1 &&
				    matching == 0)
					continue;	/* see below */
				make_record(&m, 2, selector, matching,
				    rows[i].authority);
				v = verify(rows[i].chain, rows[i].n,
				    &m.record, 1, rows[i].names);
				if (v.result != rows[i].result)
					fail_msg("row %zu 2 %u %u: %s", i,
					    selector, matching, v.why);
				assert_int_equal(v.ok, v.result == 0);
			}
}

static void
usage_2_in_full_needs_no_authority_in_the_chain(void **state)
{
	static const struct {
		int chain[2];
		size_t n;
		uint8_t selector, matching;
		int authority;
		enum tls_result result;
	} rows[] = {
		{ { DIRECT }, 1, 0, 0, ROOT, 0 },
		{ { DIRECT }, 1, 1, 0, ROOT, 0 },
		{ { SERVER, MIDDLE }, 2, 0, 0, ROOT, 0 },
		{ { SERVER, MIDDLE }, 2, 1, 0, ROOT, 0 },
		{ { SERVER }, 1, 0, 0, MIDDLE, 0 },
		{ { SERVER }, 1, 1, 0, MIDDLE, 0 },
		{ { EXPIRED }, 1, 0, 0, MIDDLE,
		    TLS_RESULT_CERTIFICATE_EXPIRED },
		{ { EXPIRED }, 1, 1, 0, MIDDLE,
		    TLS_RESULT_CERTIFICATE_EXPIRED },
		{ { OF_OLD, OLD_MIDDLE }, 2, 1, 0, ROOT,
		    TLS_RESULT_CERTIFICATE_EXPIRED },
		/* A digest alone cannot vouch for what is not there. */
		{ { DIRECT }, 1, 0, 1, ROOT, TLS_RESULT_TLSA_INVALID },
		{ { DIRECT }, 1, 1, 2, ROOT, TLS_RESULT_TLSA_INVALID },
		{ { OTHER, OTHER_ROOT }, 2, 0, 2, ROOT,
		    TLS_RESULT_TLSA_INVALID },
		/* A gap between the server and the authority. */
		{ { SERVER }, 1, 0, 0, ROOT,
		    TLS_RESULT_CERTIFICATE_NOT_TRUSTED },
		{ { SERVER }, 1, 1, 0, ROOT, TLS_RESULT_TLSA_INVALID },
		{ { DIRECT }, 1, 0, 0, OTHER_ROOT,
		    TLS_RESULT_CERTIFICATE_NOT_TRUSTED },
		{ { DIRECT }, 1, 1, 0, OTHER_ROOT, TLS_RESULT_TLSA_INVALID },
	};
	struct made m;
	struct tls_verdict v;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		make_record(&m, 2, rows[i].selector, rows[i].matching,
		    rows[i].authority);
		v = verify(rows[i].chain, rows[i].n, &m.record, 1, demanded);
		if (v.result != rows[i].result)
			fail_msg("row %zu: %s", i, v.why);
		assert_int_equal(v.ok, v.result == 0);
		v = verify(rows[i].chain, rows[i].n, &m.record, 1, elsewhere);
		assert_false(v.ok);
	}
}

static void
without_a_usable_record_encryption_is_enough(void **state)
{
	static const int chain[] = { SERVER, MIDDLE };
	static const uint8_t zeros[64];
	static const struct tls_tlsa records[] = {
		{ 0, 0, 1, { zeros, 32 } }, { 1, 1, 1, { zeros, 32 } },
		{ 4, 0, 1, { zeros, 32 } }, { 3, 2, 1, { zeros, 32 } },
		{ 3, 1, 3, { zeros, 32 } }, { 3, 1, 1, { zeros, 31 } },
		{ 3, 1, 2, { zeros, 32 } }, { 2, 0, 0, { zeros, 64 } },
		{ 3, 1, 0, { zeros, 64 } }, { 3, 0, 0, { NULL, 0 } },
	};
	struct tls_verdict v;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(records); i++) {
		assert_false(tls_dane_is_usable(&records[i]));
		v = verify(chain, 2, &records[i], 1, demanded);
		assert_true(v.ok);
		assert_int_equal(v.result, TLS_RESULT_TLSA_INVALID);
	}
	assert_true(verify(chain, 2, records, ARRAY_LEN(records),
	    demanded).ok);
	assert_true(verify(chain, 2, NULL, 0, demanded).ok);
	/* A server without a certificate is none that a record speaks of. */
	assert_true(verify(chain, 0, NULL, 0, demanded).ok);
}

/* DER from its end: what stands before at, n bytes, becomes one element. */
static uint8_t *
enclose(uint8_t *at, uint8_t tag, size_t n)
{
	*--at = (uint8_t)n;
	*--at = (uint8_t)(n >> 8);
	*--at = 0x82;
	*--at = tag;
	return at;
}

static void
a_key_of_a_record_that_takes_hours_was_calculated_with(void **state)
{
	static const uint8_t rsa[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
	    0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
	static const int chain[] = { SERVER, MIDDLE };
	static const size_t number = 2501;	/* bytes, the first one 0 */
	static uint8_t der[8192];
	uint8_t *end = der + sizeof(der), *at = end;
	struct tls_tlsa record = { 2, 1, 0, { NULL, 0 } };
	struct tls_verdict v;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {		/* exponent, modulus */
		memset(at - number, 0xff, number);
		at -= number;
		at[0] = 0;
		at = enclose(at, 0x02, number);
	}
	at = enclose(at, 0x30, (size_t)(end - at));
	*--at = 0;
	at = enclose(at, 0x03, (size_t)(end - at));
	at -= sizeof(rsa);
	memcpy(at, rsa, sizeof(rsa));
	at = enclose(at, 0x30, (size_t)(end - at));
	record.data = span_of(at, (size_t)(end - at));
	assert_false(tls_dane_is_usable(&record));
	v = verify(chain, 2, &record, 1, demanded);
	assert_int_equal(v.result, TLS_RESULT_TLSA_INVALID);
	assert_true(v.ok);
}

static void
an_unusable_record_does_not_excuse_a_wrong_one(void **state)
{
	static const int chain[] = { SERVER, MIDDLE };
	struct made m[3];
	struct tls_tlsa records[3];

	(void)state;
	make_record(&m[0], 3, 1, 1, OTHER);
	records[0] = m[0].record;
	records[1] = (struct tls_tlsa){ 1, 1, 1, m[0].record.data };
	assert_false(verify(chain, 2, records, 2, demanded).ok);
	/* One right record among wrong ones is enough. */
	make_record(&m[2], 2, 1, 1, MIDDLE);
	records[2] = m[2].record;
	assert_true(verify(chain, 2, records, 3, demanded).ok);
	assert_false(verify(chain, 0, records, 3, demanded).ok);
}

/* RFC 7671 9: a weaker digest beside a stronger one is no way in. */
static void
only_the_strongest_digest_counts(void **state)
{
	static const int chain[] = { SERVER, MIDDLE };
	struct made weak, strong, full;
	struct tls_tlsa records[3];

	(void)state;
	make_record(&weak, 3, 1, 1, SERVER);
	make_record(&strong, 3, 1, 2, OTHER);
	records[0] = weak.record;
	records[1] = strong.record;
	assert_false(verify(chain, 2, records, 2, demanded).ok);
	/* Of another selector or usage it is no competition. */
	make_record(&strong, 3, 0, 2, OTHER);
	records[1] = strong.record;
	assert_true(verify(chain, 2, records, 2, demanded).ok);
	make_record(&strong, 2, 1, 2, OTHER_ROOT);
	records[1] = strong.record;
	assert_true(verify(chain, 2, records, 2, demanded).ok);
	/* In full it counts always. */
	make_record(&strong, 3, 1, 2, OTHER);
	make_record(&full, 3, 1, 0, SERVER);
	records[1] = strong.record;
	records[2] = full.record;
	assert_true(verify(chain, 2, records, 3, demanded).ok);
	/* A stronger one that is unusable does not silence it. */
	records[1].data.len = 63;
	assert_true(verify(chain, 2, records, 2, demanded).ok);
}

static void
der_is_read_within_its_bounds(void **state)
{
	struct span der = span_of(links[SERVER].der.data,
	    links[SERVER].der.size), cut;
	struct tls_der parts;
	uint8_t *copy;
	size_t n;

	(void)state;
	assert_true(tls_der_read(der, &parts));
	assert_true(span_eq(parts.spki, span_of(links[SERVER].spki,
	    links[SERVER].spki_len)));
	for (n = 0; n < der.len; n++) {	/* malloc: the sanitizer watches */
		copy = malloc(n + 1);
		assert_non_null(copy);
		memcpy(copy, der.data, n);
		cut = span_of(copy, n);
		assert_false(tls_der_read(cut, &parts));
		free(copy);
	}
	assert_false(tls_der_read(SPAN("\x30\x80\x30\x80\0\0\0\0"), &parts));
	assert_false(tls_der_read(SPAN("\x30\x85\1\1\1\1\1\1\1\1"), &parts));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_3_is_the_server_and_nothing_else),
		cmocka_unit_test(usage_2_is_an_authority_that_was_sent),
		cmocka_unit_test(
		    usage_2_in_full_needs_no_authority_in_the_chain),
		cmocka_unit_test(without_a_usable_record_encryption_is_enough),
		cmocka_unit_test(
		    a_key_of_a_record_that_takes_hours_was_calculated_with),
		cmocka_unit_test(
		    an_unusable_record_does_not_excuse_a_wrong_one),
		cmocka_unit_test(only_the_strongest_digest_counts),
		cmocka_unit_test(der_is_read_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, make_links, free_links);
}

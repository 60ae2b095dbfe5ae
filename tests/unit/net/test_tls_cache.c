/*
 * What the memory of TLS sessions gives back, to whom, and for how long.
 */
#include "fixture.h"
#include "net/tls_cache.h"
#include <pthread.h>

#define LIFE TLS_CACHE_LIFETIME_US

static struct tls_peer
peer(unsigned char last, unsigned short port, const char *name)
{
	return (struct tls_peer){ .name = name, .address = {
	    .family = ADDR_IPV4, .ip = { 192, 0, 2, last }, .port = port } };
}

static gnutls_datum_t
data(const char *text)
{
	gnutls_datum_t d = { (unsigned char *)gnutls_strdup(text),
	    (unsigned)strlen(text) + 1 };

	assert_non_null(d.data);
	return d;
}

/* What is taken, "" for nothing. Static: one at a time. */
static const char *
take(struct tls_cache *c, struct tls_peer p, uint64_t now_us)
{
	static char text[32];
	gnutls_datum_t d = tls_cache_take(c, &p, now_us);

	snprintf(text, sizeof(text), "%s", d.data == NULL ? "" :
	    (const char *)d.data);
	gnutls_free(d.data);
	return text;
}

static void
put(struct tls_cache *c, struct tls_peer p, const char *text, uint64_t now_us)
{
	tls_cache_put(c, &p, data(text), now_us);
}

static void
a_session_is_given_once(void **state UNUSED)
{
	struct tls_cache *c = tls_cache_new(64);

	put(c, peer(1, 25, "mx.example"), "old", 1);
	put(c, peer(1, 25, "mx.example"), "young", 2);
	assert_string_equal(take(c, peer(1, 25, "mx.example"), 3), "young");
	assert_string_equal(take(c, peer(1, 25, "MX.example"), 3), "old");
	assert_string_equal(take(c, peer(1, 25, "mx.example"), 3), "");
	tls_cache_free(c);
}

static void
only_to_whom_it_came_from(void **state UNUSED)
{
	struct tls_cache *c = tls_cache_new(64);

	put(c, peer(1, 25, "mx.example"), "it", 1);
	assert_string_equal(take(c, peer(2, 25, "mx.example"), 1), "");
	assert_string_equal(take(c, peer(1, 26, "mx.example"), 1), "");
	assert_string_equal(take(c, peer(1, 25, "mx2.example"), 1), "");
	assert_string_equal(take(c, peer(1, 25, ""), 1), "");
	assert_string_equal(take(c, peer(1, 25, "mx.example"), 1), "it");
	tls_cache_free(c);
}

static void
not_for_ever(void **state UNUSED)
{
	struct tls_cache *c = tls_cache_new(64);

	put(c, peer(1, 25, ""), "it", 5);
	assert_string_equal(take(c, peer(1, 25, ""), 5 + LIFE), "");
	assert_string_equal(take(c, peer(1, 25, ""), 6), "");	/* gone */
	put(c, peer(1, 25, ""), "it", 5);
	assert_string_equal(take(c, peer(1, 25, ""), 4 + LIFE), "it");
	tls_cache_free(c);
}

static void
never_more_than_there_is_room_for(void **state UNUSED)
{
	struct tls_cache *c = tls_cache_new(8), *none = tls_cache_new(0);
	struct tls_peer nowhere = { .name = "mx.example" };
	gnutls_datum_t large = { gnutls_malloc(TLS_CACHE_DATA_MAX + 1),
	    TLS_CACHE_DATA_MAX + 1 };
	struct tls_peer p = peer(3, 25, "");
	unsigned char i;

	for (i = 0; i < 9; i++)
		put(c, peer(i, 25, ""), "it", 100u - i);
	/* The ninth put out the oldest, which was the eighth. */
	assert_string_equal(take(c, peer(7, 25, ""), 100), "");
	assert_string_equal(take(c, peer(8, 25, ""), 100), "it");
	assert_string_equal(take(c, peer(0, 25, ""), 100), "it");
	memset(large.data, 'x', large.size);
	tls_cache_put(c, &p, large, 200);
	assert_string_equal(take(c, p, 200), "it");	/* the small one */
	assert_string_equal(take(c, p, 200), "");
	put(none, peer(1, 25, ""), "it", 1);
	assert_string_equal(take(none, peer(1, 25, ""), 1), "");
	put(c, nowhere, "it", 1);
	assert_string_equal(take(c, nowhere, 1), "");
	tls_cache_free(c);
	tls_cache_free(none);
	tls_cache_free(NULL);
}

static void *
put_and_take(void *ctx)
{
	struct tls_cache *c = ctx;
	uint64_t i, got = 0;

	for (i = 0; i < 4000; i++) {
		put(c, peer((unsigned char)(i % 20), 25, ""), "it", i);
		struct tls_peer p = peer((unsigned char)(i % 7), 25, "");
		gnutls_datum_t d = tls_cache_take(c, &p, i);

		got += d.data != NULL;
		gnutls_free(d.data);
	}
	return (void *)(uintptr_t)got;
}

/* Each is taken by one of them only: the sanitizers would see more. */
static void
threads_share_it(void **state UNUSED)
{
	struct tls_cache *c = tls_cache_new(32);
	pthread_t threads[3];
	void *got;
	size_t i;

	for (i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		    put_and_take, c), 0);
	for (i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &got);
		assert_true((uintptr_t)got > 0);
	}
	tls_cache_free(c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_given_once),
		cmocka_unit_test(only_to_whom_it_came_from),
		cmocka_unit_test(not_for_ever),
		cmocka_unit_test(never_more_than_there_is_room_for),
		cmocka_unit_test(threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

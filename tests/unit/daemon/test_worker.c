/*
 * A worker's listeners over reloads, in its own thread, on loopback. The
 * linker puts policy_pool_reload() in our hands (--wrap), so that it can fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "daemon/sockets.h"
#include "daemon/worker.h"
#include "net/tls_names.h"

static atomic_bool reload_fails;
static atomic_uint reloads_failed;

int __real_policy_pool_reload(struct policy_pool *p, struct config *config);
int __wrap_policy_pool_reload(struct policy_pool *p, struct config *config);

int
__wrap_policy_pool_reload(struct policy_pool *p, struct config *config)
{
	if (atomic_load(&reload_fails)) {
		atomic_fetch_add(&reloads_failed, 1);
		return -1;
	}
	return __real_policy_pool_reload(p, config);
}

static struct config *
must_load(const char *listeners)
{
	struct buf errors, text;
	struct config *c;

	buf_init(&errors, 0);
	buf_init(&text, 0);
	buf_printf(&text, "record { sqlite = \"\" }\n%s", listeners);
	c = config_load_text("test.conf", buf_span(&text), &errors);
	if (c == NULL)
		fail_msg("%.*s", (int)buf_len(&errors),
		    (const char *)buf_span(&errors).data);
	buf_release(&errors);
	buf_release(&text);
	return c;
}

/* Is a client answered there? Nobody listens at the destination: 421. */
static bool
is_served(const struct addr *at)
{
	struct timeval patience = { .tv_sec = 10 };
	struct sockaddr_storage ss;
	socklen_t len = (socklen_t)addr_to_sockaddr(at, &ss);
	char said[4] = "";
	int fd = socket(at->family == ADDR_IPV4 ? AF_INET : AF_INET6,
	    SOCK_STREAM, 0);
	bool served;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	served = connect(fd, (struct sockaddr *)&ss, len) == 0 &&
	    recv(fd, said, 3, MSG_WAITALL) == 3 && strcmp(said, "421") == 0;
	close(fd);
	return served;
}

struct bench {
	struct worker_shared shared;
	struct worker *worker;
	struct config *config;
	struct sockets sockets;
};

static void
bench_reload(struct bench *b, const char *listeners)
{
	struct config *config = must_load(listeners), *old = b->config;
	struct sockets sockets, before = b->sockets;
	const struct credentials_seal seal = { { 0 } };
	struct credentials *credentials;
	struct buf error;

	buf_init(&error, 0);
	credentials = credentials_load(config, &seal, &error);
	assert_non_null(credentials);
	assert_int_equal(sockets_open(config, 1, old == NULL ? NULL : &before,
	    old, &sockets, &error), 0);
	buf_release(&error);
	worker_serve(b->worker, config, credentials, sockets.workers[0]);
	credentials_unref(credentials);
	sockets.workers[0] = (struct worker_sockets){ 0 };
	b->sockets = sockets;
	b->config = config;
	sockets_release(&before, false);
	config_unref(old);
}

static void
bench_start(struct bench *b, const char *listeners)
{
	struct config *first = must_load(listeners);
	struct buf error;

	*b = (struct bench){ .shared.instance = "test" };
	buf_init(&error, 0);
	pthread_rwlock_init(&b->shared.own_lock, NULL);
	b->shared.record = record_start(first);
	assert_non_null(b->shared.record);
	b->shared.tls_memory = tls_memory_new(0);
	assert_non_null(b->shared.tls_memory);
	b->shared.tls_names = tls_names_new();
	assert_non_null(b->shared.tls_names);
	b->worker = worker_new(&b->shared, 0, first, &error);
	assert_non_null(b->worker);
	assert_int_equal(worker_start(b->worker), 0);
	config_unref(first);
	buf_release(&error);
	bench_reload(b, listeners);
}

static void
bench_stop(struct bench *b)
{
	worker_stop(b->worker);
	worker_join(b->worker);
	worker_free(b->worker);
	tls_memory_free(b->shared.tls_memory);
	tls_names_free(b->shared.tls_names);
	record_stop(b->shared.record);
	pthread_rwlock_destroy(&b->shared.own_lock);
	sockets_release(&b->sockets, false);
	config_unref(b->config);
}

#define LISTENER(name) "listener \"" name "\" { address = \"127.0.0.1:0\" " \
	"mode = \"fixed\" destination = \"127.0.0.1:1\" }\n"

static void
test_reload(void **state)
{
	struct bench b;
	struct addr a;

	(void)state;
	bench_start(&b, LISTENER("a"));
	a = b.sockets.bound[0];
	assert_true(is_served(&a));
	bench_reload(&b, LISTENER("b") LISTENER("a"));
	assert_true(addr_eq(&b.sockets.bound[1], &a));
	assert_true(is_served(&a));
	assert_true(is_served(&b.sockets.bound[0]));
	bench_reload(&b, LISTENER("b"));
	assert_true(is_served(&b.sockets.bound[0]));
	assert_false(is_served(&a));
	bench_stop(&b);
}

/* A worker that cannot have the new policies goes on with what it has; the
 * next reload finds it as it is. */
static void
test_reload_without_memory(void **state)
{
	struct bench b;
	struct addr a, extra;

	(void)state;
	bench_start(&b, LISTENER("a"));
	a = b.sockets.bound[0];
	assert_true(is_served(&a));	/* so the worker has come to it */
	atomic_store(&reload_fails, true);
	bench_reload(&b, LISTENER("a") LISTENER("extra"));
	extra = b.sockets.bound[1];
	assert_true(is_served(&a));
	assert_int_equal(atomic_load(&reloads_failed), 1);
	assert_false(is_served(&extra));
	atomic_store(&reload_fails, false);
	bench_reload(&b, LISTENER("a") LISTENER("extra") LISTENER("b"));
	assert_true(is_served(&b.sockets.bound[2]));
	assert_true(is_served(&a));
	assert_false(is_served(&extra));
	bench_reload(&b, LISTENER("a"));
	bench_reload(&b, LISTENER("a") LISTENER("extra"));
	assert_true(is_served(&b.sockets.bound[1]));
	bench_stop(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_without_memory),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}

/*
 * Ten thousand sessions on one policy connection: what one of them does costs
 * nothing for the others, and when the connection dies, all come back without
 * keeping the loop busy for long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "policy/breaker.h"
#include "policy_world.h"

#define CROWD 10000

static struct guest *
crowd_join(struct world *w)
{
	struct guest *crowd = calloc(CROWD, sizeof(*crowd));

	assert_non_null(crowd);
	for (size_t i = 0; i < CROWD; i++)
		join(w, &crowd[i]);
	return crowd;
}

static void
crowd_leave(struct guest *crowd)
{
	for (size_t i = 0; i < CROWD; i++)
		policy_pool_leave(crowd[i].member);
	free(crowd);
}

static double
cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* n questions of the first session, each answered. */
static double
busy(struct world *w, struct guest *g, unsigned n)
{
	double before = cpu_s();

	for (uint32_t seq = 1; seq <= n; seq++) {
		uint64_t session;

		g->answers = 0;
		assert_int_equal(ask(g, seq), POLICY_OK);
		session = peer_expect(&w->peer, 0, TO(MAIL), seq);
		answer(w, 0, session, seq);
		assert_true(peer_run(&w->peer, has_answer, g));
	}
	return cpu_s() - before;
}

static void
idle_sessions_cost_nothing(void **state)
{
	struct guest alone, *crowd;
	struct world w;
	double few, many;

	(void)state;
	start(&w, "", " breaker_failures = 1000000\n");
	shake_hands(&w, 0, is_connected);
	join(&w, &alone);
	few = busy(&w, &alone, 300);
	policy_pool_leave(alone.member);
	crowd = crowd_join(&w);
	many = busy(&w, &crowd[CROWD / 2], 300);
	/* a walk over all would cost a thousand times as much */
	if (many > 10 * few + 0.2)
		fail_msg("%.3f s alone, %.3f s in a crowd", few, many);
	crowd_leave(crowd);
	end(&w);
}

static bool
all_lost(void *ctx)
{
	struct guest *crowd = ctx;

	return crowd[0].losses > 0 && crowd[CROWD - 1].losses > 0;
}

struct fair { struct loop_timer *turn; struct guest *crowd; size_t most, back; };

/* In every turn of the loop: how many came back since the last? */
static void
on_turn(void *ctx)
{
	struct fair *f = ctx;
	size_t back = 0;

	for (size_t i = 0; i < CROWD; i++)
		back += f->crowd[i].returns > 0;
	if (back - f->back > f->most)
		f->most = back - f->back;
	f->back = back;
	if (back < CROWD)
		loop_timer_start(f->turn, 0);
}

static bool
all_back(void *ctx)
{
	return ((struct fair *)ctx)->back == CROWD;
}

static void
all_come_back_some_at_a_time(void **state)
{
	struct guest *crowd;
	struct world w;
	struct fair fair;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	crowd = crowd_join(&w);
	/* one asked, and one leaves while they are away, another when told */
	assert_int_equal(ask(&crowd[7], 1), POLICY_OK);
	peer_expect(&w.peer, 0, TO(MAIL), 1);
	peer_close(&w.peer, 0);
	assert_true(peer_run(&w.peer, all_lost, crowd));
	assert_int_equal(ask(&crowd[7], 2), POLICY_ERROR_CONNECT);
	policy_pool_leave(crowd[8].member);
	join(&w, &crowd[8]);		/* begins meanwhile */
	crowd[9].leave = true;
	fair = (struct fair){ .crowd = crowd };
	fair.turn = loop_timer_new(w.peer.loop, on_turn, &fair);
	loop_timer_start(fair.turn, 0);
	shake_hands(&w, 0, is_connected_twice);
	assert_true(peer_run(&w.peer, all_back, &fair));
	if (fair.most > 64)
		fail_msg("%zu came back in one turn", fair.most);
	loop_timer_free(fair.turn);
	crowd[9].member = NULL;
	assert_int_equal(crowd[7].returns, 1);
	assert_true(crowd[7].policies[0].ready);
	assert_string_equal(crowd[7].policies[0].version, "rules-1");
	/* a number may be used again in the session that is new there */
	assert_int_equal(ask(&crowd[7], 1), POLICY_OK);
	answer(&w, 0, peer_expect(&w.peer, 0, TO(MAIL), 1), 1);
	assert_true(peer_run(&w.peer, has_answer, &crowd[7]));
	assert_int_equal(crowd[8].returns, 1);
	crowd_leave(crowd);
	end(&w);
}

static bool
is_unlost(void *ctx)
{
	return ((struct guest *)ctx)->losses == 2;
}

static bool
is_back(void *ctx)
{
	return ((struct guest *)ctx)->returns == 2;
}

static void
a_session_comes_back_twice(void **state)
{
	struct guest g;
	struct world w;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	join(&w, &g);
	for (unsigned i = 1; i <= 2; i++) {
		struct figure f = { &w.metrics.policies[0].connects, i + 1 };

		peer_close(&w.peer, 0);
		peer_expect(&w.peer, 0, TO(HELLO), 0);
		peer_welcome(&w.peer, 0, 1, 0);
		assert_true(peer_run(&w.peer, is_figure, &f));
		peer_expect(&w.peer, 0, TO(READY), 0);
	}
	assert_true(peer_run(&w.peer, is_unlost, &g));
	assert_true(peer_run(&w.peer, is_back, &g));
	policy_pool_leave(g.member);
	end(&w);
}

/* Others ran out of time, and the circuit opened; these still have some. */
static void
an_open_circuit_keeps_nobody_from_asking_again(void **state)
{
	struct guest late, g[2];
	struct world w;

	(void)state;
	start(&w, "", " breaker_failures = 1\n");
	shake_hands(&w, 0, is_connected);
	join(&w, &late);
	join(&w, &g[0]);
	join(&w, &g[1]);
	peer_close(&w.peer, 0);
	policy_pool_report(late.member, 0, POLICY_ERROR_PROTOCOL);
	assert_int_equal(atomic_load(&w.metrics.policies[0].breaker),
	    POLICY_BREAKER_OPEN);
	shake_hands(&w, 0, is_connected_twice);
	for (size_t i = 0; i < 2; i++) {
		assert_true(peer_run(&w.peer, is_once_back, &g[i]));
		g[i].report = true;
		assert_int_equal(ask(&g[i], 1), POLICY_OK);
		answer(&w, 0, peer_expect(&w.peer, 0, TO(MAIL), 1), 1);
		assert_true(peer_run(&w.peer, has_answer, &g[i]));
		policy_pool_leave(g[i].member);
	}
	assert_int_equal(atomic_load(&w.metrics.policies[0].breaker),
	    POLICY_BREAKER_CLOSED);
	policy_pool_leave(late.member);
	end(&w);
}

static bool
is_lost_twice(void *ctx)
{
	return ((struct guest *)ctx)->losses == 2;
}

/* Some had asked what cannot be asked again: that was told when the server was
 * back, and closed it out for long although it was fine. */
static void
a_loss_is_one_failure(void **state)
{
	struct guest g[3];
	struct world w;
	size_t i;

	(void)state;
	start(&w, "", " breaker_failures = 2\n");
	shake_hands(&w, 0, is_connected);
	for (i = 0; i < ARRAY_LEN(g); i++)
		join(&w, &g[i]);
	peer_close(&w.peer, 0);
	shake_hands(&w, 0, is_connected_twice);
	for (i = 0; i < ARRAY_LEN(g); i++) {
		assert_true(peer_run(&w.peer, is_once_back, &g[i]));
		policy_pool_report(g[i].member, 0, POLICY_ERROR_PROTOCOL);
	}
	assert_int_equal(atomic_load(&w.metrics.policies[0].breaker),
	    POLICY_BREAKER_CLOSED);
	/* the next loss is another one */
	peer_close(&w.peer, 0);
	assert_true(peer_run(&w.peer, is_lost_twice, &g[0]));
	policy_pool_report(g[0].member, 0, POLICY_ERROR_PROTOCOL);
	assert_int_equal(atomic_load(&w.metrics.policies[0].breaker),
	    POLICY_BREAKER_OPEN);
	for (i = 0; i < ARRAY_LEN(g); i++)
		policy_pool_leave(g[i].member);
	end(&w);
}

static bool
is_late(void *ctx)
{
	struct world *w = ctx;

	return atomic_load(&w->metrics.policies[0].late_us.count) == 1;
}

/* An answer behind its deadline is measured; one to a question that was only
 * cancelled is not. */
static void
late_answers_are_measured(void **state)
{
	struct policy_event mail = { .type = POLICY_PHASE_MAIL, .seq = 1,
	    .deadline_ms = 20, .u.mail = { .transaction_id = "01T" } };
	struct policy_event cancel = { .type = POLICY_EVENT_CANCEL };
	struct guest g;
	struct world w;
	struct figure dropped = { &w.metrics.policies[0].dropped[
	    METRICS_DROPPED_LATE], 1 };
	uint64_t session;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	join(&w, &g);
	for (mail.seq = 1; mail.seq <= 2; mail.seq++) {
		mail.deadline_ms = mail.seq == 1 ? 60000 : 20;
		assert_int_equal(policy_pool_send(g.member, 0, &mail),
		    POLICY_OK);
		session = peer_expect(&w.peer, 0, TO(MAIL), mail.seq);
		cancel.u.cancel.seq = mail.seq;
		assert_int_equal(policy_pool_send(g.member, 0, &cancel),
		    POLICY_OK);
		peer_expect(&w.peer, 0, TO(CANCEL), 0);
	}
	answer(&w, 0, session, 1);
	assert_true(peer_run(&w.peer, is_figure, &dropped));
	assert_false(is_late(&w));
	usleep(60000);
	answer(&w, 0, session, 2);
	assert_true(peer_run(&w.peer, is_late, &w));
	assert_in_range(atomic_load(&w.metrics.policies[0].late_us.sum),
	    20000, 60000000);
	policy_pool_leave(g.member);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_sessions_cost_nothing),
		cmocka_unit_test(all_come_back_some_at_a_time),
		cmocka_unit_test(a_session_comes_back_twice),
		cmocka_unit_test(
		    an_open_circuit_keeps_nobody_from_asking_again),
		cmocka_unit_test(a_loss_is_one_failure),
		cmocka_unit_test(late_answers_are_measured),
	};

	return cmocka_run_group_tests_name("service/policy_crowd", tests, NULL,
	    NULL);
}

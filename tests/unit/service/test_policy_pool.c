/* Sessions and policy servers: who hears what, and what is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policy/breaker.h"
#include "policy_world.h"

static void
test_ask(void **state)
{
	struct guest early, g;
	struct world w;
	struct metrics_policy *figures = &w.metrics.policies[0];
	uint64_t session;

	(void)state;
	start(&w, "", " required = true\n");
	join(&w, &early);
	assert_false(policy_pool_is_ready(w.pool));
	assert_false(early.policies[0].known);
	assert_false(early.policies[0].ready);
	assert_int_equal(early.policies[0].error, POLICY_ERROR_CONNECT);
	shake_hands(&w, 0, is_connected);
	assert_true(policy_pool_is_ready(w.pool));
	assert_int_equal(atomic_load(&figures->state), METRICS_POLICY_READY);
	assert_string_equal(figures->software, "peer/1");
	/* who began without it has it when its turn comes */
	assert_true(peer_run(&w.peer, is_once_back, &early));
	assert_true(early.policies[0].known);
	assert_true(early.policies[0].ready);

	join(&w, &g);
	g.report = true;
	assert_true(g.policies[0].known);
	assert_true(g.policies[0].ready);
	assert_int_equal(g.policies[0].error, POLICY_OK);
	assert_int_equal(g.policies[0].decide,
	    POLICY_PHASE_BIT(POLICY_PHASE_MAIL) |
	    POLICY_PHASE_BIT(POLICY_PHASE_RCPT));
	assert_int_equal(g.policies[0].notify,
	    POLICY_PHASE_BIT(POLICY_PHASE_DATA) |
	    POLICY_PHASE_BIT(POLICY_PHASE_REPLY));
	assert_int_equal(g.policies[0].body_credit, 1000);
	assert_string_equal(g.policies[0].version, "rules-1");
	assert_int_equal(ask(&g, 1), POLICY_OK);
	assert_int_equal(ask(&g, 0), POLICY_OK);
	session = peer_expect(&w.peer, 0, TO(MAIL), 1);
	assert_int_equal(peer_expect(&w.peer, 0, TO(MAIL), 0), session);
	answer(&w, 0, session, 1);
	assert_true(peer_run(&w.peer, has_answer, &g));
	assert_int_equal(g.type, POLICY_ANSWER_DECISION);
	assert_int_equal(g.seq, 1);
	assert_int_equal(g.policy, 0);
	assert_int_equal(early.answers, 0);
	assert_int_equal(atomic_load(&figures->requests), 1);
	assert_int_equal(atomic_load(&figures->notifications), 1);
	assert_int_equal(atomic_load(&figures->actions[POLICY_REJECT]), 1);
	assert_int_equal(atomic_load(&figures->latency_us.count), 1);
	policy_pool_leave(g.member);
	policy_pool_leave(early.member);
	end(&w);
}

/* Answers that nobody gets, each counted by why. */
static void
test_dropped(void **state)
{
	PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
	PB(Working) working = WEIR__POLICY__V1__WORKING__INIT;
	PB(Pong) pong = WEIR__POLICY__V1__PONG__INIT;
	const struct policy_event cancel = { .type = POLICY_EVENT_CANCEL,
	    .u.cancel = { 3 } };
	struct guest g;
	struct world w;
	_Atomic uint64_t *dropped = w.metrics.policies[0].dropped;
	uint64_t session;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	join(&w, &g);
	for (uint32_t seq = 1; seq <= 3; seq++)
		assert_int_equal(ask(&g, seq), POLICY_OK);
	session = peer_expect(&w.peer, 0, TO(MAIL), 1);

	answer(&w, 0, session, 0);
	expect_figure(&w, &dropped[METRICS_DROPPED_SEQ_ZERO], 1);
	answer(&w, 0, session, 4);		/* never asked */
	expect_figure(&w, &dropped[METRICS_DROPPED_SEQ], 1);
	answer(&w, 0, session + 1, 1);
	expect_figure(&w, &dropped[METRICS_DROPPED_SESSION], 1);
	answer(&w, 0, 0, 1);
	expect_figure(&w, &dropped[METRICS_DROPPED_SESSION], 2);
	assert_int_equal(g.answers, 0);

	answer(&w, 0, session, 2);		/* out of order is fine */
	answer(&w, 0, session, 2);		/* twice is not */
	expect_figure(&w, &dropped[METRICS_DROPPED_LATE], 1);
	assert_int_equal(g.answers, 1);
	assert_int_equal(policy_pool_send(g.member, 0, &cancel), POLICY_OK);
	answer(&w, 0, session, 3);		/* cancelled */
	expect_figure(&w, &dropped[METRICS_DROPPED_LATE], 2);

	m.session = session;
	m.seq = 1;
	m.answer_case = FROM(WORKING);
	m.working = &working;
	peer_send(&w.peer, 0, &m);		/* 1 is still awaited */
	m.seq = 2;
	peer_send(&w.peer, 0, &m);
	expect_figure(&w, &dropped[METRICS_DROPPED_LATE], 3);
	assert_int_equal(g.answers, 2);
	assert_int_equal(g.type, POLICY_ANSWER_WORKING);

	m.answer_case = FROM(_NOT_SET);
	peer_send(&w.peer, 0, &m);
	m.answer_case = FROM(PONG);
	m.pong = &pong;
	peer_send(&w.peer, 0, &m);		/* of a session: nonsense */
	expect_figure(&w, &dropped[METRICS_DROPPED_KIND], 2);
	peer_write(&w.peer, 0, SPAN("\0\0\0\0"));
	expect_figure(&w, &dropped[METRICS_DROPPED_EMPTY], 1);

	policy_pool_leave(g.member);
	answer(&w, 0, session, 1);
	expect_figure(&w, &dropped[METRICS_DROPPED_LATE], 4);
	assert_int_equal(g.answers, 2);
	assert_int_equal(g.losses, 0);
	end(&w);
}

static void
test_credit_and_annotate(void **state)
{
	PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
	PB(Credit) credit = WEIR__POLICY__V1__CREDIT__INIT;
	PB(Annotate) annotate = WEIR__POLICY__V1__ANNOTATE__INIT;
	struct guest g;
	struct world w;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	join(&w, &g);
	assert_int_equal(ask(&g, 0), POLICY_OK);
	m.session = peer_expect(&w.peer, 0, TO(MAIL), 0);
	m.answer_case = FROM(CREDIT);
	m.credit = &credit;
	peer_send(&w.peer, 0, &m);
	assert_true(peer_run(&w.peer, has_answer, &g));
	assert_int_equal(g.type, POLICY_ANSWER_CREDIT);
	g.answers = 0;
	m.answer_case = FROM(ANNOTATE);
	m.annotate = &annotate;
	peer_send(&w.peer, 0, &m);
	assert_true(peer_run(&w.peer, has_answer, &g));
	assert_int_equal(g.type, POLICY_ANSWER_ANNOTATE);
	policy_pool_leave(g.member);
	end(&w);
}

static void
test_update(void **state)
{
	PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
	PB(Update) update = WEIR__POLICY__V1__UPDATE__INIT;
	struct guest old, new;
	struct world w;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	join(&w, &old);
	assert_int_equal(ask(&old, 1), POLICY_OK);
	update.version = "rules-2";
	m.answer_case = FROM(UPDATE);
	m.update = &update;
	peer_send(&w.peer, 0, &m);
	answer(&w, 0, peer_expect(&w.peer, 0, TO(MAIL), 1), 1);
	assert_true(peer_run(&w.peer, has_answer, &old));
	join(&w, &new);
	assert_int_equal(new.policies[0].decide, 0);
	assert_int_equal(new.policies[0].notify, 0);
	assert_string_equal(new.policies[0].version, "rules-2");
	assert_string_equal(old.policies[0].version, "rules-1");
	policy_pool_leave(old.member);
	policy_pool_leave(new.member);
	end(&w);
}

/* The connection dies: each session hears it once, new ones know what the
 * policy wanted, and a later connection is for later sessions. */
static void
test_lost(void **state)
{
	struct guest a, b, meanwhile, later;
	struct world w;

	(void)state;
	start(&w, "", " required = true\n");
	shake_hands(&w, 0, is_connected);
	join(&w, &a);
	join(&w, &b);
	b.leave = true;
	assert_int_equal(ask(&a, 1), POLICY_OK);
	peer_expect(&w.peer, 0, TO(MAIL), 1);
	close(w.peer.listener);
	w.peer.listener = -1;
	peer_close(&w.peer, 0);
	assert_true(peer_run(&w.peer, has_loss, &a));
	assert_int_equal(a.losses, 1);
	assert_int_equal(a.lost, POLICY_ERROR_PROTOCOL);
	assert_int_equal(b.losses, 1);
	assert_false(policy_pool_is_ready(w.pool));
	assert_int_equal(ask(&a, 2), POLICY_ERROR_CONNECT);
	assert_int_equal(ask(&a, 0), POLICY_ERROR_CONNECT);
	assert_int_equal(atomic_load(&w.metrics.policies[0].events_unsent),
	    1);
	join(&w, &meanwhile);
	assert_true(meanwhile.policies[0].known);
	assert_false(meanwhile.policies[0].ready);
	assert_int_equal(meanwhile.policies[0].error, POLICY_ERROR_CONNECT);
	assert_int_not_equal(meanwhile.policies[0].decide, 0);
	peer_listen(&w.peer);
	shake_hands(&w, 0, is_connected_twice);
	assert_true(peer_run(&w.peer, is_once_back, &meanwhile));
	assert_true(meanwhile.policies[0].ready);
	join(&w, &later);
	assert_int_equal(ask(&later, 1), POLICY_OK);
	peer_expect(&w.peer, 0, TO(MAIL), 1);
	assert_int_equal(a.losses, 1);
	policy_pool_leave(a.member);
	policy_pool_leave(meanwhile.member);
	policy_pool_leave(later.member);
	end(&w);
}

/* Two failures open the circuit, one session probes, its success closes. */
static void
test_breaker(void **state)
{
	struct guest g;
	struct world w;
	struct metrics_policy *figures = &w.metrics.policies[0];
	struct figure probe;

	(void)state;
	start(&w, "", " breaker_failures = 2\n breaker_time = 50ms\n");
	shake_hands(&w, 0, is_connected);
	join(&w, &g);
	policy_pool_report(g.member, 0, POLICY_ERROR_TIMEOUT);
	policy_pool_report(g.member, 0, POLICY_ERROR_CIRCUIT);
	assert_int_equal(ask(&g, 1), POLICY_OK);
	policy_pool_report(g.member, 0, POLICY_ERROR_INVALID);
	assert_int_equal(ask(&g, 2), POLICY_ERROR_CIRCUIT);
	assert_int_equal(ask(&g, 0), POLICY_OK);	/* awaits nothing */
	assert_int_equal(atomic_load(&figures->breaker), POLICY_BREAKER_OPEN);
	assert_int_equal(atomic_load(&figures->errors[POLICY_ERROR_TIMEOUT]),
	    1);
	assert_true(peer_logged(&w.peer, "policy.circuit"));
	/* wait for breaker_time */
	probe = (struct figure){ &figures->requests, 999 };
	w.peer.until = is_figure;
	w.peer.ctx = &probe;
	w.peer.give_up_us = loop_now_us(w.peer.loop) + 60000;
	loop_timer_start(w.peer.timer, 0);
	loop_run(w.peer.loop);
	assert_int_equal(ask(&g, 3), POLICY_OK);
	assert_int_equal(ask(&g, 4), POLICY_ERROR_CIRCUIT);
	policy_pool_report(g.member, 0, POLICY_OK);
	assert_int_equal(ask(&g, 5), POLICY_OK);
	assert_int_equal(atomic_load(&figures->breaker),
	    POLICY_BREAKER_CLOSED);
	policy_pool_leave(g.member);
	end(&w);
}

/* A policy that was restarted is probed as soon as it is back, even if the
 * circuit would stay open for long. */
static void
test_breaker_restart(void **state)
{
	struct guest g;
	struct world w;

	(void)state;
	start(&w, "", " breaker_failures = 2\n breaker_time = 600s\n");
	shake_hands(&w, 0, is_connected);
	join(&w, &g);
	for (int i = 0; i < 2; i++)
		policy_pool_report(g.member, 0, POLICY_ERROR_TIMEOUT);
	assert_int_equal(ask(&g, 1), POLICY_ERROR_CIRCUIT);
	peer_close(&w.peer, 0);
	assert_true(peer_run(&w.peer, has_loss, &g));
	policy_pool_leave(g.member);
	shake_hands(&w, 0, is_connected_twice);
	join(&w, &g);
	assert_int_equal(ask(&g, 1), POLICY_OK);
	assert_int_equal(ask(&g, 2), POLICY_ERROR_CIRCUIT);
	policy_pool_leave(g.member);
	end(&w);
}

/* Sessions are spread over the connections, and leave from a handler. */
static void
test_round_robin(void **state)
{
	struct guest g[2];
	struct world w;
	uint64_t session[2];

	(void)state;
	start(&w, "", " connections = 2\n");
	shake_hands(&w, 0, is_connected);
	shake_hands(&w, 1, is_connected_twice);
	for (size_t i = 0; i < 2; i++) {
		join(&w, &g[i]);
		g[i].leave = true;
		assert_int_equal(ask(&g[i], 1), POLICY_OK);
	}
	for (size_t i = 0; i < 2; i++) {
		session[i] = peer_expect(&w.peer, i, TO(MAIL), 1);
		assert_int_equal(session[i], 1);
	}
	for (size_t i = 0; i < 2; i++) {
		answer(&w, i, session[i], 1);
		assert_true(peer_run(&w.peer, has_answer, &g[i]));
		assert_int_equal(g[i].losses, 0);
	}
	end(&w);
}

static void
test_drain(void **state)
{
	struct guest g;
	struct world w;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	join(&w, &g);
	policy_pool_drain(w.pool);
	peer_expect(&w.peer, 0, TO(DRAIN), 0);
	assert_int_equal(ask(&g, 1), POLICY_OK);	/* goes on */
	peer_expect(&w.peer, 0, TO(MAIL), 1);
	policy_pool_leave(g.member);
	end(&w);
}

/* Many questions without an answer: the oldest are forgotten. */
static void
test_many_asked(void **state)
{
	struct guest g;
	struct world w;
	uint64_t session = 0;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	join(&w, &g);
	for (uint32_t seq = 1; seq <= 1025; seq++)
		assert_int_equal(ask(&g, seq), POLICY_OK);
	for (uint32_t seq = 1; seq <= 1025; seq++)
		session = peer_expect(&w.peer, 0, TO(MAIL), seq);
	answer(&w, 0, session, 1);
	expect_figure(&w,
	    &w.metrics.policies[0].dropped[METRICS_DROPPED_LATE], 1);
	answer(&w, 0, session, 1025);
	assert_true(peer_run(&w.peer, has_answer, &g));
	assert_int_equal(g.seq, 1025);
	policy_pool_leave(g.member);
	end(&w);
}

static void
reload(struct world *w, const char *before, const char *more)
{
	struct config *config = make_config(w, before, more);

	assert_int_equal(policy_pool_reload(w->pool, config), 0);
	config_unref(w->config);
	w->config = config;
}

static bool
is_connected_second(void *ctx)
{
	return connects(ctx, 1) > 1;
}

/* An unchanged block keeps its connection and its figures, at another index;
 * a changed one gets a new connection, and old sessions keep the old one. */
static void
test_reload(void **state)
{
	static const char other[] = "policy \"first\" {\n"
	    " endpoint = \"unix:/nonexistent/weir.sock\"\n}\n";
	struct guest old, new;
	struct world w;
	uint64_t session;

	(void)state;
	start(&w, "", "");
	shake_hands(&w, 0, is_connected);
	join(&w, &old);

	reload(&w, other, "");
	assert_int_equal(connects(&w, 0), 0);
	assert_int_equal(connects(&w, 1), 1);
	assert_int_equal(ask(&old, 1), POLICY_OK);	/* its index 0 */
	session = peer_expect(&w.peer, 0, TO(MAIL), 1);
	answer(&w, 0, session, 1);
	assert_true(peer_run(&w.peer, has_answer, &old));
	assert_int_equal(old.policy, 0);
	join(&w, &new);
	assert_false(new.policies[0].ready);
	assert_true(new.policies[1].ready);
	policy_pool_leave(new.member);
	assert_int_equal(w.peer.accepted, 1);

	reload(&w, other, " timeout = 3s\n");
	shake_hands(&w, 1, is_connected_second);
	assert_int_equal(w.peer.accepted, 2);
	old.answers = 0;
	assert_int_equal(ask(&old, 2), POLICY_OK);
	assert_int_equal(peer_expect(&w.peer, 0, TO(MAIL), 2), session);
	answer(&w, 0, session, 2);
	assert_true(peer_run(&w.peer, has_answer, &old));
	join(&w, &new);
	assert_true(new.policies[1].ready);
	policy_pool_leave(new.member);
	policy_pool_leave(old.member);	/* and with it the old connection */
	while (w.peer.fds[0] >= 0)
		peer_run(&w.peer, is_connected_second, &w);
	assert_true(w.peer.fds[1] >= 0);

	/* nobody is on it: it goes as soon as it is not needed any more */
	reload(&w, other, " timeout = 4s\n");
	while (w.peer.fds[1] >= 0)
		peer_run(&w.peer, is_connected_second, &w);
	end(&w);
}

/* Between a reload and the handshake of a changed policy, mail was deferred by
 * its on_error. */
static void
test_reload_leaves_no_gap(void **state)
{
	struct guest during, after;
	struct world w;

	(void)state;
	start(&w, "", " required = true\n");
	shake_hands(&w, 0, is_connected);
	reload(&w, "", " required = true timeout = 3s\n");
	join(&w, &during);
	assert_true(during.policies[0].ready);
	assert_true(policy_pool_is_ready(w.pool));
	reload(&w, "", " required = true timeout = 4s\n");	/* in between */
	policy_pool_leave(during.member);
	join(&w, &during);
	assert_true(during.policies[0].ready);
	assert_int_equal(ask(&during, 1), POLICY_OK);
	peer_expect(&w.peer, 0, TO(MAIL), 1);
	policy_pool_leave(during.member);
	while (w.peer.fds[0] >= 0)	/* a second, and nobody shook hands */
		peer_run(&w.peer, is_connected, &w);
	join(&w, &after);
	assert_false(after.policies[0].ready);
	assert_false(policy_pool_is_ready(w.pool));
	policy_pool_leave(after.member);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_credit_and_annotate),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_breaker_restart),
		cmocka_unit_test(test_round_robin),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_many_asked),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_leaves_no_gap),
	};

	return cmocka_run_group_tests_name("service/policy_pool", tests, NULL,
	    NULL);
}

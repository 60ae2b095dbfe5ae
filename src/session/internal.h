/*
 * What the files of session/ share, and nobody else sees.
 *
 *	client bytes -> client.c -> struct pending (a fifo, pending.c)
 *	                              | asked (ask.c), verdict applied in order
 *	                              v
 *	                            struct expected (a fifo, upstream.c) -> MX
 *	client <- replies, from the head of the first fifo <- MX replies
 *
 * One file per command: command_*.c, each with one or more rows
 * `const struct session_command`. content.c carries what follows DATA and
 * BDAT. Every handler only changes state; session_progress() in session.c
 * then moves what can move until nothing does.
 */
#ifndef WEIR_SESSION_INTERNAL_H
#define WEIR_SESSION_INTERNAL_H

#include "session/state.h"

/* session.c */
void session_enter_client(struct session *s, enum client_phase phase);
void session_enter_upstream(struct session *s, enum upstream_phase phase);
/* The end: why is one of the causes in session.h. Client output is flushed;
 * upstream is closed, without a further octet. Idempotent. */
void session_end(struct session *s, const char *cause);
void session_end_with_421(struct session *s, const char *cause,
	const char *enhanced, const char *text);
void session_upstream_abort(struct session *s);

/* actions.c: make an action */
struct session_action *session_act(struct session *s,
	enum session_action_type type, enum session_side side);
void *session_alloc(struct session *s, size_t size);	/* zeroed; lives until
							   actions are cleared */
struct span session_keep(struct session *s, struct span bytes);	/* a copy */
struct buf *session_scratch_buf(struct session *s);	/* a buf, likewise */
/* Have thing given back when the actions are cleared: they may point to it. */
void session_later(struct session *s, void (*give_back)(void *thing),
	void *thing);
void session_give_memory(struct session *s, struct buf *b);	/* likewise;
							   b begins anew */
void session_send(struct session *s, enum session_side side, struct span b);
void session_count(struct session *s, enum session_counter c, uint64_t n);

/* facts.c */
void session_fact_open(struct session *s);
void session_fact_lines(struct session *s, enum fact_direction d,
	struct span lines);
void session_fact_event(struct session *s, const char *fmt, ...)
	PRINTF_LIKE(2, 3);
struct fact *session_fact(struct session *s, enum fact_type type);
void session_fact_close(struct session *s);
/* How securing s->up came out, as route asks; domain: of a recipient, empty:
 * of all. */
void session_tls_result(struct session *s, const struct route *route,
	enum tls_result result, struct span domain, const char *reason);

/* client.c */
void session_client_bytes(struct session *s, struct span bytes);
bool session_client_parse(struct session *s);
bool session_client_has_more(const struct session *s);
void session_client_keep(struct session *s);
void session_violations(struct session *s, unsigned violations);
uint64_t session_client_deadline_us(const struct session *s);

/* pending.c */
bool session_pending_pass(struct session *s);
bool session_pending_release(struct session *s);
void session_pending_flush(struct session *s);	/* delays or not */
void session_pending_free(struct session *s, struct pending *p);
void session_forward(struct session *s, struct pending *p, struct span line);
/* Another line than the client's. */
void session_forward_instead(struct session *s, struct pending *p,
	struct span line);
/* Answer locally; enhanced "" for none. Does not send: the turn does. */
void session_reply_local(struct session *s, struct pending *p, unsigned code,
	const char *enhanced, const char *text);
void session_reply_policy(struct session *s, struct pending *p,
	enum policy_phase phase, const struct policy_decision *d,
	enum policy_action action);
void session_reply_raw(struct session *s, struct pending *p, struct span raw);
void session_reply_discarded(struct session *s, struct pending *p);
void session_reply_write(struct buf *out, enum policy_phase phase,
	const struct policy_decision *d, enum policy_action action);
void session_pending_delay(struct session *s, struct pending *p,
	const struct inquiry *q);
void session_reply_local_only(struct session *s, struct pending *p);

/* upstream.c */
struct upstream *session_upstream_new(struct route *route);
void session_upstream_free(struct upstream *up);	/* NULL is fine */
void session_upstream_bytes(struct session *s, struct span bytes);
void session_upstream_gone(struct session *s, const char *error);
/* The reply leaves, and then the session is a wire between the two. */
void session_tunnel(struct session *s, struct pending *p,
	const struct mx_reply *reply, const char *why);
void session_expect(struct session *s, enum expect what, struct pending *p,
	uint64_t timeout_us);
void session_send_own(struct session *s, enum expect what, struct pending *p,
	uint64_t timeout_us, struct span line);
uint64_t session_upstream_deadline_us(const struct session *s);
void session_notify_reply(struct session *s, enum policy_phase phase,
	const struct mx_reply *reply, unsigned index);
void session_reply_split(struct session *s, struct span raw,
	struct policy_reply *reply_r);

/* The connection to the MX is of no use any more: 421 to the client; or, where
 * it is only being built, 451 to the command that it is for (rehome.c). */
/* Ends it while the session goes on: with what was sent, or at once. */
void session_upstream_leave(struct session *s, bool flush);
void session_upstream_broken(struct session *s, const char *cause,
	const char *enhanced, const char *text);

/* promise.c */
const char *session_promise_missing(const struct session *s,
	const struct pending *p);

/* rehome.c */
bool session_rehome_ready(struct session *s, struct pending *p);
bool session_is_elsewhere(const struct session *s);
/* 451 to a MAIL or RCPT that was not forwarded. */
void session_send_back(struct session *s, struct pending *p,
	const char *enhanced, const char *text);
void session_rehome_greeted(struct session *s);
void session_rehome_secured(struct session *s);
void session_rehome_refused(struct session *s, const char *what,
	const struct mx_reply *reply);
void session_rehome_mail_reply(struct session *s,
	const struct mx_reply *reply);
bool session_rehome_failed(struct session *s, const char *enhanced,
	const char *text);
void session_parked_lost(struct session *s, const char *why);
void session_rehome_drop(struct session *s);

/* connect.c */
void session_connect_begin(struct session *s);
struct route_sources session_route_sources(const struct session *s,
	struct span sender);
bool session_connect_progress(struct session *s);
void session_connected(struct session *s, const struct session_event *ev);
void session_connect_reused(struct session *s, struct session_kept *k);
void session_connect_failed(struct session *s, const char *why,
	enum mx_result result, bool full);
void session_greeting(struct session *s, const struct mx_reply *reply);
void session_dial(struct session *s);
uint64_t session_connect_deadline_us(const struct session *s);

/* reuse.c */
bool session_reuse_wanted(const struct session *s);
void session_reuse_greeting(struct session *s, const struct mx_reply *reply);
void session_reuse_tls(struct session *s, const struct session_tls *tls);
void session_reuse_ehlo(struct session *s, struct span raw);
bool session_reuse_quit_ready(struct session *s, struct pending *p);
bool session_reuse_quit(struct session *s, struct pending *p);
void session_reuse_spoil(struct session *s);
void session_reuse_reply(struct session *s, struct pending *p,
	const struct mx_reply *reply);
bool session_reuse_hello(struct session *s, struct pending *p,
	struct span line);
void session_reuse_redial(struct session *s, struct pending *p,
	const char *why);
bool session_reuse_lost(struct session *s, const char *why);
void session_reuse_greeted_again(struct session *s);
void session_reuse_again(struct session *s);

/* process.c */
struct policy_process *session_process_copy(const struct policy_process *p);
void session_process_found(struct session *s,
	const struct policy_process *found);

/* command_auth.c */
const char *session_auth_is_withheld(const struct session *s);
void session_auth_line(struct session *s, const struct smtp_line_event *ev);
bool session_auth_progress(struct session *s);
void session_auth_go(struct session *s);

/* command_starttls.c */
void session_client_tls_done(struct session *s, const struct session_tls *tls);
void session_client_tls_failed(struct session *s, const char *why);
/* Plain text where only TLS may be, on a leg that is the client's affair. */
void session_client_injected(struct session *s);

/* command_other.c: put it to the policies as a command */
void session_command_ask(struct session *s, struct pending *p);

/* tls.c: the fact and, of a handshake that was done, the policies' event */
void session_tls_fact(struct session *s, enum policy_leg leg,
	const struct session_tls *tls);
void session_tls_failed_fact(struct session *s, enum policy_leg leg,
	const char *why);

/* command_bdat.c: 503, and the octets that follow are no commands */
void session_bdat_refuse(struct session *s, struct pending *p,
	const char *why);

/* command_ehlo.c */
void session_ehlo_send(struct session *s, struct pending *p);
void session_ehlo_answer(struct session *s, struct pending *p, struct span raw);
void session_ehlo_remembered(struct session *s, struct pending *p,
	struct span raw);
void session_ehlo_again_reply(struct session *s, const struct mx_reply *reply);
void session_hello_parse(const struct session *s, struct smtp_command *hello_r);

/* starttls.c */
bool session_starttls_wanted(const struct session *s);
void session_starttls(struct session *s, struct pending *p,
	const struct mx_reply *ehlo);
void session_starttls_injected(struct session *s);
bool session_starttls_broke(struct session *s, const char *why);
void session_starttls_broke_later(struct session *s, const char *why);
void session_starttls_secured(struct session *s);
void session_starttls_demanded(struct session *s);
void session_starttls_not(struct session *s);
void session_starttls_missed(struct session *s, const struct pending *p);
void session_starttls_reply(struct session *s, struct pending *p,
	const struct mx_reply *reply);
void session_tls_done(struct session *s, const struct session_tls *tls);
void session_tls_failed(struct session *s, const char *why,
	bool offered_too_much);
void session_starttls_greeted_again(struct session *s);

/* verify.c */
enum config_tls session_tls_level(const struct session *s);
void session_verify_greeting(struct session *s);
bool session_verify_ready(struct session *s, struct pending *p);
bool session_verify_auth_ready(struct session *s, struct pending *p);
bool session_verify_knows_whom(const struct session *s);
void session_verified(struct session *s, unsigned number,
	const struct tls_verdict *verdict);
const char *session_verify_name(const struct session *s);
void session_verify_forget(struct upstream *up);
void session_verify_drop(struct session *s);

/* rewrite.c */
bool session_rewritten(const struct inquiry *q, struct span *address_r);
struct span session_rewrite_args(struct session *s, struct span args,
	const struct smtp_path *path, struct span address);
const char *session_rewrite_wrong(struct session *s, const struct inquiry *q,
	const struct policy_decision *d);
struct span session_forward_envelope(struct session *s, struct pending *p,
	struct span keyword);

/* transaction.c */
struct transaction *session_transaction_new(struct session *s,
	struct span sender);
void session_transaction_unref(struct session *s, struct transaction *t);
const struct span *session_params(struct session *s,
	const struct smtp_path *path);
struct recipient *session_recipient_new(struct session *s,
	struct transaction *t);
/* What decides it, should nothing else come: the reply and whose it is. */
void session_transaction_note(struct transaction *t, const char *by,
	unsigned code, struct span raw_reply);
void session_transaction_verdict(struct session *s, struct transaction *t,
	const struct inquiry *q, struct span raw);
void session_transaction_discard(struct session *s, struct transaction *t,
	const struct inquiry *q);
void session_transaction_end(struct session *s, struct transaction *t,
	enum policy_outcome outcome);
enum policy_outcome session_outcome_of(unsigned code);
enum policy_outcome session_transaction_outcome(const struct transaction *t,
	enum policy_outcome outcome);
void session_transaction_undo(struct session *s, struct transaction *t);
void session_recipient_fact(struct session *s, struct pending *p,
	bool accepted, const char *by, const struct mx_reply *reply);

#endif

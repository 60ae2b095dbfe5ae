/*
 * Questions to the policies, inside session/ only.
 *
 *	seat.c     a policy in a session: what it is at a phase, what it hears
 *	condition.c   which mail it is asked about
 *	ask.c      inquiries: over the stages, in order
 *	vote.c     one policy's part in one: asked, answered, late, wrong
 *	verdict.c  what they come to
 *	resume.c   a policy whose connection died comes back
 *
 * config->policies is sorted by stage, so a stage is a range of indexes. The
 * policies of one are asked together; when nobody has anything against it, the
 * next stage begins, and no earlier: what the first refuses the second never
 * hears of.
 */
#ifndef WEIR_SESSION_INQUIRY_H
#define WEIR_SESSION_INQUIRY_H

#include <sys/queue.h>

#include "policy/decision.h"
#include "policy/event.h"
#include "session/session.h"

struct pending;
struct transaction;

/* ------------------------------------------------------------------- seat */

/* What a policy is at a phase, from nothing to all. */
enum seat_role {
	SEAT_OUT,		/* hears nothing of it */
	SEAT_LISTENS,		/* is told */
	SEAT_OBSERVES,		/* is asked, but neither awaited nor obeyed */
	SEAT_DECIDES,		/* is asked, awaited and obeyed */
};

struct inquiry;

/* Where a policy is in the content of the message under way. */
struct seat_view {
	bool headers, end;		/* were shown */
	bool sized;			/* the section has... */
	size_t section;			/* ...so many octets, as shown to it */
	uint64_t offset;		/* of the body, up to here */
	uint64_t credit;		/* and no further than this */
	bool again;			/* from the beginning, on a new
					   connection */
	uint64_t repeat;		/* what it is only told, up to here: it
					   has spoken about it before */
	struct buf gaps;		/* struct policy_gap: what it missed */
	struct inquiry *pause;		/* the pass waits for its credit */
};

/* A policy in a session. */
struct seat {
	struct session_policy policy;
	bool lost;			/* it has no connection now */
	bool gave_up;			/* and was waited for in vain: nobody
					   waits for it any more */
	bool in_session;		/* CONNECT has reached its stage */
	bool in_transaction;		/* and MAIL: else it hears nothing of
					   the rest */
	/* By the conditions of weir.conf: */
	bool excluded;			/* from the session */
	bool out;			/* of this transaction */
	bool enforced;			/* in this transaction: not only
					   observed */
	unsigned standing_recipients;	/* of its domains */
	uint32_t last_seq;
	unsigned waiting;		/* open questions */
	uint64_t wait_since_us, waited_us;	/* of transaction_timeout */
	bool relay_transaction;		/* said RELAY for the transaction */
	bool relay_session;
	bool spectator;			/* refused at HEADERS: an observer for
					   the rest of the message */
	enum policy_scope standing_scope;
	struct policy_decision *standing;	/* a refusal that repeats */
	bool applied;			/* its refusal became the outcome */
	bool relayed;			/* its RELAY took effect */
	/* The strictest that its decisions would have changed something to, in
	 * the transaction and in the whole session. */
	enum policy_action would, would_session;
	struct seat_view view;
};

/* ---------------------------------------------------------------- inquiry */

enum vote_state { VOTE_NONE, VOTE_WAITING, VOTE_IN };

struct vote {
	enum vote_state state;
	uint32_t seq;
	bool owned;			/* decision is ours to free */
	bool standing;			/* repeats an earlier refusal, or the
					   policy was not asked */
	bool observes;			/* neither awaited nor obeyed */
	bool would_change;		/* what came of it, had it been */
	bool recorded;
	bool lapsed;			/* the connection that it was asked on
					   died, or there was none */
	enum policy_error error;
	const char *error_text;
	const struct policy_decision *decision;	/* what counts */
	const struct policy_decision *rejected;	/* an invalid one */
	struct policy_decision *memory;		/* to be freed, if owned */
	uint64_t asked_us, deadline_us, latest_us, latency_us;
};

/* Makes the event of a question, anew for each stage. rewrite: what an earlier
 * stage made of the address; NULL: nothing. What the event points to must live
 * until the actions are cleared, or be static. */
typedef void session_build_fn(struct session *s, const struct pending *p,
	const struct span *rewrite, struct policy_event *event);

/* A question at one phase. */
struct inquiry {
	TAILQ_ENTRY(inquiry) link;
	enum policy_phase phase;
	struct pending *pending;	/* the command; NULL: none */
	struct transaction *transaction;	/* NULL outside one */
	unsigned index;				/* RCPT's */
	uint64_t offset;			/* BODY's */
	session_build_fn *build;	/* NULL: one event for all */
	size_t from, to;		/* policies of the present stage */
	size_t end;			/* behind the last that is asked */
	bool passed;			/* this stage has nothing against it:
					   the next may begin */
	bool settled;				/* merge holds the result */
	bool closed;			/* votes recorded, others cancelled;
					   observers may still speak */
	bool left;			/* by its owner: in session.observed */
	struct policy_merge merge;	/* of the stages that are settled */
	size_t n_votes;
	struct vote votes[];		/* one per policy */
};
TAILQ_HEAD(inquiry_list, inquiry);

/* What was told of the session, or of a transaction, by an event; resume.c. */
struct memo;
TAILQ_HEAD(memo_list, memo);

/* seat.c */
enum seat_role session_seat_role(const struct session *s, size_t policy,
	enum policy_phase phase, unsigned index);
bool session_seat_is_idle(const struct session *s, size_t policy);
bool session_seat_observes(const struct session *s, size_t policy,
	enum policy_phase phase);
bool session_seat_is_out(const struct session *s, size_t policy,
	enum policy_phase phase, unsigned index);
bool session_has_decider(const struct session *s, enum policy_phase phase);
bool session_has_listener(const struct session *s, enum policy_phase phase);
bool session_wants_content(const struct session *s);
bool session_phase_is_of_transaction(enum policy_phase phase);
size_t session_stage_end(const struct session *s, size_t policy);
void session_seat_send(struct session *s, size_t policy,
	const struct policy_event *event, uint32_t seq, uint32_t deadline_ms);
void session_seats_reached(struct session *s, enum policy_phase phase,
	size_t from, size_t to);
void session_seats_begin(struct session *s);
void session_seats_meet(struct session *s, const struct policy_event *event,
	size_t from, size_t to);
void session_seats_stand(struct session *s, const struct transaction *t,
	unsigned index);
bool session_seats_may_stand(const struct session *s,
	const struct transaction *t);
void session_notify(struct session *s, struct policy_event *event);
void session_notify_one(struct session *s, size_t policy,
	struct policy_event *event);
void session_seats_new_transaction(struct session *s);
void session_seats_applied(struct session *s, const struct inquiry *q);

/* ask.c */
struct inquiry *session_ask(struct session *s, enum policy_phase phase,
	struct pending *p, session_build_fn *build);
struct inquiry *session_ask_stage(struct session *s, enum policy_phase phase,
	struct transaction *t, struct policy_event *event, size_t from,
	size_t to);
struct inquiry *session_ask_overload(struct session *s,
	struct transaction *t, size_t from, size_t to);
struct inquiry *session_ask_credit(struct session *s, struct transaction *t,
	size_t policy);
bool session_stages_progress(struct session *s);
void session_inquiry_free(struct session *s, struct inquiry *q);
void session_inquiry_voted(struct session *s, struct inquiry *q);
void session_inquiries_drop(struct session *s, struct transaction *t);
void session_observers_end(struct session *s, const struct transaction *t);

/* vote.c */
void session_vote_begin(struct session *s, struct inquiry *q, size_t policy,
	struct policy_event *event);
void session_vote_await_credit(struct session *s, struct inquiry *q,
	size_t policy);
void session_vote_fails(struct session *s, struct inquiry *q, size_t policy,
	enum policy_error error, const char *text);
void session_vote_invalid(struct session *s, struct inquiry *q, size_t policy,
	const struct policy_decision *d, const char *wrong);
void session_answer(struct session *s, const struct session_event *ev);
void session_vote_again(struct session *s, struct inquiry *q, size_t policy,
	const struct policy_event *event);
void session_vote_withdraw(struct session *s, struct inquiry *q,
	size_t policy);
void session_ask_timer(struct session *s);
uint64_t session_ask_deadline_us(const struct session *s);
/* Whose answers are still out: those that are awaited, or the observers'. */
void session_inquiry_cancel(struct session *s, struct inquiry *q,
	bool observers);

/* verdict.c */
const struct policy_decision *session_verdict(const struct inquiry *q,
	enum policy_action *action_r);
const char *session_verdict_by(const struct session *s,
	const struct inquiry *q);
void session_inquiry_check(struct session *s, struct inquiry *q);
void session_inquiry_settle(struct session *s, struct inquiry *q);
void session_inquiry_record(struct session *s, struct inquiry *q);
enum policy_outcome session_if_enforced(const struct seat *seat,
	enum policy_outcome outcome);
void session_decision_free(void *d);

/* resume.c */
void session_policy_lost(struct session *s, unsigned policy,
	enum policy_error error);
void session_policy_back(struct session *s, unsigned policy,
	const struct session_policy *subscribed);
void session_resume_ask(struct session *s, struct inquiry *q, size_t policy,
	const struct policy_event *event);
void session_memo(struct session *s, const struct transaction *t,
	const struct policy_event *event, size_t from, size_t to);
void session_memos_drop(struct session *s, const struct transaction *t);

/* content_view.c: what a policy is shown of a message */
void session_views_reset(struct session *s);
bool session_view_sees(const struct session *s, size_t policy,
	const struct policy_event *event);
bool session_view_repeats(const struct session *s, size_t policy,
	const struct policy_event *event);
void session_view_fit(struct session *s, size_t policy,
	struct policy_event *event);
void session_view_credit(struct session *s, unsigned policy,
	uint64_t max_offset, uint32_t message);

/* content_again.c: to a policy that is back */
void session_content_rewind(struct session *s, size_t policy);

/* content_edit.c: may it be edited so? */
const char *session_content_edits_wrong(const struct inquiry *q,
	const struct policy_decision *d);
void session_content_votes_in(struct session *s, struct inquiry *q);

#endif

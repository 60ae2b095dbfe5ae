/*
 * The content of one message, between DATA or BDAT and the final reply.
 *
 *	content.c         the client's bytes: end, look-alikes, size, swallow
 *	content_head.c    the header section, while it comes in
 *	content_show.c    what the policies are shown, in passes
 *	content_view.c    where each policy is in it: prefix, credit, gaps
 *	content_again.c   what a policy that is back is shown again
 *	content_hold.c    held content: verdicts, the next pass, the release
 *	content_edit.c    header edits and splices, and what they make of it
 *
 * Content is shown to the stages in passes. The first one shows it as it
 * arrives, up to the first stage that decides on content, and the spool keeps
 * it. When that stage has spoken its last verdict, the next one that decides
 * is shown it from the spool, as edited so far; and so on. The last pass is
 * the release: what goes to the MX. Where nobody decides it is the only one.
 *
 *	client --+--> pass 1: stage 1
 *	         v
 *	       spool --> un-stuff, splices of stage 1 --> pass 2: stage 2
 *	       spool --> un-stuff, splices of 1 and 2 --> release --> MX
 *
 * Whoever only listens is shown the content in the pass of its stage, or in
 * the next one if there is none.
 *
 * Inside session/ only.
 */
#ifndef WEIR_SESSION_CONTENT_H
#define WEIR_SESSION_CONTENT_H

#include "session/internal.h"
#include "policy/edits.h"
#include "policy/splice.h"
#include "smtp/data.h"
#include "smtp/headers.h"

enum content_mode {
	CONTENT_STREAM,		/* straight to the MX */
	CONTENT_HOLD,		/* into the spool, until the verdict */
	CONTENT_RELEASE,	/* verdict was relay: from the spool to the MX,
				   while the rest may still be coming in */
	CONTENT_SWALLOW,	/* the reply is made: the rest goes to nobody
				   but, after a verdict, to observers */
};

/* The present pass. */
struct content_pass {
	size_t from, to;	/* policies: those below `to` are shown it,
				   those in between decide */
	bool live;		/* shown as it arrives, not from the spool */
	uint64_t spool_read;	/* octets of the spool that went through */
	struct smtp_data unstuff;	/* their place in the line */
	size_t section;		/* octets of the header section */
	uint64_t offset;	/* octets of the body that were shown */
	struct buf waiting;	/* body that waits: for the verdict at HEADERS,
				   or for credit */
	bool all_came;		/* nothing follows what waits */
	bool end_shown;
	uint64_t body_size;	/* as shown, when the end is */
	unsigned questions;	/* about pieces of the body, open */
	struct inquiry *headers, *end;
	bool headers_ruled, end_ruled;
};

/* The splices of one stage. */
struct content_filter {
	struct policy_splices splices;
	struct policy_splicer splicer;
	struct inquiry *inquiry;	/* has what they insert */
};

struct content {
	enum content_mode mode;
	bool was_held;
	bool chunked;			/* BDAT: no dots, no end of data */
	bool complete;			/* the client has sent all of it */
	bool still_shown;		/* refused by a policy: who listens
					   hears the rest */
	struct smtp_data parser;
	uint32_t message;		/* of the session, from 1 */
	uint64_t size;			/* octets, un-dot-stuffed */

	/* The header section: kept while anybody needs it. */
	bool head_wanted, head_done, head_too_large;
	struct buf head;		/* content, until the section is known;
					   then the section, as edited */
	struct buf dots;		/* size_t offsets into head: dots that
					   the client stuffed */
	bool head_edited;		/* then dots is void */
	bool body_folds;		/* no section, and a body that would
					   continue a field put before it */
	struct smtp_headers headers;	/* of head */
	size_t section;			/* octets of the client's section */

	/* Held content. */
	struct content_pass pass;
	struct content_filter *filters;	/* of the stages so far, in order */
	size_t n_filters;
	uint64_t filtered_size;		/* about what they make of the body */
	struct policy_splices splices;	/* of the stage that is being asked */
	bool data_asked;		/* weir's own DATA is out */
	bool data_accepted;		/* the MX said 354 to it */
	bool head_sent;
	bool reading;			/* a SESSION_SPOOL_READ is out */
	bool read_void;			/* and its pass is over */
	uint64_t spooled;		/* octets */
	struct smtp_data stuff, check;	/* of what is sent as edited */
	struct buf unsent;		/* of it: undecided by check */
};

/* content.c */
struct content *session_content_new(struct session *s, struct pending *p);
void session_content_free(struct session *s, struct content *c);
void session_content_go(struct session *s, struct pending *p);
size_t session_content_input(struct session *s, struct span in);
size_t session_chunk_input(struct session *s, struct span in);
void session_chunk_begin(struct session *s, struct pending *p);
void session_content_refuse(struct session *s, struct pending *p,
	unsigned code, const char *enhanced, const char *text);
void session_content_refuse_bare(struct session *s, struct pending *p);
void session_content_swallow(struct session *s, struct pending *p);
void session_content_data_reply(struct session *s, struct pending *p,
	const struct mx_reply *reply);
void session_content_final_reply(struct session *s, struct pending *p,
	const struct mx_reply *reply);
bool session_content_early_reply(struct session *s,
	const struct mx_reply *reply);
void session_content_clock_reset(struct session *s);
bool session_content_waits(const struct session *s);
uint64_t session_content_size(const struct content *c);
uint64_t session_content_sent(const struct content *c);
void session_content_said(struct session *s, struct transaction *t);
bool session_content_is_with_mx(const struct content *c);	/* NULL: no */
bool session_content_was_held(const struct content *c);

/* command_data.c, for BDAT too */
void session_data_ask(struct session *s, struct pending *p);
bool session_data_has_recipients(const struct session *s,
	const struct transaction *t);
bool session_data_without_recipients(struct session *s, struct pending *p);
void session_data_discard(struct session *s, struct pending *p);

/* content_head.c */
void session_head_take(struct session *s, struct pending *p,
	struct span content, bool stuffed_dot);
void session_head_end(struct session *s, struct pending *p);
void session_head_wire(const struct content *c, size_t from, size_t to,
	struct buf *out);

/* content_show.c */
bool session_content_decided(const struct session *s);
bool session_pass_decides(const struct session *s, const struct content *c,
	enum policy_phase phase);
bool session_pass_needs_body(const struct session *s, const struct content *c);
bool session_pass_waits(const struct session *s, const struct content *c);
void session_pass_headers_event(const struct content *c,
	struct policy_event *event);
void session_pass_end_event(struct session *s, struct content *c,
	struct policy_event *event);
void session_pass_restart(struct session *s, struct content *c);
void session_pass_free(struct session *s, struct content *c);
void session_pass_headers(struct session *s, struct pending *p);
void session_pass_body(struct session *s, struct pending *p,
	struct span body);
struct span session_pass_spooled(struct session *s, struct pending *p,
	struct span wire);
struct span session_pass_all_came(struct session *s, struct pending *p);
bool session_pass_end(struct session *s, struct pending *p);
bool session_pass_flush(struct session *s, struct pending *p);
bool session_pass_progress(struct session *s, struct pending *p);

/* content_again.c */
bool session_pass_end_again(struct session *s, struct content *c);

/* content_view.c */
uint64_t session_view_room(const struct session *s, const struct content *c);
bool session_view_pauses(struct session *s, struct pending *p);
void session_view_pause_ends(struct session *s, const struct inquiry *q);

/* content_hold.c */
void session_content_hold(struct session *s, struct content *c);
bool session_content_progress(struct session *s);
bool session_content_is_held(const struct session *s);
struct content *session_content_under_way(const struct session *s,
	struct pending **p_r);
void session_content_spool(struct session *s, struct content *c,
	struct span wire);
void session_content_read(struct session *s, struct content *c);
void session_content_spooled(struct session *s, struct span bytes);
void session_content_spool_failed(struct session *s, const char *why);
void session_content_cancel(struct session *s, struct transaction *t);

/* content_edit.c */
bool session_edit_apply(struct session *s, struct content *c,
	struct inquiry *q);
void session_edit_restart(struct content *c);
struct span session_edit_filter(struct session *s, struct content *c,
	struct span body, bool end);
bool session_edit_owns(const struct content *c, const struct inquiry *q);
void session_edit_release(struct session *s, struct content *c);
const char *session_edit_too_large(const struct session *s,
	const struct content *c);
bool session_edit_send(struct session *s, struct pending *p,
	struct span content, bool end);

#endif

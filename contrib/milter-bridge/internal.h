/*
 * The session's inside: session.c keeps the queue, envelope.c does CONNECT to
 * DATA, content.c the message.
 */
#ifndef WEIR_MILTER_INTERNAL_H
#define WEIR_MILTER_INTERNAL_H

#include "milter-bridge/session.h"

/* Something that weir said and that is not done yet. */
struct milter_job {
	struct milter_job *next;
	enum milter_command command;	/* HEADER: all of them */
	struct milter_ask ask;
	bool begun;
	bool extended;			/* more time was asked for */
	struct buf packet;		/* for each filter; BODY: the data */
	struct buf address;		/* MAIL, RCPT: for the macros */
	struct buf id;			/* MAIL: the transaction's */
	struct milter_fields fields;	/* HEADER */
};

/* A filter's part in the session. */
struct milter_member {
	struct milter_session *session;
	struct milter_filter filter;
	bool told_connect, told_helo;	/* on this connection */
	enum milter_command command;	/* what it was told last; 0: nothing */
	bool asked;			/* the job's own command was sent */
	bool accepts_session, accepts_message;
	bool in_message;		/* it knows this message's sender */
	const char *failed;		/* why, until the next message; NULL */
};

enum milter_content_step {
	CONTENT_HEADERS, CONTENT_EOH, CONTENT_BODY, CONTENT_END
};

struct milter_content {
	bool open;
	bool ended;			/* all of it has come */
	enum milter_content_step step;	/* of the member session->at */
	bool skip;			/* it wants no more of this step */
	size_t field;
	uint64_t offset;		/* body bytes that it was sent */
	struct milter_fields fields;	/* as changed so far */
	struct milter_store body;	/* as it came */
	struct milter_store changed;	/* as changed so far, if it was */
	bool is_changed;
	struct buf changes;		/* what this member wants changed */
};

struct milter_session {
	struct event_base *base;
	const struct milter_setup *setup;
	const struct milter_grants *grants;
	const struct milter_session_calls *calls;
	void *ctx;
	struct event *timer;		/* asks for more time */
	struct milter_job *first, **last;
	struct milter_macros macros;
	struct buf connect, helo;	/* packets, for a filter that is new */
	struct buf out;			/* what is just being sent */
	struct buf room;		/* the text of the verdict */
	struct milter_verdict verdict;	/* if has_verdict */
	bool has_verdict;		/* of the first job, and with `holds`
					 * of the rest of the message */
	bool holds;
	struct milter_content content;
	size_t at;			/* the member whose turn it is */
	size_t n_members;
	struct milter_member members[];
};

/* Goes on with the queue until somebody has to be waited for. */
void milter_session_advance(struct milter_session *s);

/* Sends macros and packet to an idle member. */
void milter_session_send(struct milter_session *s, struct milter_member *m,
	enum milter_command command, struct span packet);

/* Sets the verdict of a failed member; false: mail passes without it. */
bool milter_session_fall_back(struct milter_session *s,
	struct milter_member *m);

/* A member wants `what`, which cannot be: says so in the log, and sets the
 * verdict unless it is to be ignored. */
void milter_session_refuse(struct milter_session *s,
	const struct milter_member *m, const char *what, const char *why,
	enum milter_refusal refusal);

/* Does the job; true when it is done (and may be answered). */
bool milter_envelope_run(struct milter_session *s, struct milter_job *job);
bool milter_content_run(struct milter_session *s, struct milter_job *job);

/* A member's answer to one of their commands. */
void milter_envelope_reply(struct milter_session *s, struct milter_member *m,
	enum milter_command command, const struct milter_reply *reply);
void milter_content_reply(struct milter_session *s, struct milter_member *m,
	enum milter_command command, const struct milter_reply *reply);

/* A member may be ready for more while the queue is empty. */
void milter_content_go_on(struct milter_session *s);

/* The message is over, one way or the other. */
void milter_content_close(struct milter_session *s);

#endif

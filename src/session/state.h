/*
 * What a session knows: its structures, and who owns what in them. Only the
 * files of session/ see them, through session/internal.h.
 */
#ifndef WEIR_SESSION_STATE_H
#define WEIR_SESSION_STATE_H

#include <sys/queue.h>

#include "session/inquiry.h"
#include "session/measure.h"
#include "session/session.h"
#include "smtp/command.h"
#include "smtp/ehlo.h"
#include "smtp/line.h"
#include "smtp/path.h"
#include "smtp/reply.h"

/* ----------------------------------------------------------------- phases */

enum client_phase {
	CLIENT_START,		/* not greeted yet */
	CLIENT_COMMAND,
	CLIENT_CONTENT,		/* behind a 354 */
	CLIENT_CHUNK,		/* the octets of a BDAT */
	CLIENT_HANDSHAKE,	/* TLS: nothing is sent or parsed */
	CLIENT_AUTH,		/* the next line is AUTH's, not a command */
	CLIENT_TUNNEL,
	CLIENT_CLOSED,
	CLIENT_PHASE_COUNT
};

enum upstream_phase {
	UPSTREAM_NONE,
	UPSTREAM_CONNECTING,
	UPSTREAM_GREETING,
	UPSTREAM_COMMAND,
	UPSTREAM_HANDSHAKE,	/* TLS */
	UPSTREAM_TUNNEL,
	UPSTREAM_GONE,
	UPSTREAM_PHASE_COUNT
};

/* ------------------------------------------------------------ the MX's side */

struct route_sources;
struct route;		/* session/route.h: where to, from where, how */

/* What the MX owes a reply to. */
enum expect {
	EXPECT_COMMAND,		/* a client's command */
	EXPECT_EHLO,		/* EHLO or HELO, in all its steps */
	EXPECT_STARTTLS,	/* weir's own */
	EXPECT_AUTH,		/* AUTH, or a line of its dialogue */
	EXPECT_AUTH_CANCEL,	/* weir's own "*" */
	EXPECT_DATA,		/* 354, to the client's DATA or weir's own */
	EXPECT_FINAL,		/* to the final dot */
	EXPECT_CHUNK,		/* to a BDAT */
	EXPECT_RSET,		/* weir's own */
	EXPECT_KEEP,		/* to weir's RSET in place of QUIT */
	EXPECT_MAIL,		/* weir's own, repeated elsewhere */
	EXPECT_COUNT
};

struct expected {
	TAILQ_ENTRY(expected) link;
	enum expect what;
	struct pending *pending;	/* NULL: weir's own */
	uint64_t sent_us;
	uint64_t timeout_us;
};
TAILQ_HEAD(expected_list, expected);

/* One connection to an MX. */
struct verified;
TAILQ_HEAD(verified_list, verified);

struct upstream {
	struct route *route;		/* one reference */
	enum upstream_phase phase;
	bool open;
	struct addr local;		/* our end */
	unsigned round_trips;		/* what was waited for, so far */
	uint64_t dialled_us, connect_us;
	struct buf in, reply;
	struct buf name;		/* the MX's, as it greets */
	struct smtp_reply_parser parser;
	size_t rest;			/* plain bytes behind the reply that is
					   being handled */
	struct expected_list expected;
	uint64_t reply_since_us;	/* when the head's debt began */
	struct smtp_ehlo ehlo;		/* what it offers now */
	struct buf ehlo_clear;		/* its reply before STARTTLS */
	bool tls_on, tls_skip, tls_fell_back;
	enum tls_result tls_failed_before;	/* on another connection */
	enum tls_result tls_result;	/* as told of all; COUNT: not
					   yet */
	bool securing;			/* from STARTTLS to the reply to the
					   EHLO inside */
	struct pending *tls_pending;	/* the EHLO that waits for TLS */
	bool tls_bare;			/* without a name, nothing resumed */
	const struct config_tls_block *tls_block;	/* by its greeting, if
					   that demands more; or NULL */
	struct verified_list verified;	/* what was found of its certificate */
	size_t n_verified;
	const char *tls_missing;	/* level is encrypt and there is no TLS:
					   why */
	bool authenticated;
	struct session_kept *kept;	/* what is remembered, for reuse */
	bool remembered;		/* it was found: EHLO was told before */
	bool fresh;			/* and has heard nothing since */
	struct measured_connection measured;
};

/* ------------------------------------------------------------ transaction */

struct recipient {
	bool sent;		/* forwarded to the MX */
	bool accepted;		/* by the MX */
	bool discarded;		/* by a policy: answered 250, not forwarded */
	uint16_t meets;		/* set of 1 << policy: their conditions */
};

struct content;

struct transaction {
	unsigned references;	/* pending commands and the session */
	struct ulid id;
	struct buf sender;	/* as the client sent it */
	struct buf rewritten;	/* as the MX was told, if another one */
	struct route *route;	/* the way it goes; NULL: not known yet */
	struct addr local, remote;	/* of the connection where MAIL went */
	struct buf mail_line;	/* what the MX was told; kept only where a
				   policy may choose another way at RCPT */
	bool is_rewritten;
	bool smtputf8;		/* the client asked for it */
	struct recipient *recipients;
	size_t n_recipients, cap_recipients;
	size_t n_sent, n_unsettled, n_accepted, n_discarded;
	bool mail_sent;		/* MAIL went to the MX */
	bool mail_accepted;
	bool refused;		/* MAIL was refused, by whomever: what follows
				   is 503 */
	bool discarded;		/* swallow it, answer 250 */
	bool ended;
	struct content *content;	/* from DATA or the first BDAT on */
	/* How it ended, as far as it is known: by the last refusal. */
	const char *decided_by;	/* "mx", "weir", a policy's name */
	unsigned code;
	struct buf last_reply;	/* raw lines of the last deciding reply */
	struct buf doom;	/* a refusal for the transaction, at RCPT: what
				   DATA is answered */
	struct buf discard_reply;	/* of a DISCARD from DATA on */
	bool by_inquiry;	/* policies decided it, not the MX or weir */
	uint64_t begin_us, data_us, dot_us;
	uint64_t data_reply_us;	/* how long the 354 took */
	struct measured_transaction measured;
};

/* ---------------------------------------------------------------- pending */

enum pending_state {
	PENDING_PARSED,		/* its policies may have been asked */
	PENDING_SENT,		/* forwarded: the MX owes a reply */
	PENDING_REPLIED,	/* reply is there, waits for its turn */
	PENDING_STATE_COUNT
};

struct session_command;

struct pending {
	TAILQ_ENTRY(pending) link;
	const struct session_command *command;
	enum pending_state state;
	struct smtp_command parsed;	/* spans into line */
	struct span address;		/* RCPT: likewise */
	struct inquiry *inquiry;	/* NULL: nobody asked */
	struct transaction *transaction;
	struct route *route;		/* MAIL, RCPT: the way that it has to
					   go; NULL: not known yet */
	unsigned index;			/* RCPT: within the transaction */
	bool asked_done;		/* its verdict was applied */
	bool interim;		/* `reply` is a 354 or 334; the command stays */
	bool close_after;		/* the reply ends the session */
	bool sensitive;			/* reply and line are recorded as *** */
	uint64_t chunk;			/* BDAT: octets still to come */
	bool chunk_last;
	bool chunk_swallow;		/* and they go nowhere */
	bool data_asked;		/* DATA, BDAT: policies know of it */
	uint64_t not_before_us;		/* delay_ms of the verdict */
	struct buf reply;		/* for the client */
	bool reply_is_mx;		/* passed through, else weir's */
	size_t line_len;		/* with CRLF */
	uint8_t line[];
};
TAILQ_HEAD(pending_list, pending);

/* A complete reply of the MX. */
struct mx_reply {
	unsigned code;
	struct span raw;	/* all lines with their ends */
	struct span text;	/* of the first line, behind the code */
	uint64_t latency_us;	/* since the command was sent */
	uint64_t took_us;	/* since it was its turn, too: not before the
				   reply to the command before it */
};

/* One command of SMTP. */
enum command_flags {
	COMMAND_ALONE = 1 << 0,	/* parsed only when nothing is pending */
	COMMAND_LAST = 1 << 1,	/* nothing is parsed behind it until it is
				   replied to */
};

struct session_command {
	enum smtp_verb verb;
	unsigned flags;
	enum policy_phase phase;
	enum expect expect;
	/* Look at a new command: answer it with session_reply_local(), or put
	 * its question to the policies with session_ask(). */
	void (*parse)(struct session *s, struct pending *p);
	/* May it pass yet (all before it have)? NULL: as soon as its verdict
	 * is there. It may also answer it, and returns true then. */
	bool (*ready)(struct session *s, struct pending *p);
	/* Verdict: relay. NULL: forward the line. */
	void (*pass)(struct session *s, struct pending *p);
	/* Verdict: DISCARD, where that is no reply yet. NULL: it is one. */
	void (*discard)(struct session *s, struct pending *p);
	/* Verdict: another one; its reply is made. NULL: nothing else. */
	void (*refuse)(struct session *s, struct pending *p,
		enum policy_action action);
	/* The MX's reply. NULL: pass it to the client. */
	void (*reply)(struct session *s, struct pending *p,
		const struct mx_reply *reply);
};

extern const struct session_command session_command_helo;
extern const struct session_command session_command_ehlo;
extern const struct session_command session_command_mail;
extern const struct session_command session_command_rcpt;
extern const struct session_command session_command_data;
extern const struct session_command session_command_bdat;
extern const struct session_command session_command_rset;
extern const struct session_command session_command_quit;
extern const struct session_command session_command_auth;
extern const struct session_command session_command_starttls;
extern const struct session_command session_command_other;
extern const struct session_command session_command_unknown;

const struct session_command *session_command_of(enum smtp_verb verb);

/* ---------------------------------------------------------------- session */

struct session {
	struct config *config;
	const struct config_listener *listener;
	struct ulid id;
	struct ulid_source *ids;
	uint64_t wall_us, start_us, now_us;
	struct addr client, destination;	/* as the client means it */
	struct route *route;		/* the default, or CONNECT's choice */
	struct verified *verifying;	/* asked for, and not answered */
	unsigned n_verifications;
	struct upstream *up;		/* the connection in use; never NULL */
	struct upstream *parked;	/* the one that it may take the place
					   of; while rehome */
	struct rehome *rehome;		/* rehome.c; NULL: none is under way */
	struct buf hello;		/* the client's last EHLO or HELO that
					   was taken, with CRLF */
	struct smtp_ehlo promised;	/* what the client was offered */
	bool promised_tls;		/* and with TLS behind it */
	unsigned n_rehomings;
	config_pool_usable_fn *source_is_usable;
	void *source_ctx;
	const char *refuse;
	struct policy_process *process;	/* who sends; NULL: not known */
	const struct policy_health *health;	/* likewise */
	bool process_sought;		/* but it may be, soon */
	bool client_is_local;		/* or should be known at least */
	bool redial;			/* EHLO is told once more, on another
					   connection than one found (reuse.c) */
	bool busy;			/* inside session_feed() */
	bool record;
	bool opened;			/* FACT_OPEN was made */
	struct session_actions *out;	/* while busy */

	enum client_phase client_phase;
	const char *cause;		/* of the end; NULL: not ending */
	const char *end_cause;		/* what close_after ends with */
	bool client_eof, upstream_eof;
	bool client_closed;
	bool paused, blocked;
	bool draining;
	bool local_only;		/* no upstream any more: QUIT and 503 */
	bool said_421;
	unsigned local_code;		/* 503 or 421: what local_only says */

	struct span client_view;		/* bytes of this feed's event */
	struct buf client_in;
	size_t client_rest;		/* behind the line being parsed */
	struct smtp_line_parser line;
	struct pending_list pending;
	size_t n_pending;
	uint64_t client_since_us;	/* when we began to wait for it */
	uint64_t content_deadline_us;

	struct transaction *transaction;	/* the one open on the client's
						   side */
	unsigned n_transactions, n_messages, n_tls_results;
	uint64_t body_shown;		/* octets of the body that just ended */
	struct seat *seats;
	struct inquiry_list inquiries;
	struct inquiry_list observed;	/* only observers may still answer */
	uint64_t ask_at_us;		/* CONNECT, even if process is still
					   sought; 0: it was asked */
	struct inquiry *connect_inquiry;
	struct memo_list memos;		/* what a policy that comes back must
					   hear again */
	size_t memo_bytes;
	bool memos_full;		/* some are missing */

	bool ehlo_refused;		/* by a policy: MAIL is 503 */
	bool chunking_offered;		/* to the client */
	bool greeted;
	bool client_tls;		/* the client's leg is encrypted */
	bool starttls_offered;		/* in the answer to its last EHLO */
	bool ehlo_forgotten;		/* with STARTTLS: it must say it again */
	bool mx_must_wait;		/* a tunnel of TLS: the client begins */
	bool auth_line_wanted;		/* in CLIENT_AUTH: 334 was passed on */
	bool auth_asked;		/* policies know the identity */
	struct buf auth_line;		/* held until they have decided */
	bool mail_refused;		/* locally: RCPT and DATA are 503 */
	struct buf greeting;		/* the MX's, on its way to the client */
	uint64_t greet_at_us;		/* delay_ms of the verdict at CONNECT */

	/* For the record. */
	uint64_t client_bytes, upstream_bytes;
	int64_t elapse_ms;
	uint64_t ehlo_us, quit_us;	/* of the first and last connection */
};

#endif

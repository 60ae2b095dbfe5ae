/*
 * The session: bytes become events of a client, an MX, five policies in two
 * stages, the spool and time, in any order that an executor could feed them in. The world of
 * tests/replay watches the promises; here they end the process when broken.
 * Whatever happened, when both peers are gone and time has passed, the session
 * must have ended.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "tests/replay/answer.h"
#include "tests/replay/world.h"

#define OFFER " client_tls = offer tls_certificate = \"/x\""
#define PASS " client_tls = passthrough"

#define CONF(tls, client_tls, reuse) \
	"hostname = \"weir.example\"\nuser = \"\"\n" \
	"status { address = \"\" control = \"\" }\nrecord { sqlite = \"\" }\n" \
	"listener \"outbound\" { address = \"127.0.0.1:10025\"" \
	client_tls " }\n" \
	"upstream { tls = \"" tls "\" reuse = " reuse " }\n" \
	"limits { message_size = 4000 header_size = 1KB pipeline = 20 }\n" \
	"pool \"clean\" { addresses = {\"203.0.113.10\"} }\n" \
	"pool \"bulk\" { addresses = {\"203.0.113.20\"} }\n" \
	"policy \"p\" { endpoint = \"unix:/p\" on_error = \"tempfail\"\n" \
	" grants = {\"headers\", \"body\", \"outbound\", \"discard\",\n" \
	" \"envelope\", \"next_hop\"} }\n" \
	"policy \"q\" { endpoint = \"unix:/q\" on_error = \"relay\"\n" \
	" on_error_rcpt = \"disconnect\" on_error_body = \"reject\"\n" \
	" grants = {\"headers\", \"body\"} stage = 20\n" \
	" recipients = {\"d\"} enforce = 67 size_max = 3000 }\n" \
	"policy \"o\" { endpoint = \"unix:/o\" mode = \"observe\"\n" \
	" grants = {\"headers\", \"discard\"} }\n" \
	"policy \"r\" { endpoint = \"unix:/r\" on_error = \"relay\"\n" \
	" grants = {\"headers\", \"body\", \"discard\"} }\n" \
	"policy \"s\" { endpoint = \"unix:/s\" on_error = \"tempfail\"\n" \
	" grants = {\"headers\", \"body\", \"discard\", \"envelope\"}\n" \
	" stage = 20 }\n"

#define POLICIES 5

struct input {
	const uint8_t *data;
	size_t left;
};

static unsigned
take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

static struct span
take_bytes(struct input *in, size_t n)
{
	struct span s = span_of(in->data, n < in->left ? n : in->left);

	in->data += s.len;
	in->left -= s.len;
	return s;
}

static const char *const client_says[] = {
	"EHLO c\r\n", "EHLO client.example\r\n", "HELO c\r\n", "MAIL FROM:<a@b>\r\n",
	"RCPT TO:<c@d>\r\n", "DATA\r\n", ".\r\n", "RSET\r\n", "QUIT\r\n",
	"NOOP\r\n", "XVERB\r\n", "STARTTLS\r\n", "AUTH PLAIN\r\n",
	"AUTH LOGIN Ym9i\r\n", "AHAAcA==\r\n", "*\r\n",
	"Subject: x\r\n", "\r\n", "body\r\n", "..dot\r\n", ".sloppy\r\n",
	"\n.\n", "\r\n.\r", "\n.\r\n", "BDAT 5\r\n12345",
	"BDAT 5 LAST\r\nA: b\r", "BDAT 0 LAST\r\n", "BDAT x\r\n",
	"BDAT 5000 LAST\r\n", "MAIL FROM:<a@b> SIZE=5000\r\n",
	"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n",
	"A: 1\r\nB: 2\r\n\r\nbody\r\n.\r\n", "RCPT TO:<c@d\r\n",
};

static const char *const mx_says[] = {
	"220 mx\r\n", "250 ok\r\n", "250-mx\r\n250 PIPELINING\r\n",
	"250-mx\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 CHUNKING\r\n",
	"354 go\r\n", "334 \r\n", "235 ok\r\n", "421 bye\r\n", "550 no\r\n",
	"451 later\r\n", "221 bye\r\n", "garbage\r\n", "250-", "503 x\r\n",
	"220 go\r\nevil", "250 ok\r\n250 ok\r\n",
};

/* What the MX owes, told well or ill. */
static void
mx_replies(struct world *w, unsigned how)
{
	struct span items = buf_span(&w->upstream.items);
	const char *yes = "250 fine\r\n";

	if (items.len > 0 && items.data[0] == ITEM_GREETING)
		yes = "220 mx\r\n";
	else if (items.len > 0 && items.data[0] == ITEM_DATA)
		yes = "354 go\r\n";
	else if (items.len > 0 && items.data[0] == ITEM_AUTH)
		yes = how & 2 ? "334 \r\n" : "235 ok\r\n";
	else if (items.len > 0 && items.data[0] == ITEM_STARTTLS)
		yes = "220 go\r\n";
	else if (items.len > 0 && items.data[0] == ITEM_UNKNOWN)
		yes = how & 2 ? "300 go\r\n" : "250 ok\r\n";
	else if (how & 2)
		yes = "250-mx\r\n250-STARTTLS\r\n250-PIPELINING\r\n"
		    "250 CHUNKING\r\n";
	world_mx(w, span_str(how % 8 == 1 ? "550 no\r\n" :
	    how % 8 == 5 ? "451 later\r\n" : yes));
}

static bool
is_of(enum policy_phase phase, unsigned phases)
{
	return POLICY_PHASE_BIT(phase) & phases;
}

/* Most keep to the way that there is. */
static void
choose_way(struct answer *a, unsigned how)
{
	a->outbound = how >= 6;
	if (how & 8)
		a->pool = how & 1 ? SPAN("bulk") : SPAN("clean");
	if ((how & 6) == 6)
		a->next_hop = SPAN("198.51.100.99");
	if ((how & 12) == 12)
		a->tls = how & 1 ? POLICY_TLS_VERIFY : POLICY_TLS_MAY;
	if (a->tls == POLICY_TLS_VERIFY && how & 2) {
		a->tls_names[0] = how & 16 ? SPAN("mx.example") :
		    SPAN("*.example.net");
		a->n_tls_names = 1;
	}
}

static void
policy_answers(struct world *w, unsigned which, unsigned how)
{
	static const enum policy_action actions[8] = { POLICY_RELAY,
	    POLICY_RELAY, POLICY_RELAY, POLICY_REJECT, POLICY_TEMPFAIL,
	    POLICY_DISCONNECT, POLICY_DISCARD, POLICY_ACTION_NONE };
	static const struct answer_splice splices[] = {
		{ 0, 0, SPAN("X") }, { 1, 1, SPAN("") },
		{ 2, 0, SPAN(".\r\n") }, { 4, 3, SPAN("\r\nY") },
	};
	struct answer a = { .action = actions[how & 7],
	    .scope = (how >> 3) % 3 };
	struct buf frame = { 0 };
	size_t i, open = 0, nth;

	for (i = 0; i < w->n_notes; i++)
		open += w->notes[i].open;
	if (open == 0)
		return;
	nth = which % open;
	for (i = 0; !w->notes[i].open || nth-- > 0; i++)
		;
	w->notes[i].open = false;
	if (how & 32)
		a.delay_ms = 1500;
	if (how & 64 && w->notes[i].phase >= POLICY_PHASE_HEADERS) {
		a.n_edits = 1;
		a.edits[0] = (struct answer_edit){ .op = 1 + how / 8 % 4,
		    .name = SPAN("A"), .value = SPAN("new") };
		w->may_edit = true;
	}
	if (how & 128 && w->notes[i].phase == POLICY_PHASE_END_OF_MESSAGE) {
		a.n_splices = 1;
		a.splices[0] = splices[which / 4 % ARRAY_LEN(splices)];
		w->may_edit = true;
	}
	if (is_of(w->notes[i].phase, POLICY_PHASE_BIT(POLICY_PHASE_CONNECT)) &&
	    how & 128)
		choose_way(&a, 8);
	if (is_of(w->notes[i].phase, POLICY_PHASE_BIT(POLICY_PHASE_MAIL) |
	    POLICY_PHASE_BIT(POLICY_PHASE_RCPT)))
		choose_way(&a, which);
	if (how & 128 && (w->notes[i].phase == POLICY_PHASE_MAIL ||
	    w->notes[i].phase == POLICY_PHASE_RCPT)) {
		a.rewrite_set = true;
		a.rewrite = how & 64 ? SPAN("n@w") : SPAN("");
	}
	w->may_discard |= a.action == POLICY_DISCARD;
	w->may_discard_message |= a.action == POLICY_DISCARD && (a.scope !=
	    POLICY_SCOPE_COMMAND || w->notes[i].phase != POLICY_PHASE_RCPT);
	answer_decision(&frame, w->notes[i].last_seq, &a);
	world_answer(w, (unsigned)w->notes[i].policy, buf_span(&frame));
	buf_release(&frame);
}

static void
policy_credits(struct world *w, unsigned how)
{
	struct buf frame = { 0 };

	answer_credit(&frame, how / 8, how / 3 % 3);
	world_answer(w, how % POLICIES, buf_span(&frame));
	buf_release(&frame);
}

static void
peer_event(struct world *w, unsigned how)
{
	if (w->verify != 0 && how & 16)
		world_verified(w, how & 32 ? TLS_RESULT_SUCCESS :
		    TLS_RESULT_CERTIFICATE_NOT_TRUSTED, "not trusted");
	else if (w->client_handshake && how & 4) {
		if (how & 1)
			world_client_tls_failed(w, "no common version");
		else
			world_client_tls_done(w, how & 2);
	} else if (w->parked == MX_OPEN && how % 16 == 7)
		world_parked_lost(w, "connection closed");
	else if (w->mx == MX_DIALLED) {
		if (how % 8 == 1) {
			world_connect_failed(w, "Connection refused");
		} else if (how % 8 == 2 && w->dial_reuse) {
			world_reused(w, how & 8);
			if (how & 16)	/* what was told then */
				world_client(w, SPAN("EHLO client.example\r\n"));
		} else
			world_connected(w);
	} else if (w->mx == MX_HANDSHAKE) {
		if (how & 1)
			world_tls_failed(w, "bad certificate", true);
		else
			world_tls_done(w, how & 2);
	} else if (w->mx == MX_OPEN && how % 4 == 3)
		world_eof(w, SESSION_UPSTREAM, how & 8 ? "reset" : "");
}

static void
spool_event(struct world *w, unsigned how)
{
	struct session_event ev = { .type = SESSION_SPOOL_FAILED };

	switch (how & 3) {
	case 0:
		w->spool_waits = true;
		break;
	case 1:
		w->spool_waits = false;
		if (w->spool_wanted)
			world_spool(w);
		break;
	case 2:
		w->spool_fails = true;
		break;
	case 3:
		ev.u.failed.why = "Input/output error";
		w->spool_wanted = false;
		world_feed(w, &ev);
	}
}

static void
other_event(struct world *w, unsigned how)
{
	struct session_event ev = { .type = SESSION_DRAIN };

	if (how % 4 == 1)
		ev.type = SESSION_BLOCKED;
	else if (how % 4 == 2)
		ev.type = SESSION_UNBLOCKED;
	else if (how % 4 == 3) {
		w->split = (enum world_split)(how / 4 % 3);
		return;
	}
	world_feed(w, &ev);
}

static void
lose(struct world *w, unsigned policy)
{
	if (w->seats[policy].ready && !w->lost[policy])
		world_lost(w, policy, POLICY_ERROR_CONNECT);
}

static void
step(struct world *w, struct input *in)
{
	static const uint64_t times[] = { 1000, 1000000, 3000000, 60000000,
	    200000000, 1000000000 };
	unsigned op = take(in), arg = take(in);

	switch (op % 16) {
	case 0:
		world_client(w, take_bytes(in, arg));
		break;
	case 1: case 2: case 3:
		world_client(w, span_str(client_says[arg %
		    ARRAY_LEN(client_says)]));
		break;
	case 4:
		world_mx(w, take_bytes(in, arg));
		break;
	case 5:
		world_mx(w, span_str(mx_says[arg % ARRAY_LEN(mx_says)]));
		break;
	case 6: case 7:
		mx_replies(w, arg);
		break;
	case 8:
		peer_event(w, arg);
		break;
	case 9: case 10:
		policy_answers(w, op / 16, arg);
		break;
	case 11:
		if (op / 16 % 2 == 1) {
			policy_credits(w, arg);
			break;
		}
		if (!w->seats[arg & 1].ready)	/* it cannot have spoken */
			break;
		w->may_discard = w->may_discard_message = true;
		w->may_edit = true;	/* who knows */
		world_answer(w, arg & 1, take_bytes(in, arg / 2));
		break;
	case 12:
		if ((arg & 6) == 6)
			world_back(w, arg / 8 % POLICIES,
			    &w->seats[arg / 8 % POLICIES]);
		else if (arg & 2)
			lose(w, arg / 8 % POLICIES);
		else
			world_answer_error(w, arg & 1, arg / 4,
			    POLICY_ERROR_OVERLOAD);
		break;
	case 13:
		world_pass(w, times[arg % ARRAY_LEN(times)]);
		break;
	case 14:
		spool_event(w, arg);
		break;
	case 15:
		if (arg < 16)
			world_eof(w, SESSION_CLIENT, arg & 1 ? "reset" : "");
		else
			other_event(w, arg);
	}
}

/* Everybody leaves, and time passes: so must the session. */
static void
leave(struct world *w)
{
	unsigned i;

	w->spool_waits = false;
	if (w->spool_wanted)
		world_spool(w);
	if (w->client_handshake)
		world_client_tls_failed(w, "closed");
	world_eof(w, SESSION_CLIENT, "");
	/* a recipient that has to go elsewhere may wait behind another one */
	for (i = 0; i < 30 && !w->client_ended; i++) {
		if (w->verify != 0)
			world_verified(w, TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
			    "not trusted");
		if (w->mx == MX_DIALLED)
			world_connect_failed(w, "Connection timed out");
		if (w->mx == MX_HANDSHAKE)
			world_tls_failed(w, "timed out", false);
		if (w->mx == MX_OPEN)
			world_eof(w, SESSION_UPSTREAM, "");
		world_pass(w, 3600000000);
	}
	if (!w->client_ended)
		world_breaks(w, "the session outlives its peers");
}

static void
seats(struct world *w, struct input *in, bool content)
{
	unsigned i, bits = 0;

	for (i = 0; i < POLICIES; i++) {
		bits = i < 3 ? take(in) : bits * 7 & 255;
		w->seats[i] = (struct session_policy){ .known = true,
		    .ready = true, .version = "1", .decide = bits << 3 &
		    POLICY_PHASES_DECIDABLE, .notify = (bits & 1) == 0 ?
		    POLICY_PHASES_ALL : bits << 8 & POLICY_PHASES_ALL };
		if (bits & 2)
			w->seats[i].decide |=
			    POLICY_PHASE_BIT(POLICY_PHASE_CONNECT);
		if (bits == 255)
			w->seats[i].known = w->seats[i].ready = false;
		if ((bits & 60) == 60)
			w->seats[i].body_prefix = 3;
		if (!content)
			continue;
		bits = i < 3 ? take(in) : bits * 5 & 255;
		w->seats[i].decide |= bits << 10 & POLICY_PHASES_CONTENT;
		w->seats[i].body_credit = bits >> 4;
	}
}

#define CONFS(reuse) \
	CONF("none", "", reuse), CONF("may", "", reuse), \
	CONF("verify", "", reuse), CONF("none", OFFER, reuse), \
	CONF("may", OFFER, reuse), CONF("encrypt", OFFER, reuse), \
	CONF("none", PASS, reuse), CONF("may", PASS, reuse), \
	CONF("encrypt", PASS, reuse)

static struct config *
config_of(unsigned level)
{
	static const char *const texts[] = { CONFS("0s"), CONFS("5s") };
	static struct config *configs[ARRAY_LEN(texts)];
	struct buf errors = { 0 };

	if (configs[level] == NULL)
		configs[level] = config_load_text("fuzz",
		    span_str(texts[level]), &errors);
	if (configs[level] == NULL) {
		fprintf(stderr, "%.*s\n", (int)buf_len(&errors),
		    (const char *)buf_span(&errors).data);
		abort();
	}
	return configs[level];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size < 4096 ? size : 4096 };
	struct world w;
	struct session_open open;
	unsigned first = take(&in);

	world_init_config(&w, config_of(first % 3 + (first & 32 ? 3 :
	    first & 64 ? 6 : 0) + (first & 128 ? 9 : 0)));
	seats(&w, &in, first & 16);
	open = world_open(&w);
	w.tls_failed_before = first & 4;
	open.record = (first & 8) == 0;
	world_start(&w, &open);
	while (in.left > 0 && !w.client_ended && w.broken == NULL)
		step(&w, &in);
	if (w.broken == NULL && !w.client_ended)
		leave(&w);
	if (w.broken != NULL) {
		fprintf(stderr, "PROMISE: %s\n", w.broken);
		abort();
	}
	world_release(&w);
	return 0;
}

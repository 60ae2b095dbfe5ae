/*
 * One leg of a session as an onlooker reads it: commands one way, replies the
 * other. Written apart from src/session, with SMTP's rules only, so that what
 * it counts can be held against what the session did.
 */
#ifndef WEIR_TESTS_REPLAY_DIALOGUE_H
#define WEIR_TESTS_REPLAY_DIALOGUE_H

#include "base/buf.h"
#include "smtp/line.h"
#include "smtp/reply.h"

enum dialogue_mode {
	DIALOGUE_COMMAND,
	DIALOGUE_WAIT,		/* what follows depends on the next reply */
	DIALOGUE_CONTENT,
	DIALOGUE_CHUNK,
	DIALOGUE_LINE,		/* of AUTH */
	DIALOGUE_OFF,		/* no SMTP that can be followed any more */
};

enum dialogue_item {
	ITEM_GREETING, ITEM_OTHER, ITEM_RCPT, ITEM_DATA, ITEM_FINAL,
	ITEM_CHUNK, ITEM_AUTH, ITEM_UNKNOWN, ITEM_QUIT, ITEM_STARTTLS,
};

struct dialogue {
	enum dialogue_mode mode;
	struct buf in, replies;
	struct smtp_line_parser line;
	struct smtp_reply_parser reply;
	struct buf items;		/* bytes, enum dialogue_item */
	uint64_t chunk;
	bool chunk_last, chunks;	/* chunks: it has said BDAT */
	bool starttls_ends;		/* what is behind it nobody can read */
	bool answered_early;
	bool surplus;			/* a reply that nothing asked for */
	bool said_421;
	struct buf content;		/* of the message under way, as sent */
	struct buf *messages;		/* those that the sender completed */
	size_t n_messages;
	unsigned n_commands, n_replies;
	unsigned rcpt_ok, final_ok;	/* 2xx replies to them */
};

void dialogue_init(struct dialogue *d);
void dialogue_release(struct dialogue *d);
void dialogue_commands(struct dialogue *d, struct span bytes);
void dialogue_replies(struct dialogue *d, struct span bytes);

#endif

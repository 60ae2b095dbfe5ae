/*
 * Frames: where one message of the policy protocol ends and the next begins.
 * The length is looked at before anybody reserves memory for it. When the
 * other side turns out to speak something else, the operator is told what it
 * looks like: a wrong port is the usual cause.
 */
#include "base/compiler.h"
#include "policy/codec.h"

enum policy_frame_type
policy_frame_next(struct span in, uint32_t max, struct span *frame_r,
    size_t *need_r)
{
	uint32_t length;

	*frame_r = (struct span){ 0 };
	*need_r = 4;
	if (in.len < 4)
		return POLICY_FRAME_MORE;
	length = (uint32_t)in.data[0] << 24 | (uint32_t)in.data[1] << 16 |
	    (uint32_t)in.data[2] << 8 | (uint32_t)in.data[3];
	if (length > max)
		return POLICY_FRAME_TOO_LARGE;
	*need_r = (size_t)length + 4;
	if (in.len < *need_r)
		return POLICY_FRAME_MORE;
	*frame_r = span_of(in.data + 4, length);
	return POLICY_FRAME_OK;
}

/* The settings that an HTTP/2 server sends first: nine octets of which only
 * the two low ones of the length, and the ACK flag, vary. */
static bool
is_http2(struct span s)
{
	return s.len >= 9 && s.data[0] == 0 && s.data[3] == 4 &&
	    s.data[4] <= 1 && memcmp(s.data + 5, "\0\0\0\0", 4) == 0;
}

/* Handshake, or alert, of any version of TLS. */
static bool
is_tls(struct span s)
{
	return s.len >= 3 && (s.data[0] == 0x15 || s.data[0] == 0x16) &&
	    s.data[1] == 3 && s.data[2] <= 4;
}

/* The same framing, then one letter that stands for a response. */
static bool
is_milter(struct span s)
{
	return s.len >= 5 && s.data[0] == 0 && s.data[1] == 0 &&
	    s.data[4] != 0 && strchr("acdehimOpqrsty+-", s.data[4]) != NULL;
}

static bool
is_smtp(struct span s)
{
	return s.len >= 4 && s.data[0] >= '2' && s.data[0] <= '5' &&
	    s.data[1] >= '0' && s.data[1] <= '9' &&
	    s.data[2] >= '0' && s.data[2] <= '9' &&
	    (s.data[3] == ' ' || s.data[3] == '-');
}

/* A small length, but in the order of bytes of the server's machine. */
static bool
is_little_endian(struct span s)
{
	return s.len >= 5 && s.data[0] != 0 && s.data[2] == 0 &&
	    s.data[3] == 0;
}

#define WELCOME_TAG 0x52	/* field 10, with a length: as every answer to
				   Hello begins */

/* protobuf's own way to delimit messages: a varint, small since a Welcome is,
 * that counts the tag, the length (here of one byte) and the rest. */
static bool
is_varint_length(struct span s)
{
	return s.len >= 3 && s.data[0] > 2 && s.data[0] < 0x80 &&
	    s.data[1] == WELCOME_TAG && s.data[2] == s.data[0] - 2;
}

/* A Welcome whose first field follows at once. */
static bool
is_without_length(struct span s)
{
	return s.len >= 3 && s.data[0] == WELCOME_TAG && s.data[1] < 0x80 &&
	    s.data[2] >= 0x08 && s.data[2] <= 0x3a;
}

/* A frame that begins as Hello does: major 1, then weir's name. */
static bool
is_own_hello(struct span s)
{
	static const char hello[] = "\x08\x01\x12";
	struct span head = span_take(span_skip(s, 4), 8);

	return s.len >= 5 && s.data[4] == WELCOME_TAG &&
	    memmem(head.data, head.len, hello, sizeof(hello) - 1) != NULL;
}

static bool
is_text(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((s.data[i] < ' ' || s.data[i] > '~') &&
		    s.data[i] != '\t' && s.data[i] != '\r' &&
		    s.data[i] != '\n')
			return false;
	return s.len > 0;
}

/* In this order: the first that fits is the narrowest. */
static const struct {
	bool (*fits)(struct span s);
	const char *words;
} looks[] = {
	{ is_own_hello, "this is weir's own Hello: the server sends back what "
	    "it gets" },
	{ is_smtp, "this looks like an SMTP server: it is the wrong port" },
	{ is_tls, "this looks like TLS: write endpoint = \"tls:...\"" },
	{ is_http2, "this looks like HTTP/2 (gRPC?): the protocol is frames of "
	    "protobuf, without gRPC" },
	{ is_milter, "this looks like a milter: weir speaks to those by "
	    "contrib/milter-bridge" },
	{ is_little_endian, "the length seems to be little-endian; it must be "
	    "big-endian" },
	{ is_varint_length, "the length seems to be a varint; it must be 4 "
	    "bytes, big-endian" },
	{ is_without_length, "a message without its length; 4 bytes, "
	    "big-endian, must come before it" },
	{ is_text, "this looks like text: it is the wrong port, or something "
	    "prints into the connection" },
};

const char *
policy_frame_guess(struct span s)
{
	static const struct { struct span prefix; const char *words; } texts[] = {
		{ SPAN("HTTP/"), "this looks like HTTP: it is the wrong port, "
		    "or a web framework" },
		{ SPAN("<!DOCTYPE"), "this looks like HTTP: it is the wrong "
		    "port, or a web framework" },
		{ SPAN("<html"), "this looks like HTTP: it is the wrong port, "
		    "or a web framework" },
		{ SPAN("PRI * HTTP/2"), "this looks like HTTP/2 (gRPC?): the "
		    "protocol is frames of protobuf, without gRPC" },
		{ SPAN("SSH-"), "this looks like SSH: it is the wrong port" },
		{ SPAN("action="), "this looks like a Postfix policy service: "
		    "weir does not speak to those" },
		{ SPAN("+OK"), "this looks like a POP3 or Redis server" },
		{ SPAN("-ERR"), "this looks like a POP3 or Redis server" },
		{ SPAN("* OK"), "this looks like an IMAP server" },
		{ SPAN("{"), "this looks like JSON: weir speaks protobuf's "
		    "binary form" },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (span_starts_nocase(s, texts[i].prefix))
			return texts[i].words;
	for (size_t i = 0; i < ARRAY_LEN(looks); i++)
		if (looks[i].fits(s))
			return looks[i].words;
	return "no frame of this protocol";
}

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

const char *
policy_frame_guess(struct span s)
{
	static const struct { struct span prefix; const char *words; } texts[] = {
		{ SPAN("HTTP/"), "this looks like HTTP" },
		{ SPAN("<!DOCTYPE"), "this looks like HTTP" },
		{ SPAN("<html"), "this looks like HTTP" },
		{ SPAN("SSH-"), "this looks like SSH" },
		{ SPAN("action="), "this looks like a Postfix policy service" },
		{ SPAN("+OK"), "this looks like a POP3 or Redis server" },
		{ SPAN("-ERR"), "this looks like a POP3 or Redis server" },
		{ SPAN("* OK"), "this looks like an IMAP server" },
		{ SPAN("{"), "this looks like JSON" },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (span_starts_nocase(s, texts[i].prefix))
			return texts[i].words;
	if (is_smtp(s))
		return "this looks like an SMTP server";
	if (is_tls(s))
		return "this looks like TLS";
	if (is_http2(s))
		return "this looks like HTTP/2 (gRPC?)";
	if (is_milter(s))
		return "this looks like a milter";
	if (is_little_endian(s))
		return "the length seems to be little-endian; "
		    "it must be big-endian";
	return "no frame of this protocol";
}

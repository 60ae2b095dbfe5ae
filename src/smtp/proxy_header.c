/*
 * Strict: what comes here decides whom weir believes to serve and where it
 * connects to, so a header that could be read in two ways is none. Where the
 * protocol leaves a choice to the receiver (datagrams, unix sockets, families
 * to come) nothing is known of the client: UNKNOWN.
 */
#include "smtp/proxy_header.h"

#define LINE_MAX_LEN 107	/* of version 1, with its CRLF */
#define FIXED_LEN 16		/* of version 2, before the addresses */

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static size_t
bad(struct proxy_header *h, const char *why)
{
	*h = (struct proxy_header){ .type = PROXY_HEADER_BAD, .why = why };
	return 0;
}

/* ---------------------------------------------------------------- version 1 */

/* The next word of the line, up to one space or the end. */
static struct span
word_take(struct span *line)
{
	size_t end = span_find(*line, ' ');
	struct span word = span_take(*line, end);

	*line = span_skip(*line, end + 1);
	return word;
}

static bool
ip_read(struct span word, bool six, struct addr *a_r)
{
	return (span_find(word, ':') < word.len) == six &&
	    span_find(word, '%') == word.len && addr_parse(word, a_r) == 0;
}

static bool
port_read(struct span word, uint16_t *port_r)
{
	uint64_t port;

	if ((word.len > 1 && word.data[0] == '0') ||
	    span_to_u64(word, &port) != 0 || port > UINT16_MAX)
		return false;
	*port_r = (uint16_t)port;
	return true;
}

/* "PROXY TCP4 client destination port port", without the CRLF. */
static bool
line_read(struct span line, struct proxy_header *h)
{
	struct span family;
	bool six;

	word_take(&line);
	family = word_take(&line);
	h->version = 1;
	if (span_eq(family, SPAN("UNKNOWN"))) {
		h->type = PROXY_HEADER_UNKNOWN;	/* the rest is ignored */
		return true;
	}
	six = span_eq(family, SPAN("TCP6"));
	h->type = PROXY_HEADER_CLIENT;
	return (six || span_eq(family, SPAN("TCP4"))) &&
	    ip_read(word_take(&line), six, &h->client) &&
	    ip_read(word_take(&line), six, &h->destination) &&
	    port_read(word_take(&line), &h->client.port) &&
	    port_read(line, &h->destination.port);
}

static size_t
parse_line(struct span in, struct proxy_header *h)
{
	size_t cr = span_find(span_take(in, LINE_MAX_LEN - 1), '\r');

	if (span_find(span_take(in, cr), '\n') < cr)
		return bad(h, "a PROXY line that ends without CR");
	if (cr == LINE_MAX_LEN - 1)
		return bad(h, "a PROXY line of more than 107 bytes");
	if (cr + 1 >= in.len)
		return 0;
	if (in.data[cr + 1] != '\n')
		return bad(h, "a PROXY line with a bare CR");
	if (!line_read(span_take(in, cr), h))
		return bad(h, "a PROXY line that cannot be read");
	return cr + 2;
}

/* ---------------------------------------------------------------- version 2 */

static uint16_t
u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* IPv4 inside IPv6 becomes IPv4, as everywhere. */
static struct addr
ip_of(const uint8_t *ip, size_t len, const uint8_t *port)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct addr a = { .family = ADDR_IPV4, .port = u16(port) };

	if (len == 16 && memcmp(ip, mapped, sizeof(mapped)) == 0) {
		ip += sizeof(mapped);
		len = 4;
	}
	if (len == 16)
		a.family = ADDR_IPV6;
	memcpy(a.ip, ip, len);
	return a;
}

/* Type, length and value, one behind the other to the very end. */
static bool
additions_are_whole(struct span rest)
{
	while (rest.len >= 3) {
		size_t len = 3u + u16(rest.data + 1);

		if (len > rest.len)
			return false;
		rest = span_skip(rest, len);
	}
	return rest.len == 0;
}

/* body: what follows the fixed part. Returns NULL, or what is wrong. */
static const char *
body_read(uint8_t family, struct span body, struct proxy_header *h)
{
	size_t ip = family == 0x11 ? 4 : 16, addresses = 2 * ip + 4;

	/* Nothing is said of how the others go on. */
	if (h->type != PROXY_HEADER_CLIENT)
		return NULL;
	if (body.len < addresses)
		return "a PROXY header too short for its addresses";
	h->client = ip_of(body.data, ip, body.data + 2 * ip);
	h->destination = ip_of(body.data + ip, ip, body.data + 2 * ip + 2);
	if (!additions_are_whole(span_skip(body, addresses)))
		return "a PROXY header with an addition that is cut off";
	return NULL;
}

static size_t
parse_binary(struct span in, struct proxy_header *h)
{
	const char *why;
	size_t len;

	if (in.len > 12 && in.data[12] != 0x20 && in.data[12] != 0x21)
		return bad(h, "a PROXY header of an unknown version or command");
	if (in.len > 13 && (in.data[13] >> 4 > 3 || (in.data[13] & 15) > 2))
		return bad(h, "a PROXY header of an unknown family");
	if (in.len < FIXED_LEN)
		return 0;
	len = FIXED_LEN + (size_t)u16(in.data + 14);
	if (len > PROXY_HEADER_MAX)
		return bad(h, "a PROXY header of more than 8192 bytes");
	if (in.len < len)
		return 0;
	h->version = 2;
	h->type = in.data[12] == 0x20 ? PROXY_HEADER_LOCAL :
	    in.data[13] == 0x11 || in.data[13] == 0x21 ? PROXY_HEADER_CLIENT :
	    PROXY_HEADER_UNKNOWN;
	why = body_read(in.data[13], span_skip(span_take(in, len), FIXED_LEN),
	    h);
	return why == NULL ? len : bad(h, why);
}

/* --------------------------------------------------------------------- both */

/* Does `in` begin with word, as far as it goes? */
static bool
begins(struct span in, struct span word)
{
	return span_eq(span_take(in, word.len), span_take(word, in.len));
}

size_t
proxy_header_parse(struct span in, struct proxy_header *h_r)
{
	*h_r = (struct proxy_header){ .type = PROXY_HEADER_MORE };
	if (begins(in, span_of(signature, sizeof(signature))))
		return parse_binary(in, h_r);
	if (begins(in, SPAN("PROXY ")))
		return parse_line(in, h_r);
	return bad(h_r, "no PROXY header");
}

void
proxy_header_write(struct buf *out, const struct addr *client,
    const struct addr *destination)
{
	enum addr_family family = client->family == destination->family ?
	    client->family : ADDR_NONE;
	size_t ip = family == ADDR_IPV4 ? 4 : family == ADDR_IPV6 ? 16 : 0;
	size_t len = ip == 0 ? 0 : 2 * ip + 4;

	buf_append(out, span_of(signature, sizeof(signature)));
	buf_append_byte(out, 0x21);
	buf_append_byte(out, ip == 4 ? 0x11 : ip == 16 ? 0x21 : 0);
	buf_append_byte(out, 0);
	buf_append_byte(out, (uint8_t)len);
	if (len == 0)
		return;
	buf_append(out, span_of(client->ip, ip));
	buf_append(out, span_of(destination->ip, ip));
	buf_append_byte(out, (uint8_t)(client->port >> 8));
	buf_append_byte(out, (uint8_t)client->port);
	buf_append_byte(out, (uint8_t)(destination->port >> 8));
	buf_append_byte(out, (uint8_t)destination->port);
}

/*
 * The first exchange of a connection. A filter that asks for more than was
 * offered is broken, and refused at once rather than misunderstood later.
 */
#include "milter-bridge/negotiate.h"

void
milter_negotiate_offer(struct buf *out, uint32_t version)
{
	size_t start = milter_packet_begin(out, MILTER_OPTNEG);

	milter_packet_u32(out, version);
	milter_packet_u32(out, MILTER_DO_ALL);
	milter_packet_u32(out, MILTER_WAYS_ALL);
	milter_packet_end(out, start);
}

static bool
take_u32(struct span *rest, uint32_t *value_r)
{
	if (rest->len < 4)
		return false;
	*value_r = (uint32_t)rest->data[0] << 24 |
	    (uint32_t)rest->data[1] << 16 | (uint32_t)rest->data[2] << 8 |
	    rest->data[3];
	*rest = span_skip(*rest, 4);
	return true;
}

static const char *
take_symbols(struct span rest, struct milter_terms *terms_r)
{
	while (rest.len > 0) {
		uint32_t stage;
		size_t n;

		if (!take_u32(&rest, &stage))
			return "the list of macros is cut";
		n = span_find(rest, '\0');
		if (n == rest.len)
			return "the list of macros has no end";
		/* libmilter numbers a stage that is unknown here: not ours */
		if (stage < MILTER_STAGES) {
			terms_r->chosen[stage] = true;
			terms_r->symbols[stage] = span_take(rest, n);
		}
		rest = span_skip(rest, n + 1);
	}
	return NULL;
}

const char *
milter_negotiate_decode(const struct milter_packet *packet, uint32_t offered,
    struct milter_terms *terms_r)
{
	struct span rest = packet->payload;

	*terms_r = (struct milter_terms){ 0 };
	if (packet->letter != MILTER_OPTNEG)
		return "it does not answer the negotiation";
	if (!take_u32(&rest, &terms_r->version) ||
	    !take_u32(&rest, &terms_r->actions) ||
	    !take_u32(&rest, &terms_r->ways))
		return "the answer to the negotiation is cut";
	if (terms_r->version < MILTER_VERSION_MIN ||
	    terms_r->version > offered)
		return "it speaks another version of the protocol";
	if ((terms_r->actions & ~(uint32_t)MILTER_DO_ALL) != 0)
		return "it wants actions that were not offered";
	if ((terms_r->ways & ~(uint32_t)MILTER_WAYS_ALL) != 0)
		return "it wants protocol options that were not offered";
	return take_symbols(rest, terms_r);
}

bool
milter_negotiate_wants(const struct milter_terms *terms,
    enum milter_command command)
{
	return (terms->ways & milter_command_omit(command)) == 0 &&
	    terms->version >= milter_command_since(command);
}

bool
milter_negotiate_answers(const struct milter_terms *terms,
    enum milter_command command)
{
	return (terms->ways & milter_command_no_reply(command)) == 0;
}

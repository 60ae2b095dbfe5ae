/*
 * The library that brings the answers has expanded compressed names already,
 * so a compression pointer here is no name. Names become host names or
 * nothing: one with a dot, a NUL or a space inside a label names no mail
 * exchanger, and would mean something else as text.
 */
#include "net/dns_record.h"

#include <string.h>

#define LABEL_MAX 63

static int
name_byte(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 'a';
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '_' ? c : -1;
}

int
dns_name(struct span text, char name_r[DNS_NAME_MAX])
{
	size_t i, label = 0;

	if (text.len > 0 && text.data[text.len - 1] == '.')
		text.len--;
	if (text.len == 0 || text.len >= DNS_NAME_MAX)
		return -1;
	for (i = 0; i < text.len; i++) {
		int c = text.data[i] == '.' && label > 0 ? '.' :
		    name_byte(text.data[i]);

		label = c == '.' ? 0 : label + 1;
		if (c < 0 || label > LABEL_MAX)
			return -1;
		name_r[i] = (char)c;
	}
	name_r[i] = '\0';
	return label > 0 ? 0 : -1;
}

/* A name that takes up all of wire: labels, each behind its length, and a 0. */
static int
wire_name(struct span wire, char name_r[DNS_NAME_MAX])
{
	size_t n = 0, i;

	while (wire.len > 0 && wire.data[0] != 0) {
		size_t label = wire.data[0];

		if (label > LABEL_MAX || label >= wire.len ||
		    n + label + 1 >= DNS_NAME_MAX)
			return -1;
		if (n > 0)
			name_r[n++] = '.';
		for (i = 1; i <= label; i++) {
			int c = name_byte(wire.data[i]);

			if (c < 0)
				return -1;
			name_r[n++] = (char)c;
		}
		wire = span_skip(wire, label + 1);
	}
	name_r[n] = '\0';
	return wire.len == 1 ? 0 : -1;
}

int
dns_record_addr(enum dns_type type, struct span data, struct addr *addr_r)
{
	size_t len = type == DNS_A ? 4 : 16;
	struct addr a = { .family = type == DNS_A ? ADDR_IPV4 : ADDR_IPV6 };

	if (data.len != len)
		return -1;
	memcpy(a.ip, data.data, len);
	*addr_r = a;
	return 0;
}

int
dns_record_mx(struct span data, struct dns_mx *mx_r)
{
	if (data.len < 3)
		return -1;
	mx_r->preference = (uint16_t)(data.data[0] << 8 | data.data[1]);
	return wire_name(span_skip(data, 2), mx_r->host);
}

int
dns_record_tlsa(struct span data, struct dns_tlsa *tlsa_r)
{
	if (data.len < 4)
		return -1;
	tlsa_r->usage = data.data[0];
	tlsa_r->selector = data.data[1];
	tlsa_r->matching = data.data[2];
	tlsa_r->data = span_skip(data, 3);
	return 0;
}

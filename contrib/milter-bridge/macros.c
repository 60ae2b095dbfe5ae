/*
 * The names are Sendmail's; which are sent when is Postfix's default, with
 * the client's address at CONNECT and MAIL as filters recommend it for
 * Postfix anyway. The queue id (i) is the ULID of weir's transaction, by
 * which the record knows the message, too.
 */
#include "milter-bridge/macros.h"

#include <assert.h>
#include <stdlib.h>

static const char *const macro_names[] = {
	[MACRO_J] = "j", [MACRO_V] = "v", [MACRO_I] = "i",
	[MACRO_UNDERSCORE] = "_",
	[MACRO_DAEMON_NAME] = "{daemon_name}",
	[MACRO_DAEMON_ADDR] = "{daemon_addr}",
	[MACRO_DAEMON_PORT] = "{daemon_port}",
	[MACRO_IF_ADDR] = "{if_addr}", [MACRO_IF_NAME] = "{if_name}",
	[MACRO_CLIENT_ADDR] = "{client_addr}",
	[MACRO_CLIENT_NAME] = "{client_name}",
	[MACRO_CLIENT_PTR] = "{client_ptr}",
	[MACRO_CLIENT_PORT] = "{client_port}",
	[MACRO_TLS_VERSION] = "{tls_version}", [MACRO_CIPHER] = "{cipher}",
	[MACRO_CIPHER_BITS] = "{cipher_bits}",
	[MACRO_CERT_SUBJECT] = "{cert_subject}",
	[MACRO_CERT_ISSUER] = "{cert_issuer}",
	[MACRO_AUTH_TYPE] = "{auth_type}",
	[MACRO_AUTH_AUTHEN] = "{auth_authen}",
	[MACRO_MAIL_ADDR] = "{mail_addr}", [MACRO_MAIL_HOST] = "{mail_host}",
	[MACRO_MAIL_MAILER] = "{mail_mailer}",
	[MACRO_RCPT_ADDR] = "{rcpt_addr}", [MACRO_RCPT_HOST] = "{rcpt_host}",
	[MACRO_RCPT_MAILER] = "{rcpt_mailer}",
};

static const char *const usual[] = {
	[MILTER_AT_CONNECT] = "j {daemon_name} {daemon_addr} {daemon_port} v _"
	    " {if_addr} {if_name} {client_addr} {client_name} {client_ptr}"
	    " {client_port}",
	[MILTER_AT_HELO] = "{tls_version} {cipher} {cipher_bits}"
	    " {cert_subject} {cert_issuer}",
	[MILTER_AT_MAIL] = "i {auth_type} {auth_authen} {mail_addr}"
	    " {mail_host} {mail_mailer} {client_addr} {client_name}",
	[MILTER_AT_RCPT] = "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
	[MILTER_AT_DATA] = "i", [MILTER_AT_END] = "i", [MILTER_AT_EOH] = "i",
};

static_assert(ARRAY_LEN(macro_names) == MACROS, "name every macro");
static_assert(ARRAY_LEN(usual) == MILTER_STAGES, "give every stage a list");

void
milter_macros_release(struct milter_macros *m)
{
	for (size_t i = 0; i < MACROS; i++)
		free(m->values[i]);
	*m = (struct milter_macros){ 0 };
}

void
milter_macros_set(struct milter_macros *m, enum milter_macro macro,
    struct span value)
{
	free(m->values[macro]);
	m->values[macro] = value.len == 0 ? NULL : span_dup(value);
}

void
milter_macros_address(struct milter_macros *m, enum milter_macro first,
    struct span address)
{
	struct span host = SPAN("");

	for (size_t at = address.len; at > 0; at--)
		if (address.data[at - 1] == '@') {
			host = span_skip(address, at);
			break;
		}
	free(m->values[first]);
	m->values[first] = span_dup(address);
	milter_macros_set(m, first + 1, host);
	milter_macros_set(m, first + 2, SPAN("smtp"));
}

enum milter_stage
milter_macros_stage(enum milter_command command)
{
	switch (command) {
	case MILTER_CONNECT: return MILTER_AT_CONNECT;
	case MILTER_HELO: return MILTER_AT_HELO;
	case MILTER_MAIL: return MILTER_AT_MAIL;
	case MILTER_RCPT: return MILTER_AT_RCPT;
	case MILTER_DATA: return MILTER_AT_DATA;
	case MILTER_HEADER:
	case MILTER_EOH: return MILTER_AT_EOH;
	case MILTER_BODY:
	case MILTER_END: return MILTER_AT_END;
	default: return MILTER_STAGES;
	}
}

/* Filters may also ask for "client_addr" and get "{client_addr}". */
static const char *
value_of(const struct milter_macros *m, struct span name)
{
	for (size_t i = 0; i < MACROS; i++) {
		struct span known = span_str(macro_names[i]);

		if (span_eq(known, name) || (known.len > 2 &&
		    span_eq(span_take(span_skip(known, 1), known.len - 2),
		    name)))
			return m->values[i];
	}
	return NULL;
}

static bool
is_separator(uint8_t c)
{
	return c == ' ' || c == ',' || c == '\t';
}

void
milter_macros_put(struct buf *out, const struct milter_macros *m,
    enum milter_command command, const struct span *names)
{
	enum milter_stage stage = milter_macros_stage(command);
	struct span rest, name;
	size_t start;

	rest = names != NULL ? *names : span_str(stage == MILTER_STAGES ? "" :
	    usual[stage]);
	start = milter_packet_begin(out, MILTER_MACRO);
	buf_append_byte(out, (uint8_t)command);
	while (rest.len > 0) {
		size_t n = 0;
		const char *value;

		while (n < rest.len && !is_separator(rest.data[n]))
			n++;
		name = span_take(rest, n);
		rest = span_skip(rest, n + 1);
		value = n == 0 ? NULL : value_of(m, name);
		if (value == NULL)
			continue;
		milter_packet_text(out, name);
		milter_packet_text(out, span_str(value));
	}
	milter_packet_end(out, start);
}

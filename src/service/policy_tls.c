/*
 * TLS to a policy server. GnuTLS knows what went wrong; what the operator
 * wants to know is which key of weir.conf, or which file of the server, to
 * look at. Nothing is sent to a server that is not the expected one: not even
 * Hello.
 */
#include "service/policy_tls.h"

#include <stdio.h>

#include "base/compiler.h"
#include "policy/codec.h"

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3"

static const char *
expected_name(const struct config_policy *block)
{
	return block->tls_name[0] != '\0' ? block->tls_name : block->host;
}

struct tls_client *
policy_tls_new(const struct config_policy *block, char **why_r)
{
	struct tls_client_options options = {
		.priority = PRIORITY,
		.ca_file = block->tls_ca,
		.cert_file = block->tls_certificate,
		.key_file = block->tls_key,
	};

	return tls_client_new(&options, why_r);
}

const char *
policy_tls_server_name(const struct config_policy *block)
{
	const char *name = expected_name(block);
	struct addr literal;

	return addr_parse(span_str(name), &literal) == 0 ? "" : name;
}

bool
policy_tls_trusts(const struct config_policy *block,
    const struct tls_info *info, char *why, size_t size)
{
	const char *name = expected_name(block);

	if (!info->verified)
		snprintf(why, size, "its certificate, of \"%s\" and issued by "
		    "\"%s\", is not valid for who trusts tls_ca: %s",
		    info->subject, info->issuer, info->verify_error);
	else if (!tls_certificate_matches(info->certificate, name))
		snprintf(why, size, "its certificate is of \"%s\" and not for "
		    "%s: tls_name is the name to expect", info->subject, name);
	else
		return true;
	return false;
}

void
policy_tls_explain(const char *error, struct span first, char *why,
    size_t size)
{
	static const struct { const char *part, *advice; } rows[] = {
		{ "Certificate is required", "it wants a client certificate: "
		    "write tls_certificate and tls_key" },
		{ "protocol version", "it does not speak TLS 1.3" },
		{ "CA is unknown", "it does not trust the authority of weir's "
		    "tls_certificate" },
		{ "ertificate", "it does not take weir's tls_certificate" },
		{ "timed out", "perhaps it does not speak TLS: then write "
		    "endpoint = \"tcp:...\"" },
		{ "closed by peer", "perhaps it does not speak TLS: then write "
		    "endpoint = \"tcp:...\"" },
	};
	const char *advice = NULL;

	if (first.len > 0 && first.data[0] != 0x15 && first.data[0] != 0x16) {
		snprintf(why, size, "it does not speak TLS: %s",
		    policy_frame_guess(first));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows) && advice == NULL; i++)
		if (strstr(error, rows[i].part) != NULL)
			advice = rows[i].advice;
	snprintf(why, size, "%s%s%s", error, advice == NULL ? "" : ": ",
	    advice == NULL ? "" : advice);
}

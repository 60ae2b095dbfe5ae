/*
 * Rules between keys.
 */
#include <ctype.h>
#include <sys/un.h>

#include "config/build.h"

static bool
is_name(const char *s, size_t max)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("._-", s[i]) == NULL)
			return false;
	return i > 0 && i <= max;
}

static bool
is_empty(const struct config_part *part, const char *key)
{
	const struct config_given *g = config_part_given(part, key);

	return !g->given || g->n == 0 || g->texts[0][0] == '\0';
}

/* Names stand in log lines, metrics and policy events. */
static void
check_title(const struct config_part *part, struct config_report *report)
{
	if (!is_name(part->title, 64))
		config_report_add(report, part->line,
		    "\"%.80s\" is no name; write 1 to 64 letters, digits, "
		    "\".\", \"_\" or \"-\"", part->title);
}

/* A host name, or an address literal as EHLO allows. */
static void
check_host(const struct config_part *part, const char *key, const char *name,
    struct config_report *report)
{
	size_t len = strlen(name);

	if (len == 0 || is_name(name, 253) ||
	    (name[0] == '[' && name[len - 1] == ']' && len <= 64 &&
	    strcspn(name, " \t\r\n") == len))
		return;
	config_report_add(report, config_part_line(part, key),
	    "%s = \"%.80s\" is no host name; write one like out1.example.com",
	    key, name);
}

static void
check_path(const struct config_part *part, const char *key, const char *path,
    struct config_report *report)
{
	if (path[0] != '\0' && path[0] != '/')
		config_report_add(report, config_part_line(part, key),
		    "%s = \"%.200s\" is no absolute path; write it from / on",
		    key, path);
}

/* Keys of a TLS server where there is none would promise what is not there. */
static void
check_listener_no_tls(const struct config_part *part,
    struct config_report *report)
{
	static const char *const keys[] = { "tls_certificate", "tls_key",
	    "tls_client_ca" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!is_empty(part, keys[i]))
			config_report_add(report,
			    config_part_line(part, keys[i]), "%s serves only "
			    "client_tls = offer; remove it", keys[i]);
}

static void
check_listener_tls(const struct config_listener *l,
    const struct config_part *part, struct config_report *report)
{
	size_t i;

	if (l->client_tls != CONFIG_CLIENT_TLS_OFFER) {
		check_listener_no_tls(part, report);
		return;
	}
	if (is_empty(part, "tls_certificate")) {
		config_report_add(report, config_part_line(part, "client_tls"),
		    "client_tls = offer needs a certificate; write "
		    "tls_certificate = \"/etc/weir/weir.pem\"");
		return;
	}
	if (l->n_tls_key > l->n_tls_certificate)
		config_report_add(report, config_part_line(part, "tls_key"),
		    "there are more keys than certificates; write them in "
		    "pairs, in the same order");
	for (i = 0; i < l->n_tls_certificate; i++)
		check_path(part, "tls_certificate", l->tls_certificate[i][0] ==
		    '\0' ? "\"\"" : l->tls_certificate[i], report);
	for (i = 0; i < l->n_tls_key; i++)
		check_path(part, "tls_key", l->tls_key[i], report);
	check_path(part, "tls_client_ca", l->tls_client_ca, report);
	if (l->tls_priority[0] == '\0')
		config_report_add(report, config_part_line(part,
		    "tls_priority"), "tls_priority is empty; write NORMAL");
}

/* Beyond loopback it looks like a protection, and is none. */
static void
check_allow(const struct config_listener *l, const struct config_part *part,
    struct config_report *report)
{
	if (l->mode != CONFIG_MODE_FIXED &&
	    l->mode != CONFIG_MODE_PROXY_PROTOCOL &&
	    !addr_is_loopback(&l->address) && !is_empty(part, "allow"))
		config_report_add(report, config_part_line(part, "allow"),
		    "allow serves only mode = fixed and proxy-protocol: here "
		    "whoever is redirected may connect; remove it, and say in "
		    "the rules of the packet filter who is");
}

static void
check_listener(const struct config *c, size_t i,
    const struct config_part *part, struct config_report *report)
{
	const struct config_listener *l = &c->listeners[i];
	size_t j;

	check_title(part, report);
	if (l->address.family == ADDR_NONE)
		config_report_add(report, config_part_line(part, "address"),
		    "a listener without an address hears nothing; write "
		    "address = \"127.0.0.1:10025\"");
	for (j = 0; j < i; j++)
		if (l->address.port != 0 &&
		    addr_eq(&l->address, &c->listeners[j].address))
			config_report_add(report,
			    config_part_line(part, "address"),
			    "listener \"%s\" has this address already; write "
			    "another port", c->listeners[j].name);
	if (l->mode == CONFIG_MODE_FIXED &&
	    is_empty(part, "destination"))
		config_report_add(report, config_part_line(part, "mode"),
		    "mode = fixed needs a destination; write destination = "
		    "\"192.0.2.1:25\"");
	else if (l->mode != CONFIG_MODE_FIXED &&
	    (l->destination.family != ADDR_NONE ||
	    l->destination_host[0] != '\0'))
		config_report_add(report, config_part_line(part,
		    "destination"), "destination serves only mode = fixed; "
		    "remove it, or write mode = \"fixed\"");
	if (l->destination.family != ADDR_NONE &&
	    (l->destination.port == 0 || addr_is_any(&l->destination)))
		config_report_add(report, config_part_line(part,
		    "destination"), "destination is no place to connect to; "
		    "write an address and a port, as \"192.0.2.1:25\"");
	if (l->send_proxy && l->mode != CONFIG_MODE_FIXED)
		config_report_add(report, config_part_line(part, "send_proxy"),
		    "send_proxy serves only mode = fixed: no MX expects it; "
		    "remove it");
	check_allow(l, part, report);
	check_listener_tls(l, part, report);
}

/* What belongs to another transport would give a false sense of safety. */
static void
check_transport(const struct config_policy *p, const struct config_part *part,
    struct config_report *report)
{
	static const char *const tls_keys[] = { "tls_ca", "tls_name",
	    "tls_certificate", "tls_key" };
	uint32_t peer;

	for (size_t i = 0; i < ARRAY_LEN(tls_keys); i++)
		if (p->transport != CONFIG_ENDPOINT_TLS &&
		    !is_empty(part, tls_keys[i]))
			config_report_add(report,
			    config_part_line(part, tls_keys[i]),
			    "%s serves only an endpoint tls:host:port; remove "
			    "it", tls_keys[i]);
	if (p->transport != CONFIG_ENDPOINT_UNIX && !is_empty(part, "peer_uid"))
		config_report_add(report, config_part_line(part, "peer_uid"),
		    "peer_uid serves only an endpoint unix:/path; remove it");
	if (config_peer(p->peer_uid, &peer) != 0)
		config_report_add(report, config_part_line(part, "peer_uid"),
		    "peer_uid = \"%.80s\" is no user here; write a name, a "
		    "number, or any", p->peer_uid);
	if (p->tls_key[0] != '\0' && p->tls_certificate[0] == '\0')
		config_report_add(report, config_part_line(part, "tls_key"),
		    "tls_key without tls_certificate; write both");
	check_path(part, "tls_ca", p->tls_ca, report);
	check_path(part, "tls_certificate", p->tls_certificate, report);
	check_path(part, "tls_key", p->tls_key, report);
}

static void
check_policy(const struct config *c, size_t i, const struct config_part *part,
    struct config_report *report)
{
	const struct config_policy *p = &c->policies[i];

	check_title(part, report);
	if (i == POLICY_MAX)
		config_report_add(report, part->line,
		    "there are more than %d policies; merge some into one "
		    "server", POLICY_MAX);
	if (is_empty(part, "endpoint"))
		config_report_add(report, config_part_line(part, "endpoint"),
		    "policy \"%s\" has no endpoint; write endpoint = "
		    "\"unix:/run/weir/%s.sock\"", p->name, p->name);
	check_transport(p, part, report);
	config_check_conditions(c, p, part, report);
}

static void
check_upstream(const struct config *c, const struct config_part *part,
    struct config_report *report)
{
	bool tproxy = false;
	size_t i;

	for (i = 0; i < c->n_listeners; i++)
		tproxy = tproxy || c->listeners[i].mode == CONFIG_MODE_TPROXY;
	if (c->upstream.source_client && !tproxy)
		config_report_add(report, config_part_line(part, "source"),
		    "source = client serves only listeners of mode = tproxy, "
		    "and there is none; write addresses of this machine");
	if (c->upstream.tls_priority[0] == '\0')
		config_report_add(report, config_part_line(part,
		    "tls_priority"), "tls_priority is empty; write NORMAL, or "
		    "tls = none");
	check_path(part, "tls_ca", c->upstream.tls_ca, report);
}

static void
check_status(const struct config *c, const struct config_part *part,
    struct config_report *report)
{
	const struct config_status *s = &c->status;

	if (s->address.family != ADDR_NONE && !addr_is_loopback(&s->address) &&
	    s->token_file[0] == '\0')
		config_report_add(report, config_part_line(part, "address"),
		    "the status page is open to others here; write an address "
		    "in 127.0.0.0/8 or [::1], or token_file = \"/path\"");
	check_path(part, "control", s->control, report);
	check_path(part, "token_file", s->token_file, report);
	if (strlen(s->control) >=
	    sizeof(((struct sockaddr_un *)NULL)->sun_path))
		config_report_add(report, config_part_line(part, "control"),
		    "control is too long for a unix socket; write a path of "
		    "at most %zu bytes",
		    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
}

static void
check_record(const struct config *c, const struct config_part *part,
    struct config_report *report)
{
	check_path(part, "sqlite", c->record.sqlite, report);
	check_path(part, "json", c->record.json, report);
}

static void
check_limits(const struct config *c, const struct config_part *part,
    struct config_report *report)
{
	if (c->limits.spool_directory[0] != '/')
		config_report_add(report, config_part_line(part,
		    "spool_directory"), "spool_directory is no absolute path; "
		    "write one, as /tmp");
}

static void
check_pool(const struct config *c, size_t i, const struct config_part *part,
    struct config_report *report)
{
	const struct config_pool *p = &c->pools[i];
	size_t k;

	check_title(part, report);
	check_host(part, "ehlo_name", p->ehlo_name, report);
	if (is_empty(part, "addresses"))
		config_report_add(report, part->line,
		    "pool \"%s\" has no addresses; write addresses = "
		    "{\"192.0.2.1\"}", part->title);
	if (p->n_weights > 0 && p->n_weights != p->n_addresses)
		config_report_add(report, config_part_line(part, "weights"),
		    "weights has %zu numbers for %zu addresses; write one for "
		    "each, or none at all", p->n_weights, p->n_addresses);
	for (k = 0; k < p->n_weights && p->weights[k] == 0; k++)
		continue;
	if (p->n_weights > 0 && k == p->n_weights)
		config_report_add(report, config_part_line(part, "weights"),
		    "weights has no number above 0: nothing would be sent from "
		    "pool \"%s\"; write one that is", part->title);
}

void
config_check(const struct config *c, const struct config_part *parts,
    struct config_report *report)
{
	const struct config_part *part;
	size_t n[CONFIG_SECTION_COUNT] = { 0 };

	for (part = parts; part != NULL; part = part->next) {
		size_t i = n[part->section]++;

		switch (part->section) {
		case CONFIG_LISTENER:
			check_listener(c, i, part, report);
			break;
		case CONFIG_UPSTREAM:
			check_upstream(c, part, report);
			break;
		case CONFIG_TLS:
			check_title(part, report);
			config_check_tls(&c->tls_blocks[i], part, report);
			break;
		case CONFIG_POOL:
			check_pool(c, i, part, report);
			break;
		case CONFIG_POLICY:
			check_policy(c, i, part, report);
			break;
		case CONFIG_RECORD:
			check_record(c, part, report);
			break;
		case CONFIG_STATUS:
			check_status(c, part, report);
			break;
		case CONFIG_LIMITS:
			check_limits(c, part, report);
			break;
		case CONFIG_DELIVERABILITY:
			check_path(part, "rules", c->deliverability.rules,
			    report);
			break;
		case CONFIG_DNS:
			check_path(part, "trust_anchor", c->dns.trust_anchor,
			    report);
			break;
		default:
			check_host(part, "hostname", c->hostname, report);
		}
	}
	if (c->n_listeners == 0)
		config_report_add(report, 1, "there is no listener; write "
		    "listener \"outbound\" { address = \"127.0.0.1:10025\" }");
}

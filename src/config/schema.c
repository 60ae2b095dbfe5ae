/*
 * The table of keys. It is long because there are many keys and short because
 * each is one row. Ranges are generous: they catch slips of the pen (a timeout
 * of 30 days), not taste.
 */
#include "config/schema.h"

#include "config/config.h"
#include "config/pool.h"

#define MS UINT64_C(1000)
#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KB UINT64_C(1024)
#define MB (1024 * KB)
#define GB (1024 * MB)

#define AT(type, field) \
	.offset = offsetof(struct type, field), \
	.size = sizeof(((struct type *)NULL)->field)
#define LIST_AT(type, field) \
	AT(type, field), .count_offset = offsetof(struct type, n_##field)
#define TLS_PRIORITY "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define TIMEOUT .unit = "s", .min = MS, .max = DAY

static const struct config_word log_levels[] = {
	{ "error", LOG_ERROR }, { "warning", LOG_WARNING },
	{ "info", LOG_INFO }, { "debug", LOG_DEBUG }, { NULL, 0 },
};

static const struct config_word modes[] = {
	{ "redirect", CONFIG_MODE_REDIRECT }, { "tproxy", CONFIG_MODE_TPROXY },
	{ "proxy-protocol", CONFIG_MODE_PROXY_PROTOCOL },
	{ "fixed", CONFIG_MODE_FIXED }, { NULL, 0 },
};

static const struct config_word client_tls[] = {
	{ "strip", CONFIG_CLIENT_TLS_STRIP },
	{ "offer", CONFIG_CLIENT_TLS_OFFER },
	{ "passthrough", CONFIG_CLIENT_TLS_PASSTHROUGH }, { NULL, 0 },
};

static const struct config_word tls_levels[] = {
	{ "none", CONFIG_TLS_NONE }, { "may", CONFIG_TLS_MAY },
	{ "encrypt", CONFIG_TLS_ENCRYPT }, { "verify", CONFIG_TLS_VERIFY },
	{ "dane", CONFIG_TLS_DANE }, { NULL, 0 },
};

static const struct config_word policy_modes[] = {
	{ "enforce", POLICY_MODE_ENFORCE }, { "observe", POLICY_MODE_OBSERVE },
	{ NULL, 0 },
};

static const struct config_word record_formats[] = {
	{ "weir", CONFIG_RECORD_WEIR }, { "legacy", CONFIG_RECORD_LEGACY },
	{ NULL, 0 },
};

static const struct config_word grants[] = {
	{ "headers", POLICY_GRANT_HEADERS }, { "body", POLICY_GRANT_BODY },
	{ "envelope", POLICY_GRANT_ENVELOPE },
	{ "outbound", POLICY_GRANT_OUTBOUND },
	{ "next_hop", POLICY_GRANT_NEXT_HOP },
	{ "discard", POLICY_GRANT_DISCARD }, { NULL, 0 },
};

static const struct config_word actions[] = {
	{ "relay", POLICY_RELAY }, { "tempfail", POLICY_TEMPFAIL },
	{ "reject", POLICY_REJECT }, { "disconnect", POLICY_DISCONNECT },
	{ NULL, 0 },
};

static const struct config_word bare_newlines[] = {
	{ "smuggling", SMTP_BARE_SMUGGLING }, { "reject", SMTP_BARE_REJECT },
	{ "pass", SMTP_BARE_PASS }, { NULL, 0 },
};

#define ON_ERROR(phase, PHASE) \
	{ CONFIG_POLICY, "on_error_" phase, CONFIG_WORD, \
	  AT(config_policy, on_error[POLICY_PHASE_##PHASE]), \
	  .words = actions, .fallback = "", \
	  .text = "on_error at this phase; empty: as on_error" }

const struct config_key config_schema[] = {
	{ CONFIG_TOP, "workers", CONFIG_NUMBER, AT(config, workers),
	  .unit = "threads", .max = 1024, .fallback = "0",
	  .text = "threads that carry sessions; 0: one per core" },
	{ CONFIG_TOP, "hostname", CONFIG_STRING, AT(config, hostname),
	  .fallback = "",
	  .text = "name in replies of weir's own; empty: the machine's" },
	{ CONFIG_TOP, "user", CONFIG_STRING, AT(config, user),
	  .fallback = "weir",
	  .text = "user to become when started by root; empty: stay root" },
	{ CONFIG_TOP, "log_level", CONFIG_WORD, AT(config, log_level),
	  .words = log_levels, .fallback = "info",
	  .text = "what goes to stderr" },
	{ CONFIG_TOP, "drain_timeout", CONFIG_DURATION,
	  AT(config, drain_timeout_us), .unit = "s", .max = DAY,
	  .fallback = "60s",
	  .text = "how long open sessions may go on after SIGTERM" },

	{ CONFIG_LISTENER, "address", CONFIG_ADDRESS,
	  AT(config_listener, address), .fallback = "127.0.0.1:10025",
	  .text = "where to listen, address:port; port 0: a free one" },
	{ CONFIG_LISTENER, "mode", CONFIG_WORD, AT(config_listener, mode),
	  .words = modes, .fallback = "redirect",
	  .text = "how the original destination is known" },
	{ CONFIG_LISTENER, "destination", CONFIG_DESTINATION,
	  AT(config_listener, destination), .fallback = "",
	  .text = "mode fixed: where all mail goes, host:port" },
	{ CONFIG_LISTENER, "allow", CONFIG_PREFIXES,
	  LIST_AT(config_listener, allow),
	  .fallback = "127.0.0.0/8 ::1/128",
	  .text = "modes fixed and proxy-protocol: networks that may connect" },
	{ CONFIG_LISTENER, "proxy_timeout", CONFIG_DURATION,
	  AT(config_listener, proxy_timeout_us), TIMEOUT, .fallback = "5s",
	  .text = "mode proxy-protocol: for the PROXY header" },
	{ CONFIG_LISTENER, "send_proxy", CONFIG_BOOL,
	  AT(config_listener, send_proxy), .fallback = "false",
	  .text = "mode fixed: begin with a PROXY header, version 2" },
	{ CONFIG_LISTENER, "client_tls", CONFIG_WORD,
	  AT(config_listener, client_tls), .words = client_tls,
	  .fallback = "strip",
	  .text = "what becomes of STARTTLS between client and weir" },
	{ CONFIG_LISTENER, "tls_certificate", CONFIG_STRINGS,
	  LIST_AT(config_listener, tls_certificate), .fallback = "",
	  .text = "client_tls offer: PEM files, each with a certificate of "
	  "weir's own and its chain" },
	{ CONFIG_LISTENER, "tls_key", CONFIG_STRINGS,
	  LIST_AT(config_listener, tls_key), .fallback = "",
	  .text = "client_tls offer: PEM files of their keys, in the same "
	  "order; empty: in the same files" },
	{ CONFIG_LISTENER, "tls_client_ca", CONFIG_STRING,
	  AT(config_listener, tls_client_ca), .fallback = "",
	  .text = "client_tls offer: PEM file of the authorities whose "
	  "certificates clients are asked for; empty: not asked" },
	{ CONFIG_LISTENER, "tls_priority", CONFIG_STRING,
	  AT(config_listener, tls_priority), .fallback = TLS_PRIORITY,
	  .text = "client_tls offer: GnuTLS priority string" },
	{ CONFIG_LISTENER, "process", CONFIG_BOOL,
	  AT(config_listener, process), .fallback = "true",
	  .text = "look up who sends, when it is a process of this machine" },

	{ CONFIG_UPSTREAM, "source", CONFIG_SOURCES,
	  AT(config_upstream, source), .fallback = "",
	  .text = "source addresses, at most one per family; client: the "
	  "client's own, for mode tproxy; empty: any" },
	{ CONFIG_UPSTREAM, "mark", CONFIG_NUMBER, AT(config_upstream, mark),
	  .max = UINT32_MAX, .fallback = "0",
	  .text = "SO_MARK of connections to the MX; 0: none" },
	{ CONFIG_UPSTREAM, "tls", CONFIG_WORD, AT(config_upstream, tls),
	  .words = tls_levels, .fallback = "may",
	  .text = "TLS level towards the MX" },
	{ CONFIG_UPSTREAM, "tls_ca", CONFIG_STRING,
	  AT(config_upstream, tls_ca), .fallback = "",
	  .text = "PEM file of trusted authorities; empty: the system's" },
	{ CONFIG_UPSTREAM, "tls_priority", CONFIG_STRING,
	  AT(config_upstream, tls_priority),
	  .fallback = TLS_PRIORITY,
	  .text = "GnuTLS priority string" },
	{ CONFIG_UPSTREAM, "tls_failure_memory", CONFIG_DURATION,
	  AT(config_upstream, tls_failure_memory_us), .unit = "s",
	  .max = 365 * DAY, .fallback = "24h",
	  .text = "level may: how long a destination whose TLS failed stays in "
	  "clear" },
	{ CONFIG_UPSTREAM, "reuse", CONFIG_DURATION,
	  AT(config_upstream, reuse_us), .unit = "s", .max = HOUR,
	  .fallback = "0s",
	  .text = "keep a connection so long for the sender's next session; "
	  "0s: no" },
	{ CONFIG_UPSTREAM, "reuse_connections", CONFIG_NUMBER,
	  AT(config_upstream, reuse_connections), .unit = "connections",
	  .min = 1, .max = 100000, .fallback = "100",
	  .text = "most that are kept at a time, per worker" },
	{ CONFIG_UPSTREAM, "connect_timeout", CONFIG_DURATION,
	  AT(config_upstream, connect_timeout_us), TIMEOUT, .fallback = "30s",
	  .text = "to connect to the MX" },
	{ CONFIG_UPSTREAM, "tls_timeout", CONFIG_DURATION,
	  AT(config_upstream, tls_timeout_us), TIMEOUT, .fallback = "30s",
	  .text = "for the TLS handshake with the MX" },
	{ CONFIG_UPSTREAM, "greeting_timeout", CONFIG_DURATION,
	  AT(config_upstream, greeting_timeout_us), TIMEOUT,
	  .fallback = "5m", .text = "for the MX's greeting" },
	{ CONFIG_UPSTREAM, "ehlo_timeout", CONFIG_DURATION,
	  AT(config_upstream, ehlo_timeout_us), TIMEOUT, .fallback = "5m",
	  .text = "for the reply to EHLO or HELO" },
	{ CONFIG_UPSTREAM, "mail_timeout", CONFIG_DURATION,
	  AT(config_upstream, mail_timeout_us), TIMEOUT, .fallback = "5m",
	  .text = "for the reply to MAIL" },
	{ CONFIG_UPSTREAM, "rcpt_timeout", CONFIG_DURATION,
	  AT(config_upstream, rcpt_timeout_us), TIMEOUT, .fallback = "5m",
	  .text = "for the reply to RCPT" },
	{ CONFIG_UPSTREAM, "data_timeout", CONFIG_DURATION,
	  AT(config_upstream, data_timeout_us), TIMEOUT, .fallback = "2m",
	  .text = "for the 354 to DATA" },
	{ CONFIG_UPSTREAM, "data_block_timeout", CONFIG_DURATION,
	  AT(config_upstream, data_block_timeout_us), TIMEOUT,
	  .fallback = "3m", .text = "for a stalled write of content" },
	{ CONFIG_UPSTREAM, "data_done_timeout", CONFIG_DURATION,
	  AT(config_upstream, data_done_timeout_us), TIMEOUT,
	  .fallback = "12m", .text = "for the reply to the final dot" },
	{ CONFIG_UPSTREAM, "command_timeout", CONFIG_DURATION,
	  AT(config_upstream, command_timeout_us), TIMEOUT,
	  .fallback = "5m", .text = "for the reply to any other command" },

	{ CONFIG_TLS, "networks", CONFIG_PREFIXES,
	  LIST_AT(config_tls_block, networks), .fallback = "",
	  .text = "destinations that it is about" },
	{ CONFIG_TLS, "groups", CONFIG_STRINGS,
	  LIST_AT(config_tls_block, groups), .fallback = "",
	  .text = "domains of MXs that it is about, by their greeting" },
	{ CONFIG_TLS, "level", CONFIG_WORD, AT(config_tls_block, level),
	  .words = tls_levels, .fallback = "encrypt",
	  .text = "TLS level towards them" },
	{ CONFIG_TLS, "names", CONFIG_STRINGS, LIST_AT(config_tls_block, names),
	  .fallback = "",
	  .text = "one of them must be in the certificate; empty: looked up" },

	{ CONFIG_POOL, "addresses", CONFIG_ADDRESSES,
	  LIST_AT(config_pool, addresses), .fallback = "",
	  .text = "source addresses that policies may choose" },
	{ CONFIG_POOL, "weights", CONFIG_NUMBERS, LIST_AT(config_pool, weights),
	  .max = CONFIG_POOL_WEIGHT_MAX, .fallback = "",
	  .text = "share of each of the addresses, in their order; empty: all "
	  "the same" },
	{ CONFIG_POOL, "ehlo_name", CONFIG_STRING, AT(config_pool, ehlo_name),
	  .fallback = "",
	  .text = "EHLO name for them; empty: the client's own" },

	{ CONFIG_POLICY, "endpoint", CONFIG_ENDPOINT,
	  AT(config_policy, transport), .fallback = "",
	  .text = "unix:/path, tcp:host:port or tls:host:port; required" },
	{ CONFIG_POLICY, "peer_uid", CONFIG_STRING,
	  AT(config_policy, peer_uid), .fallback = "",
	  .text = "unix: user that must listen at the socket; empty: root, "
	  "weir's user, or the owner of its directory" },
	{ CONFIG_POLICY, "tls_ca", CONFIG_STRING, AT(config_policy, tls_ca),
	  .fallback = "",
	  .text = "tls: PEM file of trusted authorities; empty: the system's" },
	{ CONFIG_POLICY, "tls_name", CONFIG_STRING,
	  AT(config_policy, tls_name), .fallback = "",
	  .text = "tls: name in the server's certificate; empty: the host" },
	{ CONFIG_POLICY, "tls_certificate", CONFIG_STRING,
	  AT(config_policy, tls_certificate), .fallback = "",
	  .text = "tls: PEM file of weir's certificate; empty: none" },
	{ CONFIG_POLICY, "tls_key", CONFIG_STRING,
	  AT(config_policy, tls_key), .fallback = "",
	  .text = "tls: PEM file of its key; empty: in the same file" },
	{ CONFIG_POLICY, "stage", CONFIG_NUMBER, AT(config_policy, stage),
	  .max = 1000000, .fallback = "10",
	  .text = "policies of one stage run in parallel, stages in order" },
	{ CONFIG_POLICY, "mode", CONFIG_WORD, AT(config_policy, mode),
	  .words = policy_modes, .fallback = "enforce",
	  .text = "whether its decisions are obeyed or only recorded" },
	{ CONFIG_POLICY, "grants", CONFIG_WORDS, AT(config_policy, grants),
	  .words = grants, .fallback = "",
	  .text = "what decisions may do beyond accepting and refusing" },
	{ CONFIG_POLICY, "on_error", CONFIG_WORD,
	  AT(config_policy, on_error[POLICY_PHASE_NONE]), .words = actions,
	  .fallback = "tempfail",
	  .text = "what happens without a valid decision; mode observe: "
	  "relay" },
	ON_ERROR("connect", CONNECT),
	ON_ERROR("ehlo", EHLO),
	ON_ERROR("auth", AUTH),
	ON_ERROR("command", COMMAND),
	ON_ERROR("mail", MAIL),
	ON_ERROR("rcpt", RCPT),
	ON_ERROR("data", DATA),
	ON_ERROR("headers", HEADERS),
	ON_ERROR("body", BODY),
	ON_ERROR("end_of_message", END_OF_MESSAGE),
	{ CONFIG_POLICY, "on_error_cause", CONFIG_STRINGS,
	  LIST_AT(config_policy, on_error_cause), .fallback = "",
	  .text = "on_error for this cause, as \"timeout=relay\"" },
	{ CONFIG_POLICY, "timeout", CONFIG_DURATION,
	  AT(config_policy, timeout_us), TIMEOUT, .fallback = "2s",
	  .text = "for each decision but that at end_of_message" },
	{ CONFIG_POLICY, "message_timeout", CONFIG_DURATION,
	  AT(config_policy, message_timeout_us), TIMEOUT, .fallback = "15s",
	  .text = "for the decision at end_of_message" },
	{ CONFIG_POLICY, "transaction_timeout", CONFIG_DURATION,
	  AT(config_policy, transaction_timeout_us), TIMEOUT,
	  .fallback = "30s", .text = "for all waiting in one transaction" },
	{ CONFIG_POLICY, "max_extension", CONFIG_DURATION,
	  AT(config_policy, max_extension_us), .unit = "s", .max = DAY,
	  .fallback = "30s",
	  .text = "how far Working can move one deadline" },
	{ CONFIG_POLICY, "delay_max", CONFIG_DURATION_MS,
	  AT(config_policy, delay_max_ms), .unit = "s", .max = HOUR,
	  .fallback = "60s", .text = "longest delay that it may ask for" },
	{ CONFIG_POLICY, "breaker_failures", CONFIG_NUMBER,
	  AT(config_policy, breaker_failures), .unit = "failures", .min = 1,
	  .max = 1000000, .fallback = "5",
	  .text = "failures in a row that open its circuit" },
	{ CONFIG_POLICY, "breaker_time", CONFIG_DURATION,
	  AT(config_policy, breaker_time_us), TIMEOUT, .fallback = "30s",
	  .text = "how long an open circuit stays open before a probe" },
	{ CONFIG_POLICY, "connections", CONFIG_NUMBER,
	  AT(config_policy, connections), .unit = "connections", .min = 1,
	  .max = 64, .fallback = "1", .text = "connections per worker" },
	{ CONFIG_POLICY, "max_frame", CONFIG_SIZE,
	  AT(config_policy, max_frame), .unit = "bytes", .min = 64 * KB,
	  .max = 64 * MB, .fallback = "1MB",
	  .text = "largest frame of the policy protocol" },
	{ CONFIG_POLICY, "required", CONFIG_BOOL, AT(config_policy, required),
	  .fallback = "false",
	  .text = "do not listen before this policy is there" },
	{ CONFIG_POLICY, "clients", CONFIG_PREFIXES,
	  LIST_AT(config_policy, clients), .fallback = "",
	  .text = "networks whose sessions it takes part in; empty: all" },
	{ CONFIG_POLICY, "listeners", CONFIG_STRINGS,
	  LIST_AT(config_policy, listeners), .fallback = "",
	  .text = "listeners whose sessions it takes part in; empty: all" },
	{ CONFIG_POLICY, "senders", CONFIG_STRINGS,
	  LIST_AT(config_policy, senders), .fallback = "",
	  .text = "sender domains that it is asked about; empty: all" },
	{ CONFIG_POLICY, "recipients", CONFIG_STRINGS,
	  LIST_AT(config_policy, recipients), .fallback = "",
	  .text = "recipient domains that it is asked about; empty: all" },
	{ CONFIG_POLICY, "size_min", CONFIG_SIZE,
	  AT(config_policy, size_min), .unit = "bytes", .max = 1024 * GB,
	  .fallback = "0", .text = "smallest message that it is asked about" },
	{ CONFIG_POLICY, "size_max", CONFIG_SIZE,
	  AT(config_policy, size_max), .unit = "bytes", .max = 1024 * GB,
	  .fallback = "0",
	  .text = "largest message that it is asked about; 0: any" },
	{ CONFIG_POLICY, "sample", CONFIG_NUMBER, AT(config_policy, sample),
	  .unit = "percent", .max = 100, .fallback = "100",
	  .text = "share of sender domains that it is asked about" },
	{ CONFIG_POLICY, "enforce", CONFIG_NUMBER,
	  AT(config_policy, enforce), .unit = "percent", .max = 100,
	  .fallback = "100",
	  .text = "share of sender domains for which it is obeyed; the rest "
	  "it observes" },

	{ CONFIG_DNS, "resolver", CONFIG_RESOLVERS,
	  LIST_AT(config_dns, resolvers), .fallback = "",
	  .text = "name servers to ask; empty: those of /etc/resolv.conf" },
	{ CONFIG_DNS, "trust_anchor", CONFIG_STRING,
	  AT(config_dns, trust_anchor), .fallback = "",
	  .text = "file of the root zone's keys; empty: the system's" },
	{ CONFIG_DNS, "timeout", CONFIG_DURATION, AT(config_dns, timeout_us),
	  TIMEOUT, .fallback = "10s", .text = "for the answer to a question" },

	{ CONFIG_DELIVERABILITY, "rules", CONFIG_STRING,
	  AT(config_deliverability, rules), .fallback = "",
	  .text = "file of reply rules, asked before the built-in ones; "
	  "empty: none" },
	{ CONFIG_DELIVERABILITY, "cap", CONFIG_NUMBER,
	  AT(config_deliverability, cap), .unit = "sessions", .max = 1000000,
	  .fallback = "0",
	  .text = "most at a time from one source address to one group of "
	  "MXs; 0: any number" },
	{ CONFIG_DELIVERABILITY, "adaptive", CONFIG_BOOL,
	  AT(config_deliverability, adaptive), .fallback = "false",
	  .text = "lower the cap by half where MXs throttle, and raise it by "
	  "one each minute that they do not" },

	{ CONFIG_RECORD, "sqlite", CONFIG_STRING, AT(config_record, sqlite),
	  .fallback = "/var/lib/weir/weir.db",
	  .text = "database file; empty: none" },
	{ CONFIG_RECORD, "json", CONFIG_STRING, AT(config_record, json),
	  .fallback = "", .text = "file of JSON lines; empty: none" },
	{ CONFIG_RECORD, "format", CONFIG_WORD, AT(config_record, format),
	  .words = record_formats, .fallback = "weir",
	  .text = "of the JSON lines: weir's own, or two shapes of old" },
	{ CONFIG_RECORD, "retention", CONFIG_DURATION,
	  AT(config_record, retention_us), .unit = "s", .max = 36500 * DAY,
	  .fallback = "30d",
	  .text = "how long the database keeps a session; 0: for ever" },
	{ CONFIG_RECORD, "max_size", CONFIG_SIZE, AT(config_record, max_size),
	  .unit = "bytes", .max = 1024 * 1024 * GB, .fallback = "10GB",
	  .text = "most bytes of the database; 0: any number" },
	{ CONFIG_RECORD, "queue", CONFIG_NUMBER, AT(config_record, queue),
	  .unit = "chunks", .min = 1, .max = 10000000, .fallback = "10000",
	  .text = "most finished chunks waiting to be written" },

	{ CONFIG_STATUS, "address", CONFIG_ADDRESS,
	  AT(config_status, address), .fallback = "127.0.0.1:8025",
	  .text = "where the status page listens; empty: nowhere" },
	{ CONFIG_STATUS, "control", CONFIG_STRING,
	  AT(config_status, control), .fallback = "/run/weir/control.sock",
	  .text = "control socket: the status API over a unix socket; empty: none" },
	{ CONFIG_STATUS, "token_file", CONFIG_STRING,
	  AT(config_status, token_file), .fallback = "",
	  .text = "file with the bearer token; required off loopback" },

	{ CONFIG_LIMITS, "message_size", CONFIG_SIZE,
	  AT(config_limits, message_size), .unit = "bytes",
	  .max = 1024 * GB, .fallback = "10240000",
	  .text = "largest message; 0: no limit" },
	{ CONFIG_LIMITS, "connections", CONFIG_NUMBER,
	  AT(config_limits, connections), .unit = "connections", .min = 1,
	  .max = 1000000, .fallback = "20000",
	  .text = "most client connections at a time" },
	{ CONFIG_LIMITS, "bare_newline", CONFIG_WORD,
	  AT(config_limits, bare_newline), .words = bare_newlines,
	  .fallback = "smuggling",
	  .text = "which bare CR and LF in content are refused" },
	{ CONFIG_LIMITS, "spool_memory", CONFIG_SIZE,
	  AT(config_limits, spool_memory), .unit = "bytes", .min = KB,
	  .max = GB, .fallback = "256KB",
	  .text = "bytes of a held message that stay in memory" },
	{ CONFIG_LIMITS, "spool_directory", CONFIG_STRING,
	  AT(config_limits, spool_directory), .fallback = "/tmp",
	  .text = "where the rest of it goes, in an unlinked file" },
	{ CONFIG_LIMITS, "header_size", CONFIG_SIZE,
	  AT(config_limits, header_size), .unit = "bytes", .min = KB,
	  .max = 64 * MB, .fallback = "1MB",
	  .text = "most bytes of a header section kept for policies" },
	{ CONFIG_LIMITS, "pipeline", CONFIG_NUMBER,
	  AT(config_limits, pipeline), .unit = "commands", .min = 1,
	  .max = 100000, .fallback = "1000",
	  .text = "most commands of a session waiting for a reply" },
	{ CONFIG_LIMITS, "client_timeout", CONFIG_DURATION,
	  AT(config_limits, client_timeout_us), TIMEOUT, .fallback = "5m",
	  .text = "for the client's next command, or anything in a tunnel" },
	{ CONFIG_LIMITS, "client_data_timeout", CONFIG_DURATION,
	  AT(config_limits, client_data_timeout_us), TIMEOUT,
	  .fallback = "3m", .text = "for the client's next piece of content" },
	{ CONFIG_LIMITS, "client_tls_timeout", CONFIG_DURATION,
	  AT(config_limits, client_tls_timeout_us), TIMEOUT,
	  .fallback = "30s", .text = "for the client's TLS handshake" },
};

const size_t config_schema_count = ARRAY_LEN(config_schema);

/*
 * weir.conf as an immutable snapshot. A reload makes a new one; sessions keep
 * the one they began with until they end.
 *
 * Durations are microseconds (_us), sizes bytes. Strings are never NULL; ""
 * means "off" or "not set" as weir.conf(5) says. Arrays are in the order of the
 * file, but policies: those are sorted by stage, then by the order of the file.
 */
#ifndef WEIR_CONFIG_CONFIG_H
#define WEIR_CONFIG_CONFIG_H

#include <stdatomic.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/log.h"
#include "policy/event.h"
#include "smtp/data.h"

enum config_mode {
	CONFIG_MODE_REDIRECT, CONFIG_MODE_TPROXY, CONFIG_MODE_PROXY_PROTOCOL,
	CONFIG_MODE_FIXED,
};

enum config_client_tls {
	CONFIG_CLIENT_TLS_STRIP, CONFIG_CLIENT_TLS_OFFER,
	CONFIG_CLIENT_TLS_PASSTHROUGH,
};

enum config_tls {
	CONFIG_TLS_NONE, CONFIG_TLS_MAY, CONFIG_TLS_ENCRYPT, CONFIG_TLS_VERIFY,
	CONFIG_TLS_DANE,
};

struct config_listener {
	const char *name;
	struct addr address;
	enum config_mode mode;
	struct addr destination;	/* fixed; family NONE otherwise */
	const char *destination_host;	/* fixed, by a host's name: destination
					   has the port alone until the daemon
					   has looked it up; "": by address */
	const struct addr_prefix *allow;
	size_t n_allow;
	uint64_t proxy_timeout_us;	/* proxy-protocol: for the header */
	bool send_proxy;		/* fixed: tell it the client, too */
	enum config_client_tls client_tls;
	/* offer: PEM files, in pairs; a key that is missing or "" stands in
	 * the certificate's file. */
	const char *const *tls_certificate, *const *tls_key;
	size_t n_tls_certificate, n_tls_key;
	const char *tls_client_ca;	/* "": clients are asked for none */
	const char *tls_priority;	/* GnuTLS priority string */
	bool process;			/* look up who sends */
};

struct config_upstream {
	struct addr source[2];		/* IPv4, IPv6; NONE: any */
	bool source_client;		/* of listeners of mode tproxy: the
					   client's own address instead */
	uint32_t mark;			/* SO_MARK; 0: none */
	enum config_tls tls;
	const char *tls_ca;		/* file; "": the system's */
	const char *tls_priority;	/* GnuTLS priority string */
	uint64_t tls_failure_memory_us;	/* how long `may` remembers (24h) */
	uint64_t reuse_us;		/* how long a connection is kept for the
					   next session; 0: not */
	unsigned reuse_connections;	/* kept at a time, per worker */
	uint64_t connect_timeout_us;	/* 30s; all of TCP, per attempt */
	uint64_t tls_timeout_us;	/* 30s; the handshake */
	uint64_t greeting_timeout_us;	/* 5m, RFC 5321 4.5.3.2.1 */
	uint64_t ehlo_timeout_us;	/* 5m */
	uint64_t mail_timeout_us;	/* 5m, 4.5.3.2.2 */
	uint64_t rcpt_timeout_us;	/* 5m, 4.5.3.2.3 */
	uint64_t data_timeout_us;	/* 2m, 4.5.3.2.4: until the 354 */
	uint64_t data_block_timeout_us;	/* 3m, 4.5.3.2.5: a write that stalls */
	uint64_t data_done_timeout_us;	/* 12m, 4.5.3.2.6 asks for 10m */
	uint64_t command_timeout_us;	/* 5m; every other command */
};

struct config_pool {
	const char *name;
	const struct addr *addresses;
	size_t n_addresses;
	const unsigned *weights;	/* of each address; none: all are 1 */
	size_t n_weights;		/* 0, or n_addresses */
	const char *ehlo_name;
};

/* TLS towards some destinations; config/tls.h finds it. */
struct config_tls_block {
	const char *name;
	const struct addr_prefix *networks;
	size_t n_networks;
	const char *const *groups;	/* domains of MXs' greetings */
	size_t n_groups;
	enum config_tls level;
	const char *const *names;	/* one must be in the certificate */
	size_t n_names;
};

enum config_endpoint { CONFIG_ENDPOINT_UNIX, CONFIG_ENDPOINT_TCP,
	CONFIG_ENDPOINT_TLS };

#define CONFIG_PEER_USUAL UINT32_MAX	/* root, weir, owner of the directory */
#define CONFIG_PEER_ANY (UINT32_MAX - 1)

struct config_policy {
	const char *name;
	enum config_endpoint transport;
	const char *path;		/* unix */
	const char *host;		/* tcp, tls: name or address */
	uint16_t port;
	const char *peer_uid;		/* unix: as written, and resolved */
	uint32_t peer;			/* CONFIG_PEER_USUAL, _ANY, or a uid */
	const char *tls_ca, *tls_name, *tls_certificate, *tls_key; /* tls */
	unsigned stage;
	enum policy_mode mode;
	unsigned grants;		/* set of 1 << policy_grant */
	/* POLICY_RELAY, _TEMPFAIL, _REJECT or _DISCONNECT, by phase; the
	 * phases without an on_error_PHASE hold on_error's. */
	enum policy_action on_error[POLICY_PHASE_COUNT];
	const char *const *on_error_cause;	/* "timeout=relay" */
	size_t n_on_error_cause;
	/* The three of them, resolved: what counts. */
	enum policy_action on_failure[POLICY_PHASE_COUNT][POLICY_ERROR_COUNT];
	uint64_t timeout_us, message_timeout_us, transaction_timeout_us;
	uint64_t max_extension_us, breaker_time_us;
	unsigned breaker_failures;
	unsigned connections;		/* per worker */
	uint32_t max_frame;
	uint32_t delay_max_ms;
	bool required;
	/* Which mail it is asked about; an empty list means all. */
	const struct addr_prefix *clients;
	size_t n_clients;
	const char *const *listeners;		/* by name */
	size_t n_listeners;
	const char *const *senders, *const *recipients;	/* domains, as
						policy/condition.h has them */
	size_t n_senders, n_recipients;
	uint64_t size_min, size_max;		/* octets; max 0: any */
	unsigned sample;		/* percent of sender domains */
	unsigned enforce;		/* percent of those, the rest is only
					   observed */
};

enum config_record_format { CONFIG_RECORD_WEIR, CONFIG_RECORD_LEGACY };

struct config_record {
	const char *sqlite, *json;
	uint64_t retention_us;		/* 0: for ever */
	uint64_t max_size;		/* bytes of the database; 0: any */
	enum config_record_format format;	/* of json */
	unsigned queue;			/* most finished chunks waiting */
};

struct config_status {
	struct addr address;		/* NONE: off */
	const char *control;
	const char *token_file;
};

struct config_dns {
	const struct addr *resolvers;	/* with ports; none: resolv.conf's */
	size_t n_resolvers;
	const char *trust_anchor;	/* file; "": the system's */
	uint64_t timeout_us;		/* per question */
};

struct config_deliverability {
	const char *rules;		/* file, before weir's own; "": none */
	unsigned cap;			/* sessions per source and group; 0: any
					   number */
	bool adaptive;			/* fewer where they are throttled */
};

struct config_limits {
	uint64_t message_size;		/* 0: none */
	unsigned connections;
	enum smtp_bare_newline bare_newline;
	size_t spool_memory;
	const char *spool_directory;	/* /tmp: private by the service unit */
	size_t header_size;		/* most bytes of a header section kept
					   for the policies */
	unsigned pipeline;		/* most commands waiting for a reply */
	uint64_t client_timeout_us;	/* 5m, RFC 5321 4.5.3.2.7 */
	uint64_t client_data_timeout_us;	/* 3m between data blocks */
	uint64_t client_tls_timeout_us;	/* 30s; the handshake */
};

struct mx_rules;

struct config {
	atomic_uint references;
	const char *file;
	unsigned workers;		/* resolved: never 0 */
	const char *hostname;		/* resolved: never "" */
	const char *user;
	enum log_level log_level;
	uint64_t drain_timeout_us;
	struct config_listener *listeners;
	size_t n_listeners;
	struct config_upstream upstream;
	struct config_tls_block *tls_blocks;
	size_t n_tls_blocks;
	struct config_pool *pools;
	size_t n_pools;
	struct policy_pool_info *pool_infos;	/* the same, as policies see
						   them */
	struct config_policy *policies;
	size_t n_policies;
	struct config_record record;
	struct config_status status;
	struct config_limits limits;
	struct config_dns dns;
	struct config_deliverability deliverability;
	struct mx_rules *rules;		/* of deliverability.rules */
	const char *text;		/* of the file, as it was read */
	uint64_t loaded_wall_us;	/* set by who loads it; 0: not told */
	const struct config_part *parts;	/* config/'s own, as is */
	void *memory;
};

/**
 * config_load(file, errors) - read and check a configuration.
 *
 * errors  gets one line per error, "file:line: message\n" in the order of the
 *         file ("file: message\n" about the file as a whole), where message says
 *         what is wrong and what to write instead
 *
 * Returns a snapshot with one reference; or NULL, with at least one line in
 * errors. Main thread only (libConfuse's lexer is global).
 */
struct config *config_load(const char *file, struct buf *errors);

/* As config_load(), of a text instead of a file. name: what errors call it. */
struct config *config_load_text(const char *name, struct span text,
	struct buf *errors);

struct config *config_ref(struct config *c);	/* from any thread */
void config_unref(struct config *c);		/* frees the last; NULL is fine */

/* The keys, for -T, the man page's check and the status page: one line per
 * key, "section.key<TAB>type<TAB>unit<TAB>range<TAB>default<TAB>text". */
void config_describe(struct buf *out);

/* The configuration in force, every key with its value, as JSON; and as an
 * array of keys ("limits.connections", "policy \"p\".timeout") with value,
 * default as weir.conf has it, is_default and line (null: not in the file). */
void config_json(const struct config *c, struct buf *out);
void config_keys_json(const struct config *c, struct buf *out);

#endif

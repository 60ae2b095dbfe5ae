/*
 * From nothing to Hello: the dial, who listens there, TLS. Welcome, which
 * makes the connection ready, comes as any frame does; and what ends the
 * connection is said in the words of how far it had come.
 */
#include "service/policy_client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/policy_hello.h"
#include "service/policy_peer.h"
#include "service/policy_tls.h"

static void
on_eof(void *ctx, const char *error)
{
	struct policy_client *c = ctx;
	char why[POLICY_CLIENT_WHY_MAX];

	if (error[0] != '\0' && c->tls != NULL &&
	    c->state == METRICS_POLICY_HANDSHAKE)
		policy_tls_explain(error, (struct span){ 0 }, why,
		    sizeof(why));
	else if (error[0] != '\0')
		snprintf(why, sizeof(why), "%s", error);
	else if (c->state == METRICS_POLICY_HANDSHAKE)
		snprintf(why, sizeof(why), "%s", policy_hello_closed(
		    buf_span(&c->in)));
	else
		snprintf(why, sizeof(why), "it closed the connection%s",
		    buf_len(&c->in) > 0 ? " in the middle of a frame" : "");
	policy_client_lose(c, why, (struct span){ 0 });
}

static void
begin_handshake(struct policy_client *c)
{
	struct policy_event hello;

	policy_hello_make(&c->setup, &hello);
	policy_client_start_timer(c, c->setup.timing->handshake_us);
	if (policy_client_queue(c, &hello, POLICY_FRAME_HANDSHAKE_MAX) !=
	    POLICY_OK)
		policy_client_lose(c, "Hello does not fit into a frame: "
		    "there are too many source addresses in the pools",
		    (struct span){ 0 });
}

static void
on_tls(void *ctx, const struct tls_info *info, const char *error)
{
	struct policy_client *c = ctx;
	char why[POLICY_CLIENT_WHY_MAX];

	if (info == NULL)
		policy_tls_explain(error, stream_tls_first(c->stream), why,
		    sizeof(why));
	else if (policy_tls_trusts(c->setup.block, info, why, sizeof(why))) {
		begin_handshake(c);
		return;
	}
	policy_client_lose(c, why, (struct span){ 0 });
}

static void
begin_tls(struct policy_client *c)
{
	const struct tls_peer peer = { .address.family = ADDR_NONE,
	    .name = policy_tls_server_name(c->setup.block) };
	char *why = NULL;

	tls_client_unref(c->tls);
	c->tls = policy_tls_new(c->setup.block, &why);
	if (c->tls == NULL)
		policy_client_lose(c, why == NULL ? "out of memory" : why,
		    (struct span){ 0 });
	else
		stream_start_tls(c->stream, c->tls, &peer,
		    c->setup.timing->handshake_us);
	free(why);
}

static void
on_connected(void *ctx, int fd, const char *why)
{
	static const struct stream_handlers handlers = {
		.on_bytes = policy_client_receive, .on_eof = on_eof,
		.on_drained = policy_client_drained, .on_tls = on_tls,
	};
	struct policy_client *c = ctx;
	char stranger[POLICY_CLIENT_WHY_MAX];

	c->dial = NULL;
	if (fd < 0) {
		policy_client_lose(c, why, (struct span){ 0 });
		return;
	}
	if (!policy_peer_is_expected(c->setup.block, fd, stranger,
	    sizeof(stranger))) {
		close(fd);
		policy_client_lose(c, stranger, (struct span){ 0 });
		return;
	}
	c->stream = stream_new(c->setup.loop, fd, &handlers, c);
	if (c->stream == NULL) {
		policy_client_lose(c, "out of memory", (struct span){ 0 });
		return;
	}
	policy_client_enter(c, METRICS_POLICY_HANDSHAKE);
	if (c->setup.block->transport == CONFIG_ENDPOINT_TLS)
		begin_tls(c);
	else
		begin_handshake(c);
}

void
policy_client_connect(struct policy_client *c)
{
	c->dial = policy_dial_start(c->setup.loop, c->setup.block,
	    c->setup.timing->connect_us, on_connected, c);
	if (c->dial == NULL)
		policy_client_lose(c, "out of memory", (struct span){ 0 });
	else
		policy_client_enter(c, METRICS_POLICY_CONNECTING);
}

/*
 * @NAME@: mark each message with a header field, X-@NAME@.
 *
 * weir.conf must grant it "headers".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir_policy.h>

#define FIELD "X-@NAME@"

struct facts {
	char client[64];
	unsigned n_fields;	/* of that name, which came with the message */
};

static void
connected(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	struct facts *facts = calloc(1, sizeof(*facts));

	(void)request;
	if (facts == NULL)
		abort();
	snprintf(facts->client, sizeof(facts->client), "from %s",
	    event->connect.client.address);
	weir_session_set_data(session, facts, free);
}

static void
headers(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	struct facts *facts = weir_session_data(session);
	size_t i;

	(void)request;
	if (facts == NULL)
		return;
	facts->n_fields = 0;
	for (i = 0; i < event->headers.n_fields; i++)
		facts->n_fields += weir_same(event->headers.fields[i].name,
		    FIELD);
}

static void
mark(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	struct facts *facts = weir_session_data(session);
	unsigned i;

	if (event->phase == WEIR_HEADERS)
		headers(session, event, request);
	if (facts == NULL) {
		weir_no_answer(request, "a session without CONNECT");
		return;
	}
	for (i = 0; i < facts->n_fields; i++)
		weir_header_delete(request, i, FIELD);	/* none but ours */
	weir_header_add(request, FIELD, facts->client);
	weir_relay(request);
}

int
main(int argc, char **argv)
{
	struct weir_policy *policy = weir_policy_new("@NAME@/1.0", NULL);

	if (argc != 2) {
		fprintf(stderr, "usage: %s ENDPOINT\n", argv[0]);
		return 2;
	}
	weir_on(policy, WEIR_CONNECT, WEIR_NOTIFY, connected);
	weir_on(policy, WEIR_HEADERS, WEIR_NOTIFY, headers);
	weir_on(policy, WEIR_@PHASE_UPPER@, WEIR_DECIDE, mark);
	return weir_policy_run(policy, argv[1]);
}

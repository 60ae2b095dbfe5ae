/*
 * @NAME@: refuse messages with a phrase of the file "phrases" of the directory
 * where it is started, one a line, in whatever case, in the body as it is sent.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir_policy.h>

#define BODY_MAX 1000000	/* bytes that are looked at */

static char **phrases;
static size_t n_phrases;

static void
read_phrases(const char *path)
{
	char *line = NULL;
	size_t room = 0;
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	while (getline(&line, &room, f) >= 0) {
		line[strcspn(line, "#\r\n")] = '\0';
		if (line[0] == '\0')
			continue;
		phrases = reallocarray(phrases, n_phrases + 1, sizeof(*phrases));
		if (phrases == NULL || (phrases[n_phrases++] = strdup(line)) == NULL)
			abort();
	}
	free(line);
	fclose(f);
}

/* The body so far, as a string: a NUL in it ends what is looked at. */
struct text {
	char body[BODY_MAX + 1];
};

static void
body(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	struct text *text = weir_transaction_data(session);
	struct weir_bytes data = event->body.data;

	(void)request;
	if (text == NULL && (text = calloc(1, sizeof(*text))) == NULL)
		abort();
	weir_transaction_set_data(session, text, free);
	if (data.len <= BODY_MAX && event->body.offset <= BODY_MAX - data.len)
		memcpy(text->body + event->body.offset, data.data, data.len);
}

static void
refuse(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	const struct text *text = weir_transaction_data(session);
	size_t i;

	(void)event;
	for (i = 0; text != NULL && i < n_phrases; i++) {
		if (strcasestr(text->body, phrases[i]) == NULL)
			continue;
		weir_because(request, phrases[i], 0, NULL);
		weir_reject(request, 550, "5.7.1", "Not with these words");
		return;
	}
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
	read_phrases("phrases");
	weir_policy_body_prefix(policy, BODY_MAX);
	weir_on(policy, WEIR_BODY, WEIR_NOTIFY, body);
	weir_on(policy, WEIR_@PHASE_UPPER@, WEIR_DECIDE, refuse);
	return weir_policy_run(policy, argv[1]);
}

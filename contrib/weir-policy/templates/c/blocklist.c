/*
 * @NAME@: refuse whoever is in the file "blocked" of the directory where it
 * is started. One entry a line: @ENTRY@; "#" begins a comment.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir_policy.h>

static char **blocked;
static size_t n_blocked;

static void
read_blocked(const char *path)
{
	char *line = NULL;
	size_t room = 0;
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	while (getline(&line, &room, f) >= 0) {
		char *word = strtok(line + strspn(line, " \t"), " \t\r\n#");

		if (word == NULL || line[strspn(line, " \t")] == '#')
			continue;
		blocked = reallocarray(blocked, n_blocked + 1, sizeof(*blocked));
		if (blocked == NULL || (blocked[n_blocked++] = strdup(word)) == NULL)
			abort();
	}
	free(line);
	fclose(f);
}

/* "@example.org" stands for everybody there. */
static bool
is_entry(struct weir_bytes who, const char *entry)
{
	const char *at = memrchr(who.data, '@', who.len);

	if (entry[0] == '@' && at != NULL)
		who = (struct weir_bytes){ at,
		    who.len - (size_t)(at - who.data) };
	return weir_same(who, entry);
}

static void
refuse(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	struct weir_bytes who = @KEY@;
	size_t i;

	(void)session;
	for (i = 0; i < n_blocked; i++) {
		if (!is_entry(who, blocked[i]))
			continue;
		weir_because(request, blocked[i], 0, NULL);
		weir_reject(request, 550, "5.7.1", "Blocked");
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
	read_blocked("blocked");
	weir_on(policy, WEIR_@PHASE_UPPER@, WEIR_DECIDE, refuse);
	return weir_policy_run(policy, argv[1]);
}

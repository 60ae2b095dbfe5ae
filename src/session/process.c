/*
 * Who sends, as it becomes known: for the record, and for policies that hear
 * CONNECT from then on. One block of memory, for as long as the session.
 */
#include "session/internal.h"

#include <stdlib.h>

struct policy_process *
session_process_copy(const struct policy_process *p)
{
	size_t cgroup = strlen(p->cgroup) + 1, command = strlen(p->command) + 1;
	struct policy_process *copy = malloc(sizeof(*copy) + cgroup + command);
	char *text;

	if (copy == NULL)
		return NULL;
	text = (char *)(copy + 1);
	*copy = (struct policy_process){ .uid = p->uid, .pid = p->pid,
	    .cgroup = memcpy(text, p->cgroup, cgroup),
	    .command = memcpy(text + cgroup, p->command, command) };
	return copy;
}

void
session_process_found(struct session *s, const struct policy_process *found)
{
	s->process_sought = false;
	if (found == NULL || s->process != NULL)
		return;
	s->process = session_process_copy(found);
	if (s->process != NULL)
		session_fact(s, FACT_PROCESS)->u.process = *s->process;
}

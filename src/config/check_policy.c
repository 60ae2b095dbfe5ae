/*
 * What a policy is asked about, and what happens when it does not answer: a
 * condition that can never be met is a slip of the pen, and would leave mail
 * unchecked in silence.
 */
#include <ctype.h>

#include "config/build.h"

static void
check_listeners(const struct config *c, const struct config_policy *p,
    const struct config_part *part, struct config_report *report)
{
	size_t i, j;

	for (i = 0; i < p->n_listeners; i++) {
		for (j = 0; j < c->n_listeners; j++)
			if (strcmp(c->listeners[j].name,
			    p->listeners[i]) == 0)
				break;
		if (j == c->n_listeners)
			config_report_add(report,
			    config_part_line(part, "listeners"),
			    "listeners: there is no listener \"%.80s\"; "
			    "write the name of one", p->listeners[i]);
	}
}

static bool
is_domain(const char *s)
{
	const char *dot = s;

	if (*s == '.')
		dot = ++s;
	for (; *s != '\0'; s++) {
		if (*s == '.' && (s == dot || s[1] == '\0'))
			return false;
		if (*s == '.')
			dot = s + 1;
		if (!isalnum((unsigned char)*s) && *(unsigned char *)s < 128 &&
		    strchr(".-_[]:", *s) == NULL)
			return false;
	}
	return s > dot;
}

static void
check_domains(const char *key, const char *const *list, size_t n, bool null,
    const struct config_part *part, struct config_report *report)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i][0] == '\0' ? !null : !is_domain(list[i]))
			config_report_add(report, config_part_line(part, key),
			    "%s: \"%.80s\" is no domain; write example.com, "
			    "or .example.com for all below it, too%s", key,
			    list[i], null ? ", or \"\" for <>" : "");
}

static void
check_causes(const struct config_policy *p, const struct config_part *part,
    struct config_report *report)
{
	enum policy_action action;
	enum policy_error cause;
	unsigned seen = 0;
	size_t i;

	for (i = 0; i < p->n_on_error_cause; i++) {
		const char *text = p->on_error_cause[i], *wrong = NULL;

		if (config_on_error_cause(text, &cause, &action) != 0)
			wrong = "is no cause and action; write one as "
			    "\"timeout=relay\" (connect, handshake, timeout, "
			    "protocol, invalid_decision, overload, "
			    "circuit_open; relay, tempfail, reject, "
			    "disconnect)";
		else if (seen & 1u << cause)
			wrong = "names its cause a second time; write it once";
		else
			seen |= 1u << cause;
		if (wrong != NULL)
			config_report_add(report,
			    config_part_line(part, "on_error_cause"),
			    "on_error_cause: \"%.80s\" %s", text, wrong);
	}
}

void
config_check_conditions(const struct config *c, const struct config_policy *p,
    const struct config_part *part, struct config_report *report)
{
	check_listeners(c, p, part, report);
	check_domains("senders", p->senders, p->n_senders, true, part, report);
	check_domains("recipients", p->recipients, p->n_recipients, false,
	    part, report);
	check_causes(p, part, report);
	if (p->size_max > 0 && p->size_max < p->size_min)
		config_report_add(report, config_part_line(part, "size_max"),
		    "size_max is below size_min: no message is of that size; "
		    "write a larger one, or 0");
	if (p->mode == POLICY_MODE_OBSERVE && p->enforce != 100)
		config_report_add(report, config_part_line(part, "enforce"),
		    "enforce serves only mode = enforce; remove it, or write "
		    "mode = \"enforce\"");
}

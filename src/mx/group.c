/*
 * The organizational domain is the registrable one, by the public suffix list:
 * where customers register below "co.uk", no two of them are one group.
 */
#include "mx/group.h"

#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>

struct mx_group_list {
	psl_ctx_t *psl;
};

struct mx_group_list *
mx_group_list_new(void)
{
	struct mx_group_list *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	/* the machine's, or the one that the library was built with */
	l->psl = psl_latest(NULL);
	if (l->psl == NULL) {
		free(l);
		return NULL;
	}
	return l;
}

void
mx_group_list_free(struct mx_group_list *l)
{
	if (l != NULL)
		psl_free(l->psl);
	free(l);
}

/* The name in lower case; false: it is none. */
static bool
host_name(struct span greeting, char name_r[MX_GROUP_MAX])
{
	bool letter = false;
	size_t n;

	for (n = 0; n < greeting.len; n++) {
		uint8_t c = greeting.data[n];

		if (c == ' ' || c == '\t')
			break;
		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + ('a' - 'A'));
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-' && c != '.')
			return false;
		if (n + 1 == MX_GROUP_MAX)
			return false;
		letter |= c >= 'a' && c <= 'z';
		name_r[n] = (char)c;
	}
	while (n > 0 && name_r[n - 1] == '.')
		n--;
	name_r[n] = '\0';
	return letter;
}

bool
mx_group_by_name(const struct mx_group_list *l, struct span greeting,
    char group_r[MX_GROUP_MAX])
{
	char name[MX_GROUP_MAX];
	const char *domain;

	if (!host_name(greeting, name))
		return false;
	domain = psl_registrable_domain(l->psl, name);
	if (domain == NULL)
		return false;
	snprintf(group_r, MX_GROUP_MAX, "%s", domain);
	return true;
}

void
mx_group_by_address(const struct addr *a, char group_r[MX_GROUP_MAX])
{
	struct addr net = *a;
	size_t keep = a->family == ADDR_IPV6 ? 6 : 3;
	char text[ADDR_TEXT_MAX];

	memset(net.ip + keep, 0, sizeof(net.ip) - keep);
	net.scope = 0;
	snprintf(group_r, MX_GROUP_MAX, "%s/%s", addr_format(&net, text),
	    a->family == ADDR_IPV6 ? "48" : "24");
}

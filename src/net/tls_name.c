/*
 * Own code rather than gnutls_x509_crt_check_hostname(), which knows neither
 * last dots nor the wildcards of MTA-STS, and which would take a name that
 * looks like an address for one.
 */
#include "net/tls_name.h"

#include "base/tls_demand.h"

#include <gnutls/x509.h>
#include <stdio.h>

#define PRESENTED_MAX 512	/* bytes of a name; a longer one is none */

typedef bool (*visit_fn)(void *ctx, struct span name);

static struct span
without_dot(struct span name)
{
	if (name.len > 0 && name.data[name.len - 1] == '.')
		name.len--;
	return name;
}

static bool
is_wildcard(struct span name)
{
	return name.len > 2 && name.data[0] == '*' && name.data[1] == '.';
}

/* What comes behind the first label; empty if nothing does. */
static struct span
parent(struct span name)
{
	return span_skip(name, span_find(name, '.') + 1);
}

static bool
names_meet(struct span presented, struct span demanded)
{
	struct span rest = parent(presented);

	if (span_eq_nocase(presented, demanded))
		return true;
	/* "*.example" would be everybody below a top-level domain. */
	if (is_wildcard(presented) && parent(rest).len > 0 &&
	    span_find(demanded, '.') < demanded.len &&
	    span_eq_nocase(rest, parent(demanded)))
		return true;
	return is_wildcard(demanded) && span_find(presented, '.') > 0 &&
	    span_eq_nocase(rest, parent(demanded));
}

/* Visits DNS names, or the common name where there are none, until visit says
 * true. A name with a NUL inside is a fraud and is left out. */
static bool
each_name(struct span certificate, visit_fn visit, void *ctx)
{
	gnutls_datum_t der = { (unsigned char *)certificate.data,
	    (unsigned)certificate.len };
	gnutls_x509_crt_t crt;
	char name[PRESENTED_MAX];
	struct span s;
	unsigned i;
	size_t size;
	bool dns = false, found = false;
	int rc;

	if (gnutls_x509_crt_init(&crt) != GNUTLS_E_SUCCESS)
		return false;
	rc = gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER);
	for (i = 0; rc >= 0 && !found; i++) {
		size = sizeof(name);
		rc = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &size,
		    NULL);
		if (rc == GNUTLS_E_SHORT_MEMORY_BUFFER) {
			rc = GNUTLS_E_SUCCESS;
			continue;
		}
		if (rc != GNUTLS_SAN_DNSNAME)
			continue;
		dns = true;
		s = without_dot(span_of(name, size));
		found = span_find(s, '\0') == s.len && visit(ctx, s);
	}
	size = sizeof(name);
	if (!dns && rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE &&
	    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
	    0, name, &size) == 0) {
		s = without_dot(span_of(name, size));
		found = span_find(s, '\0') == s.len && visit(ctx, s);
	}
	gnutls_x509_crt_deinit(crt);
	return found;
}

struct search {
	const char *const *names;
	size_t n;
	int found;
};

static bool
visit_search(void *ctx, struct span name)
{
	struct search *search = ctx;
	size_t i;

	for (i = 0; i < search->n; i++) {
		if (names_meet(name, without_dot(span_str(search->names[i])))) {
			search->found = (int)i;
			return true;
		}
	}
	return false;
}

int
tls_name_find(struct span certificate, const char *const *names, size_t n)
{
	struct search search = { names, n, -1 };

	return each_name(certificate, visit_search, &search) ?
	    search.found : -1;
}

struct list {
	char *text;
	size_t size, used;
};

/* What a peer sent is shown only where it looks like a name. */
static bool
visit_list(void *ctx, struct span name)
{
	struct list *list = ctx;
	size_t need = name.len + (list->used > 0 ? 2 : 0);

	if (!tls_name_is_valid(name) || list->size - list->used <= need)
		return false;
	list->used += (size_t)snprintf(list->text + list->used,
	    list->size - list->used, "%s%.*s", list->used > 0 ? ", " : "",
	    (int)name.len, (const char *)name.data);
	return false;
}

void
tls_name_list(struct span certificate, char *text, size_t size)
{
	struct list list = { text, size, 0 };

	text[0] = '\0';
	each_name(certificate, visit_list, &list);
}

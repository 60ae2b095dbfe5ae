/*
 * Conditions on addresses. The hash is part of the contract with operators:
 * "the 10 percent" must be the same senders tomorrow, so it is written out
 * here and fixed by a test instead of taken from wherever hashes come from.
 */
#include "policy/condition.h"

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

unsigned
policy_bucket(struct span domain)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	if (domain.len == 0)
		return 0;
	for (size_t i = 0; i < domain.len; i++) {
		hash ^= lower(domain.data[i]);
		hash *= UINT64_C(1099511628211);
	}
	return (unsigned)(hash % POLICY_BUCKETS);
}

bool
policy_bucket_is_in(struct span domain, unsigned percent)
{
	return policy_bucket(domain) < percent * (POLICY_BUCKETS / 100);
}

static bool
is_meant(struct span domain, struct span entry)
{
	if (span_eq_nocase(domain, entry))
		return true;
	if (entry.len < 2 || entry.data[0] != '.')
		return false;
	if (domain.len >= entry.len)
		return span_eq_nocase(span_skip(domain,
		    domain.len - entry.len), entry);
	return span_eq_nocase(domain, span_skip(entry, 1));
}

bool
policy_domain_is_listed(struct span domain, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_meant(domain, span_str(list[i])))
			return true;
	return n == 0;
}

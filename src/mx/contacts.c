/*
 * A deferral of a stranger is unclear until somebody contradicts: a stranger
 * that is accepted at once says that strangers are not deferred as such, and
 * the unclear ones count after all; a retry that is accepted says that they
 * are.
 */
#include "mx/contacts.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"

#define FRESH_STEP 0.25f

static uint16_t
mark(uint64_t contact)
{
	uint16_t m = (uint16_t)(contact >> 48);

	return m == 0 ? 1 : m;
}

static uint16_t *
known(struct mx_contacts *c, uint64_t contact)
{
	return &c->known[contact % MX_CONTACTS_KNOWN];
}

void
mx_contacts_init(struct mx_contacts *c)
{
	memset(c, 0, sizeof(*c));
	c->fresh = 1;
}

/* A stranger came. */
static void
note_fresh(struct mx_contacts *c, bool accepted)
{
	c->fresh += FRESH_STEP * ((accepted ? 1.0f : 0.0f) - c->fresh);
}

enum mx_contact
mx_contacts_accepted(struct mx_contacts *c, uint64_t contact)
{
	size_t at = (size_t)(contact >> 16) % MX_CONTACTS_WAITING;
	bool was_known;

	c->stranded = 0;
	if (contact == 0)
		return MX_CONTACT_COUNTS;
	was_known = *known(c, contact) == mark(contact);
	*known(c, contact) = mark(contact);
	if (c->waiting[at].at_s != 0 &&
	    c->waiting[at].hash == (uint32_t)(contact >> 32)) {
		c->waiting[at].at_s = 0;
		return c->fresh < MX_CONTACTS_FRESH ? MX_CONTACT_RETRIED :
		    MX_CONTACT_COUNTS;
	}
	if (was_known)
		return MX_CONTACT_COUNTS;
	note_fresh(c, true);
	return MX_CONTACT_FRESH;
}

enum mx_contact
mx_contacts_deferred(struct mx_contacts *c, uint64_t contact, uint64_t now_us)
{
	size_t at = (size_t)(contact >> 16) % MX_CONTACTS_WAITING;
	uint32_t now_s = (uint32_t)(now_us / CLOCK_US_PER_S) + 1;

	if (contact == 0 || *known(c, contact) == mark(contact))
		return MX_CONTACT_COUNTS;
	if (c->waiting[at].at_s != 0 &&
	    c->waiting[at].hash == (uint32_t)(contact >> 32)) {
		/* too early for a greylist's taste, or too late */
		return now_s < c->waiting[at].at_s + MX_CONTACTS_RETRY_S ?
		    MX_CONTACT_UNCLEAR : MX_CONTACT_COUNTS;
	}
	c->waiting[at].hash = (uint32_t)(contact >> 32);
	c->waiting[at].at_s = now_s;
	note_fresh(c, false);
	c->stranded++;
	return MX_CONTACT_UNCLEAR;
}

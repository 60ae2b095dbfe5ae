/*
 * A deferral of a stranger is unclear until somebody contradicts: a stranger
 * that is accepted at once says that strangers are not deferred as such, and
 * the unclear ones count after all; a retry that is accepted says that they
 * are.
 */
#include "mx/contacts.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"

#define FRESH_STEP 0.25f
#define MINUTE_US (UINT64_C(60) * CLOCK_US_PER_S)
#define HOUR_US (60 * MINUTE_US)

void
mx_contacts_init(struct mx_contacts *c)
{
	memset(c, 0, sizeof(*c));
	c->fresh = 1;
}

static uint16_t
minute_of(uint64_t now_us)
{
	return (uint16_t)(now_us / MINUTE_US);
}

static uint16_t
mark_of(uint64_t contact)
{
	uint16_t m = (uint16_t)(contact >> 48);

	return m == 0 ? 1 : m;
}

/* How long ago, in minutes; a clock that goes back says that it is now. */
static uint16_t
age(const struct mx_contact_slot *s, uint64_t now_us)
{
	uint16_t n = (uint16_t)(minute_of(now_us) - s->minute);

	return n > UINT16_MAX - 10 ? 0 : n;
}

/* Its slot; NULL: a stranger. */
static struct mx_contact_slot *
find(struct mx_contacts *c, uint64_t contact)
{
	struct mx_contact_slot *set = c->slots[contact % MX_CONTACTS_SETS];

	for (size_t i = 0; i < MX_CONTACTS_WAYS; i++)
		if (set[i].mark == mark_of(contact))
			return &set[i];
	return NULL;
}

/* Who is less missed: who came once, who came often, who waits. */
static int
merit(const struct mx_contact_slot *s)
{
	return s->mark == 0 ? 0 : s->waits ? 3 : s->often ? 2 : 1;
}

static bool
leaves_before(const struct mx_contact_slot *a, const struct mx_contact_slot *b,
    uint64_t now_us)
{
	int less = merit(a) - merit(b);

	return less != 0 ? less < 0 : age(a, now_us) > age(b, now_us);
}

static void
add(struct mx_contacts *c, uint64_t contact, bool waits, uint64_t now_us)
{
	struct mx_contact_slot *set = c->slots[contact % MX_CONTACTS_SETS];
	struct mx_contact_slot *s = set;

	for (size_t i = 1; i < MX_CONTACTS_WAYS; i++)
		if (leaves_before(&set[i], s, now_us))
			s = &set[i];
	if (s->mark != 0 && s->waits && age(s, now_us) < 60)
		c->lost_us = now_us;
	*s = (struct mx_contact_slot){ .mark = mark_of(contact),
	    .minute = minute_of(now_us), .waits = waits };
}

/* Some are strangers only because they were forgotten. */
static bool
is_lossy(const struct mx_contacts *c, uint64_t now_us)
{
	return c->lost_us != 0 && now_us < c->lost_us + HOUR_US;
}

/* A stranger came. */
static void
note_fresh(struct mx_contacts *c, bool accepted)
{
	c->fresh += FRESH_STEP * ((accepted ? 1.0f : 0.0f) - c->fresh);
}

enum mx_contact
mx_contacts_accepted(struct mx_contacts *c, uint64_t contact, uint64_t now_us)
{
	struct mx_contact_slot *s;

	c->stranded = 0;
	if (contact == 0)
		return MX_CONTACT_COUNTS;
	s = find(c, contact);
	if (s == NULL) {
		add(c, contact, false, now_us);
		if (is_lossy(c, now_us)) {
			/* else they would all count together, later */
			c->unclear = 0;
			return MX_CONTACT_COUNTS;
		}
		note_fresh(c, true);
		return MX_CONTACT_FRESH;
	}
	s->minute = minute_of(now_us);
	s->often = true;
	if (!s->waits || c->fresh >= MX_CONTACTS_FRESH) {
		s->waits = false;
		return MX_CONTACT_COUNTS;
	}
	s->waits = false;
	c->retried_us = now_us;
	return MX_CONTACT_RETRIED;
}

enum mx_contact
mx_contacts_deferred(struct mx_contacts *c, uint64_t contact, uint64_t now_us)
{
	struct mx_contact_slot *s;

	if (contact == 0)
		return MX_CONTACT_COUNTS;
	s = find(c, contact);
	if (s == NULL) {
		add(c, contact, true, now_us);
		if (!is_lossy(c, now_us))
			note_fresh(c, false);
		c->stranded++;
		return MX_CONTACT_UNCLEAR;
	}
	/* too early for a greylist's taste, or too late */
	return s->waits && age(s, now_us) < MX_CONTACTS_RETRY_MIN ?
	    MX_CONTACT_UNCLEAR : MX_CONTACT_COUNTS;
}

bool
mx_contacts_greylists(const struct mx_contacts *c, uint64_t now_us)
{
	return c->retried_us != 0 && now_us < c->retried_us + 24 * HOUR_US;
}

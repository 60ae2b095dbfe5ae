/*
 * Who has written to whom, as a hash, of one pair: to tell greylisting by what
 * it does. It defers the first contact of a sender and a recipient and takes
 * the retry; it takes those that it knows, and hardly ever a stranger at once.
 *
 * A small table that forgets, those first who came once and were accepted.
 * While it has to forget some who are waiting, nobody is called a stranger.
 * Pure.
 */
#ifndef WEIR_MX_CONTACTS_H
#define WEIR_MX_CONTACTS_H

#include <stdbool.h>
#include <stdint.h>

#define MX_CONTACTS_SETS 128
#define MX_CONTACTS_WAYS 4
#define MX_CONTACTS_RETRY_MIN 30	/* who is deferred so much later is not
					   greylisted: that is throttling */
#define MX_CONTACTS_FRESH 0.45f	/* fewer strangers at once: it may greylist */
#define MX_CONTACTS_FRESH_ALONE 0.6f	/* the same, while nobody is deferred
					   whom it knows */

struct mx_contacts {
	struct mx_contact_slot {
		uint16_t mark;		/* of the hash; 0: free */
		uint16_t minute;	/* of the last one, or, while it waits,
					   of the first; from the clock, wraps */
		bool waits;		/* deferred, and not accepted since */
		bool often;		/* accepted more than once */
	} slots[MX_CONTACTS_SETS][MX_CONTACTS_WAYS];
	uint64_t lost_us;	/* when one that waits was forgotten; 0: never */
	uint64_t retried_us;	/* when a retry was taken, and it may greylist */
	float unclear;		/* deferrals that may be greylisting, and are
				   counted nowhere yet */
	float counted;		/* of them: in the run of deferrals, after all */
	float stranded;		/* of them: since anything was accepted */
	float fresh;		/* the share of strangers that are accepted at
				   once, lately */
};

enum mx_contact {
	MX_CONTACT_COUNTS,	/* it is what it says */
	MX_CONTACT_UNCLEAR,	/* a deferral that may be greylisting */
	MX_CONTACT_RETRIED,	/* accepted now: the deferral before was
				   greylisting */
	MX_CONTACT_FRESH,	/* a stranger that was accepted at once */
};

void mx_contacts_init(struct mx_contacts *c);

/* contact: a hash of sender and recipient; 0: not known, and it counts. */
enum mx_contact mx_contacts_accepted(struct mx_contacts *c, uint64_t contact,
	uint64_t now_us);

/* A 4xx that does not say what for. */
enum mx_contact mx_contacts_deferred(struct mx_contacts *c, uint64_t contact,
	uint64_t now_us);

/* Is this what it does: it was seen to, within a day? */
bool mx_contacts_greylists(const struct mx_contacts *c, uint64_t now_us);

#endif

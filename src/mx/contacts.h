/*
 * Who has written to whom, as a hash, of one pair: to tell greylisting by what
 * it does. It defers the first contact of a sender and a recipient and takes
 * the retry; it takes those that it knows, and hardly ever a stranger at once.
 *
 * Small tables that forget: what is forgotten is a stranger again. Pure.
 */
#ifndef WEIR_MX_CONTACTS_H
#define WEIR_MX_CONTACTS_H

#include <stdint.h>

#define MX_CONTACTS_KNOWN 512
#define MX_CONTACTS_WAITING 64
#define MX_CONTACTS_RETRY_S 900	/* who is deferred so much later is not
				   greylisted: that is throttling */

struct mx_contacts {
	uint16_t known[MX_CONTACTS_KNOWN];
	struct {
		uint32_t hash, at_s;	/* 0: free */
	} waiting[MX_CONTACTS_WAITING];	/* deferred as strangers */
	float unclear;		/* deferrals that may be greylisting, and are
				   counted nowhere yet */
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

#define MX_CONTACTS_FRESH 0.4f	/* fewer strangers at once: it may greylist */

void mx_contacts_init(struct mx_contacts *c);

/* contact: a hash of sender and recipient; 0: not known, and it counts. */
enum mx_contact mx_contacts_accepted(struct mx_contacts *c, uint64_t contact);

/* A 4xx that does not say what for. */
enum mx_contact mx_contacts_deferred(struct mx_contacts *c, uint64_t contact,
	uint64_t now_us);

#endif

/*
 * A handshake fails when somebody set a policy up wrongly, so its words are
 * for a person who looks for the mistake: what came, and what to do.
 */
#include "service/policy_hello.h"

#include <stdio.h>

#include "config.h"

#define MAJOR 1			/* of the protocol that this weir speaks */
#define FRAME_MIN 512		/* bytes; all but content fits into these */

void
policy_hello_make(const struct policy_client_setup *setup,
    struct policy_event *hello_r)
{
	const struct config_policy *block = setup->block;

	*hello_r = (struct policy_event){
		.type = POLICY_EVENT_HELLO,
		.u.hello = {
			.software = "weir/" PACKAGE_VERSION,
			.instance = setup->instance,
			.policy = block->name,
			.mode = block->mode,
			.phases = POLICY_PHASES_ALL,
			.grants = block->grants,
			.pools = setup->pools,
			.n_pools = setup->n_pools,
			.max_frame = block->max_frame,
		},
	};
}

const char *
policy_hello_wrong(const struct policy_answer *answer, size_t length,
    char *why, size_t size)
{
	uint32_t max = answer->u.welcome.max_frame;

	if (length == 0)
		return "its first answer to Hello is an empty frame and no "
		    "Welcome";
	if (answer->type != POLICY_ANSWER_WELCOME) {
		snprintf(why, size, "its first answer to Hello is %s and no "
		    "Welcome", policy_answer_name(answer->type));
		return why;
	}
	if (answer->session != 0)
		return "its Welcome names a session: those of the handshake "
		    "have session 0";
	if (answer->u.welcome.major != MAJOR) {
		snprintf(why, size, "it speaks version %u of the policy "
		    "protocol, this weir version %u: update the older of the "
		    "two", answer->u.welcome.major, MAJOR);
		return why;
	}
	if (max != 0 && max < FRAME_MIN) {
		snprintf(why, size, "its Welcome allows frames of %u bytes: "
		    "max_frame must be at least %u, or 0 for what Hello says",
		    max, FRAME_MIN);
		return why;
	}
	return NULL;
}

const char *
policy_hello_closed(struct span sent)
{
	return sent.len > 0 ? "it closed the connection in the middle of its "
	    "first frame" :
	    "it closed the connection on Hello: its log may say why; perhaps "
	    "it speaks another protocol, or another version of this one";
}

const char *
policy_hello_silence(struct span sent)
{
	return sent.len > 0 ? policy_frame_guess(sent) :
	    "it takes connections and says nothing; perhaps it hangs, or "
	    "waits for another protocol";
}

#!/usr/bin/python3
"""@NAME@: refuse whoever is in the file "blocked" beside this program.

One entry a line: @ENTRY@; "#" begins a comment.
It is read again when it changes.
"""

from pathlib import Path

from weir_policy import Policy, WatchedFile, arguments, reject

blocked = WatchedFile(str(Path(__file__).with_name("blocked")),
                      lambda lines: {line.lower() for _, line in lines})
policy = Policy("@NAME@/1.0", version=blocked.version)


@policy.@PHASE@
def refuse(session, event):
    entries, policy.version = blocked.value, blocked.version
    who = @KEY@.lower()
    for entry in (who, "@" + who.rpartition("@")[2]):
        if entry in entries:
            return reject("Blocked", 550, "5.7.1").because(rule=entry)
    return None


policy.run(arguments(__doc__).parse_args())

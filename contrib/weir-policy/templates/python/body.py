#!/usr/bin/python3
"""@NAME@: refuse messages with a phrase of the file "phrases" beside this
program, one a line, in whatever case, wherever in the text.

Text is decoded: base64, quoted-printable and charsets are undone. The file is
read again when it changes.
"""

from pathlib import Path

from weir_policy import Policy, WatchedFile, arguments, reject

phrases = WatchedFile(str(Path(__file__).with_name("phrases")),
                      lambda lines: [line.lower() for _, line in lines])
policy = Policy("@NAME@/1.0", version=phrases.version, body_limit=1_000_000)


@policy.@PHASE@
def refuse(session, event):
    listed, policy.version = phrases.value, phrases.version
    text = session.message.text().lower()
    for phrase in listed:
        if phrase in text:
            return reject("Not with these words", 550, "5.7.1").because(
                rule=phrase)
    return None


policy.run(arguments(__doc__).parse_args())

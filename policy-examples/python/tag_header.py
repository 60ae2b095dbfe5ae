#!/usr/bin/python3
"""Tag messages by what their text says.

Each --rule TAG REGEX that is found in the decoded text (base64,
quoted-printable and charsets undone) adds "X-Weir-Tag: TAG". Tags that the
client brought along are removed. weir.conf must grant this policy "headers".

  tag_header.py --listen unix:/run/weir/tag.sock --rule offer 'buy (now|today)'
"""

import argparse
import re
import sys
from pathlib import Path

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[2]}/contrib/sdk/python")
from weir_policy import (Decision, EndOfMessage, Policy, Session, arguments,
                         relay)


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rule", nargs=2, action="append", required=True,
                        metavar=("TAG", "REGEX"), help="case is ignored")
    parser.add_argument("--header", default="X-Weir-Tag",
                        help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=1_000_000,
                        help="look at so many bytes of body"
                             " (default: %(default)s)")
    args = parser.parse_args()
    rules = []
    for tag, pattern in args.rule:
        try:
            relay().add_header(args.header, tag)
            rules.append((tag, re.compile(pattern, re.IGNORECASE)))
        except (ValueError, re.error) as error:
            parser.error(f"rule {tag}: {error}")

    policy = Policy("tag_header/1.0", body_limit=args.limit)

    @policy.end_of_message
    def tag_message(session: Session, event: EndOfMessage) -> Decision:
        text = session.message.text()
        decision = relay()
        for index in range(len(session.message.headers.all(args.header))):
            decision = decision.delete_header(args.header, index)
        found = [tag for tag, pattern in rules if pattern.search(text)]
        for tag in found:
            decision = decision.add_header(args.header, tag)
        return decision.because(rule=",".join(found))

    policy.run(args)


if __name__ == "__main__":
    main()

"""The lifetime counts, as Redis keeps them, of each partition; readers add them up.

    totals:{p}       hash  of a partition
    totals:{mqtt}    hash  of what brokers share: dead letters alone
    totals:{campus}  hash  of what lies in no partition: dead letters alone

Its fields:

    messages, positions, outside   what decoders have decoded, what they found on the campus, and what outside it
    ignored                        messages, or members of one, that are no positions and may be sent all the same
    accepted, finished             messages that were appended to `raw`, and that wait no longer (`state.raw`):
                                   decoded, given up with their whole entry, or removed by hand. The difference
                                   is the backlog: so `finished` becomes `accepted` where the stream is empty
    dead:{reason}                  dead letters, ever
    split                          entries whose messages were tried one by one, since decoders died of one of them
    replayed, dropped              dead letters that were sent through once more, and that were removed by hand
    expired                        dead letters that were older than DEAD_LETTERS_KEEP

They are written together with the acknowledgement, so they are exact whatever dies.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

DEAD_TOTAL = "dead:"
"""How the totals of dead letters begin; the reason follows."""
REPLAYED = "replayed"
DROPPED = "dropped"
EXPIRED = "expired"
ACCEPTED = "accepted"
FINISHED = "finished"
SPLIT = "split"


def totals_key(hash_tag: str) -> str:
    """The hash of the counts of a partition, or of `{campus}`."""
    return f"totals:{hash_tag}"


def dead_key(hash_tag: str) -> str:
    """The stream of dead letters that are counted there."""
    return f"dead:{hash_tag}"


def lifetime_counts(totals: Mapping[bytes, bytes]) -> dict[str, int]:
    """By name, in alphabetical order. What is no count, for no service of ours wrote it, is left out."""
    found = {}
    for name, count in totals.items():
        try:
            found[name.decode()] = int(count)
        except ValueError:
            continue
    return dict(sorted(found.items()))


def added_up(totals: Iterable[Mapping[bytes, bytes]]) -> dict[str, int]:
    """The counts of several partitions, by name, in alphabetical order."""
    found: Counter[str] = Counter()
    for each in totals:
        found.update(lifetime_counts(each))
    return dict(sorted(found.items()))

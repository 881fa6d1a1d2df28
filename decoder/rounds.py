"""Which messages of which entries are done together: a round is as much as one batch takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from core.messages import RawMessage
from state.entries import counted, decode_entry
from state.group import Entry
from state.raw import Part


@dataclass(frozen=True, slots=True)
class InHand:
    """An entry, and what is yet to be done of it."""

    entry_id: bytes
    messages: Sequence[RawMessage] = ()
    """All of its messages, also those that are done."""
    done: int = 0
    counted: bool = False
    """Whether its messages were counted when it was appended."""
    malformed: int = 0
    """For how many messages an entry was counted that nobody can read."""
    is_malformed: bool = False

    @property
    def left(self) -> Sequence[RawMessage]:
        """The messages that are yet to be done."""
        return self.messages[self.done :]


@dataclass(frozen=True, slots=True)
class Round:
    """What one batch has taken."""

    parts: list[Part]
    rest: list[InHand]
    """What is left after it."""


def in_hand(entries: Iterable[Entry]) -> list[InHand]:
    """Entries as they were read: those without a message first, for they are done with the first round."""
    empty: list[InHand] = []
    found: list[InHand] = []
    for entry_id, fields in entries:
        if not fields:  # cut off after it was delivered: another decoder has acknowledged it
            empty.append(InHand(entry_id))
            continue
        count = counted(fields)
        try:
            found.append(InHand(entry_id, decode_entry(fields), counted=count > 0))
        except ValueError:
            empty.append(InHand(entry_id, malformed=count, is_malformed=True))
    return empty + found


def left(entries: Iterable[InHand]) -> list[RawMessage]:
    """The messages that are yet to be done, in their order."""
    return [message for each in entries for message in each.left]


def cut(entries: Sequence[InHand], taken: int) -> Round:
    """The round that takes so many of the messages that are left, and the entries without any before them."""
    parts: list[Part] = []
    for index, each in enumerate(entries):
        count = len(each.left)
        if count > taken:
            if not taken:
                return Round(parts, list(entries[index:]))
            end = each.done + taken
            parts.append(Part(each.entry_id, each.done, end, taken if each.counted else 0))
            return Round(parts, [replace(each, done=end), *entries[index + 1 :]])
        parts.append(Part(each.entry_id, each.done, None, count if each.counted else each.malformed))
        taken -= count
    return Round(parts, [])


def as_they_are(entries: Iterable[InHand], known: Mapping[bytes, int | None]) -> list[InHand]:
    """Entries after somebody else has done some of them: `known` says how far those of the last round are."""
    now: list[InHand] = []
    for each in entries:
        done = known.get(each.entry_id, each.done)
        if done is not None and (done < len(each.messages) or not each.messages):
            now.append(replace(each, done=done))
    return now

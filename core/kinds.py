"""The kinds of devices that are counted, and the roles of those who send.

Kinds are a table: a file of JSON, KINDS_FILE, or `core/kinds.json` beside this module. What is there once for each
kind follows from an entry of it: a topic, a role, a field of the answers, a column of the map.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NewType

import msgspec

from core.errors import BadSettingsError
from core.topic_filters import TopicFilters
from core.unreadable import UNREADABLE
from core.versions import PUBLIC, WIRE

DEFAULT_FILE = Path(__file__).with_name("kinds.json")
"""Cars and phones."""
ENGLISH = "en"
MAX_KINDS = 16
MAX_LABEL_CHARACTERS = 40
KIND_ID = "[a-z][a-z0-9_]{0,15}"
"""Pattern of ids: they are in names in Redis, whose parts are joined by colons."""
TAKEN_IDS = frozenset({
    *("zone", "name", "category", "total", "capacity", "percentage", "suppressed", "observed_at"),
    *("last_updated", "ttl", "lag_seconds", "newest_input_at", "stale"),
    *("anonymous", "gateway", "service", "app"),
})  # fmt: skip
"""No ids: fields that stand beside the counts in an answer, and roles that are no device's."""
_ID = re.compile(KIND_ID, re.ASCII)
_TOPIC = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_MIRROR = "v1"
DEVICES = "devices"
"""The first level of the topics on which devices hear of what they sent."""
_RESERVED = frozenset({_MIRROR, DEVICES, PUBLIC, WIRE})
_LANGUAGE = re.compile("[a-z]{2,3}(-[A-Za-z0-9]{1,8})*", re.ASCII)
_COLOUR = re.compile("#[0-9a-f]{6}", re.ASCII)

KindId = NewType("KindId", str)
"""What a kind is called in every message, name and answer: `car`."""


class Colours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The colour of a kind on the map, `#rrggbb`."""

    light: str
    """On a light page."""
    dark: str
    """On a dark one."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no colour."""
        for colour in (self.light, self.dark):
            if not _COLOUR.fullmatch(colour):
                raise ValueError(f"a colour is # and six hexadecimal digits in small letters, not {colour[:40]!r}")


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of device: an entry of the table."""

    id: KindId
    topic: str
    """Devices publish to it. What is published below it (`car-iotp/...`) counts as well."""
    label: Mapping[str, tuple[str, str]]
    """One and many of them, by language: `{"en": ("car", "cars")}`. English is always there."""
    person: bool
    """Whether one stands for a person, as a phone does: small counts of it are withheld (PRIVACY_MIN_COUNT)."""
    capacity_of: frozenset[str]
    """Categories of zones whose capacity it takes up. In a zone of another category all kinds take up the capacity."""
    colour: Colours

    def __post_init__(self) -> None:
        """Raise ValueError for an entry that cannot work."""
        if not _ID.fullmatch(self.id):
            raise ValueError(
                f"an id is a small letter and up to 15 small letters, digits and underscores, not {self.id[:40]!r}"
            )
        if self.id in TAKEN_IDS:
            raise ValueError(f"{self.id!r} cannot be an id, for it means something else already")
        if not _TOPIC.fullmatch(self.topic) or self.topic in _RESERVED:
            raise ValueError(
                "a topic is one level, 1 to 64 letters, digits, dots, underscores and hyphens, and none of "
                f"{', '.join(sorted(_RESERVED))}, not {self.topic[:80]!r}"
            )
        if ENGLISH not in self.label:
            raise ValueError(f"the label of {self.id!r} says nothing in English (en)")
        for language, words in self.label.items():
            if not _LANGUAGE.fullmatch(language):
                raise ValueError(f"a label is named by its language, as en or ga, not by {language[:40]!r}")
            for word in words:
                if not 1 <= len(word) <= MAX_LABEL_CHARACTERS or not word.isprintable() or word != word.strip():
                    raise ValueError(f"a label has 1 to {MAX_LABEL_CHARACTERS} printed characters, not {word[:80]!r}")

    @property
    def one(self) -> str:
        """What one is called in English."""
        return self.label[ENGLISH][0]

    @property
    def many(self) -> str:
        """What several are called in English."""
        return self.label[ENGLISH][1]


class Role(msgspec.Struct, frozen=True):
    """What an MQTT user may do. Devices are the users whose role is that of a kind."""

    name: str
    """How it is written everywhere: that of a device is the id of its kind."""
    kind: KindId | None = None
    """Of a device; its user's name is the device's id."""

    ANONYMOUS: ClassVar["Role"]
    GATEWAY: ClassVar["Role"]
    """Sends for devices, of every kind."""
    SERVICE: ClassVar["Role"]
    APP: ClassVar["Role"]
    """An application of others: publishes in versions, below `app-versions`, and nowhere else."""

    def __str__(self) -> str:
        """Its name."""
        return self.name


Role.ANONYMOUS = Role("anonymous")
Role.GATEWAY = Role("gateway")
Role.SERVICE = Role("service")
Role.APP = Role("app")


class Kinds:
    """The table: all kinds of one system, in the order in which people are shown them. It never changes."""

    def __init__(self, kinds: Sequence[Kind], mapped: Sequence[tuple[str, str]] = ()) -> None:
        """`mapped` are further topics, for apps that cannot choose theirs: filters, each with the id of a kind.

        Raises ValueError for kinds that cannot be in one table, and for filters that cannot be beside them.
        """
        if not 1 <= len(kinds) <= MAX_KINDS:
            raise ValueError(f"there are 1 to {MAX_KINDS} kinds, not {len(kinds)}")
        self.ids = tuple(kind.id for kind in kinds)
        self.topics = tuple(kind.topic for kind in kinds)
        """What devices publish to."""
        for what, names in (("id", self.ids), ("topic", self.topics)):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"the {what} {name!r} is there twice")
        self.by_id: Mapping[KindId, Kind] = MappingProxyType({kind.id: kind for kind in kinds})
        self.device_roles = tuple(Role(kind.id, kind.id) for kind in kinds)
        self.roles = (Role.ANONYMOUS, *self.device_roles, Role.GATEWAY, Role.SERVICE, Role.APP)
        """All of them; each is one object, so that `is` may compare them."""
        self.user_roles = self.roles[1:]
        """Those that a user can have."""
        self.role_by_name: Mapping[str, Role] = MappingProxyType({role.name: role for role in self.roles})
        self._by_topic = {kind.topic: kind.id for kind in kinds}
        self._mapped_kinds = tuple(self.parse(kind) for _, kind in mapped)
        self._filters = tuple(mapped)
        self._mapped = TopicFilters([each for each, _ in mapped]) if mapped else None
        first_levels = self._mapped.first_levels if self._mapped else ()
        for level in first_levels:
            if level in _RESERVED or level in self._by_topic or level.startswith("$"):
                raise ValueError(f"topics that begin with {level!r} mean something else already")
        self.ingest_levels = (*self.topics, *first_levels)
        """The first levels of all topics that positions may be on: those of the kinds, and of the mapped ones."""

    def __iter__(self) -> Iterator[Kind]:
        """Each kind, in the table's order."""
        return iter(self.by_id.values())

    def __len__(self) -> int:
        """How many there are."""
        return len(self.by_id)

    def __getitem__(self, kind: KindId) -> Kind:
        """The entry of a kind. Raises KeyError for one that is not in the table."""
        return self.by_id[kind]

    def ingest_kind(self, topic: str) -> KindId | None:
        """The kind of device that publishes to a topic; None for a topic that is not for positions."""
        kind = self._by_topic.get(topic) or self._by_topic.get(topic.partition("/")[0])
        # First of all what is published most: a topic that is mapped costs more, the others nothing.
        if kind is None and self._mapped is not None:
            found = self._mapped.find(topic)
            return None if found is None else self._mapped_kinds[found.number]
        return kind

    def is_unmapped(self, topic: str) -> bool:
        """Whether a topic lies beside those that are mapped, and is no such: `owntracks/ann/phone/event`, say.

        Apps publish there what is no position, and may be as private: nobody gets it.
        """
        return self._mapped is not None and self._mapped.covers(topic) and self._mapped.find(topic) is None

    def topic_id(self, topic: str) -> str | None:
        """Whose a mapped topic is: the levels that the wildcards of its filter took, joined by `/`.

        None where it is not mapped, where its filter has no wildcard, and where one of these levels is empty.
        """
        # First of all what is published most, as above.
        found = None if self._mapped is None or topic in self._by_topic else self._mapped.find(topic)
        return found.taken if found is not None and all(found.taken.split("/")) else None

    def mapped_levels(self, kind: KindId) -> tuple[str, ...]:
        """The first levels of the mapped topics of a kind."""
        levels = (each.partition("/")[0] for each, of in self._filters if of == kind)
        return tuple(dict.fromkeys(levels))

    def parse(self, text: str) -> KindId:
        """The kind of this id. Raises ValueError with a sentence for one that is not in the table."""
        kind = KindId(text)
        if kind not in self.by_id:
            raise ValueError(f"{text[:40]!r} is not one of {', '.join(self.ids)}")
        return kind

    def role(self, text: str) -> Role:
        """The role of this name. Raises ValueError with a sentence for one that nobody has here."""
        role = self.role_by_name.get(text)
        if role is None:
            raise ValueError(f"{text[:40]!r} is not one of {', '.join(self.role_by_name)}")
        return role

    @property
    def many(self) -> str:
        """What all of them are called in English: "cars and phones"."""
        return listed((kind.many for kind in self), "and")


def listed(words: Iterable[str], conjunction: str, *, comma: bool = False) -> str:
    """Words as a sentence has them: "cars, phones and bicycles"; `comma` sets one before the last, too."""
    *others, last = words
    return f"{', '.join(others)}{',' if comma else ''} {conjunction} {last}" if others else last


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kinds: list[Kind]


def load_kinds(path: Path | None, topic_kinds: str = "") -> Kinds:
    """The table in a file, None for `core/kinds.json`, with further topics: `owntracks/+/+=mobile,trackers/+=car`.

    Raises BadSettingsError, which names KINDS_FILE or TOPIC_KINDS.
    """
    file = path or DEFAULT_FILE
    try:
        entries = msgspec.json.decode(file.read_bytes(), type=_File).kinds
        kinds = Kinds(entries)
    except (OSError, *UNREADABLE) as error:
        raise BadSettingsError(f"KINDS_FILE: {file}: {error}") from error
    if not topic_kinds.strip():
        return kinds
    try:
        return Kinds(entries, [_pair(part.strip()) for part in topic_kinds.split(",") if part.strip()])
    except ValueError as error:
        raise BadSettingsError(f"TOPIC_KINDS: {error}") from error


def _pair(text: str) -> tuple[str, str]:
    topics, equals, kind = text.rpartition("=")
    if not equals:
        raise ValueError(f"{text[:80]!r} is not filter=kind, as in owntracks/+/+=mobile")
    return topics.strip(), kind.strip()


DEFAULT_KINDS = load_kinds(None)
"""Cars and phones, for tests and tools: services have the table of their settings."""

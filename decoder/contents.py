"""What is in a payload that cannot be used: which places, whether anything else may be one, and of what shape it is."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from decoder.names import KNOWN, Means, meaning
from decoder.shape import shape_of
from payloads.layers import Repeated, cut_base64, is_text, unwrapped

MAX_VALUES = 3000
"""Values of a payload that are looked at: what has more is not kept. Five hundred terse features have about 3,000."""
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
_WORD_CHARACTERS = 64
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?", re.ASCII)
_HIDES_NUMBERS = re.compile(r"\d[.,:]\d|\d\s+-?\d|°|\d['\u2032]", re.ASCII)
"""What a text has in which there may be degrees, once times of day are taken off."""
_NAME = re.compile(r"\"([A-Za-z_]{1,20})\"\s*:", re.ASCII)
_NAMES_TOLD = 12
_TWO = 2
_THREE = 3
_BOXES = {4: ((0, 1), (2, 3)), 6: ((0, 1), (3, 4))}


@dataclass(slots=True)
class Contents:
    """What was found."""

    shape: str
    """Names of members and types of values, without any value, as people read it: some hundred characters."""
    places: list[tuple[float, float]] = field(default_factory=list)
    """Longitude and latitude, degrees, each once for each time that it is there."""
    known: bool = True
    """Whether everything in it was understood: what was not may be a place, too."""
    looked_at: int = 0

    def look(self, value: object, means: Means | None) -> None:
        """Take a value into account that is in a member of such a name."""
        self.looked_at += 1
        if self.looked_at > MAX_VALUES:
            self.known = False
        if not self.known or value is None or isinstance(value, bool):
            return
        if isinstance(value, dict):
            self._look_into(value)
        elif isinstance(value, list):
            self._look_through(value, means)
        elif not _is_harmless(value, means):
            self.known = False

    def _look_into(self, members: dict[str, Any]) -> None:
        if isinstance(members, Repeated):
            self.known = False
        halves: dict[Means, list[Any]] = {Means.LONGITUDE: [], Means.LATITUDE: []}
        for name, value in members.items():
            means = meaning(name)
            if means in halves:
                halves[means].append(value)
            elif means is None and not _may_be_a_name(name):
                self.known = False
            else:
                self.look(value, means)
        if halves[Means.LONGITUDE] or halves[Means.LATITUDE]:
            self._place(halves[Means.LONGITUDE], halves[Means.LATITUDE])

    def _place(self, longitudes: list[Any], latitudes: list[Any]) -> None:
        self.looked_at += _TWO
        longitude, latitude = (_degrees(each[0]) if len(each) == 1 else None for each in (longitudes, latitudes))
        if longitude is None or latitude is None or abs(longitude) > 180 or abs(latitude) > 90:  # noqa: PLR2004 - degrees
            self.known = False
        else:
            self.places.append((longitude, latitude))

    def _look_through(self, values: list[Any], means: Means | None) -> None:
        if all(isinstance(value, dict) or value is None or isinstance(value, bool) for value in values):
            for value in values:
                self.look(value, Means.MORE)
        elif means is Means.BOX:
            for longitude, latitude in _BOXES.get(len(values), ()):
                self._place([values[longitude]], [values[latitude]])
            self.known = self.known and len(values) in _BOXES
        elif means is not Means.PLACE:
            self.known = self.known and len(values) == 1 and _is_harmless(values[0], means)
        elif all(isinstance(value, list) for value in values):
            for value in values:
                self.look(value, means)
        elif _TWO <= len(values) <= _THREE and all(_degrees(value) is not None for value in values):
            # The order of GeoJSON, and then an altitude.
            self._place(values[:1], values[1:2])
        else:
            self.known = False


def contents(payload: bytes) -> Contents:
    """What is in a payload, however it was encoded or broken. Never raises, whatever the bytes are."""
    layers = unwrapped(payload)
    if not layers.is_json:
        return Contents(layers.around + _shape_of_no_json(layers.value), known=False)
    found = Contents(layers.around + "JSON " + shape_of(layers.value))
    try:
        found.look(layers.value, Means.PLACE if isinstance(layers.value, list) else None)
    except RecursionError:
        found.known = False
    return found


def _shape_of_no_json(data: bytes) -> str:
    """Broken JSON has names that say whose app it is; those that are known, as they come."""
    if not data:
        return "nothing"
    inner = cut_base64(data) if not data.startswith((b"{", b"[")) else None
    text, around = (inner, "base64, cut off, of ") if inner and inner.lstrip().startswith((b"{", b"[")) else (data, "")
    names = [name.lower() for name in _NAME.findall(text[:4096].decode(errors="replace"))]
    if names:
        known = dict.fromkeys(name if name in KNOWN else "?" for name in names)
        return f"{around}broken JSON with {', '.join(list(known)[:_NAMES_TOLD])}"
    return around + ("text" if is_text(text) else "bytes")


def _is_harmless(value: object, means: Means | None) -> bool:
    """Whether a scalar, of a member of such a name, can be no place."""
    if isinstance(value, int | float):
        if means in {Means.MEASURE, Means.TIME}:
            return True
        return means is Means.IDENTITY and isinstance(value, int)
    if not isinstance(value, str):
        return False
    if means is Means.MEASURE and _NUMBER.fullmatch(value):
        return True
    if means in {Means.TIME, Means.IDENTITY}:
        return not _HIDES_NUMBERS.search(_CLOCK.sub("", value))
    return len(value) <= _WORD_CHARACTERS and not any(map(str.isnumeric, value))


def _degrees(value: object) -> float | None:
    """A number, or a text that is one."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e9 and math.isfinite(value):  # noqa: PLR2004
        return float(value)
    return None


def _may_be_a_name(name: str) -> bool:
    """Whether a name that is not known holds no number: it may be a place or an id itself, as `{"52.6,-8.5": ...}`."""
    return not any(map(str.isnumeric, name))

"""What tags say of an area: its name, what it is, how many it holds, and the id that it gets."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from geofence.importing.found import Found, printable
from geofence.zones import MAX_CATEGORY_CHARACTERS, MAX_NAME_CHARACTERS, ZONE_ID, capacity_from

CAR_PARK = "car_park"
BUILDING = "building"
_NO = frozenset({"no", "false", "0", ""})
_GARAGES = frozenset({"parking", "garage", "garages", "carport"})
_VALUE_IS_CATEGORY = ("amenity", "leisure", "shop", "tourism", "healthcare", "office")
"""Keys of OpenStreetMap whose value says what a place is for people."""
_INSIDE_OTHERS = frozenset({"parking_space", "parking_entrance", "bench", "waste_disposal", "recycling"})
_SCENERY = (
    *("building:part", "landuse", "natural", "highway", "barrier", "boundary", "place", "power", "man_made"),
    *("waterway", "railway", "aeroway", "historic", "area:highway", "indoor", "military", "public_transport"),
)
"""Keys of OpenStreetMap of areas that are no place by themselves."""
_NAMES = (
    *("name", "title", "label", "name:en", "officialname", "longname", "fullname", "buildingname", "bldgname"),
    *("bldname", "facilityname", "lotname", "parkingname", "sitename", "zonename", "nom", "nombre", "naam", "namn"),
    *("building", "facility", "lot"),
)
_NAMES_OF_OSM = ("official_name", "alt_name", "short_name", "loc_name", "ref", "addr:housename")
_CAPACITIES = ("capacity", "spaces", "numspaces", "parkingspaces", "totalspaces", "stalls", "stellplaetze")
_CATEGORIES = ("category", "type", "kind", "class", "use", "usage", "bldgtype", "landuse", "description")
_CAR_PARK_WORDS = re.compile(
    r"car.?park|\bparking|\blots?\b|parkplatz|estacionamiento|aparcamiento|garage", re.IGNORECASE
)
_BUILDING_WORDS = re.compile(r"\bbuildings?\b|\bbldgs?\b|gebäude|bâtiment|edificio|footprint", re.IGNORECASE)
_UUID = re.compile(r"\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?", re.IGNORECASE)
_MAX_ID = 64
_KEPT = ("alt_name", "short_name", "official_name", "ref")
"""Tags of OpenStreetMap that a zone keeps, besides its names in other languages."""


@dataclass(frozen=True, slots=True)
class Told:
    """What tags say of an area."""

    name: str | None
    category: str | None
    capacity: int | None
    bad_capacity: str | None
    """A capacity that is no number, as the file has it."""
    no_zone: str | None
    """Why it is none of a campus's zones, such as `landuse=grass`; None: it is one."""


def told(found: Found) -> Told:
    """What the tags of an area say of it."""
    tags = found.raw.tags
    loose = {key.lower().replace("_", "").replace(" ", ""): value for key, value in tags.items()}
    capacity, bad = _capacity(loose)
    if found.raw.osm is not None or _tagged_as_osm(tags):
        category, no_zone = _category_of_osm(tags)
        return Told(_name(tags, loose, of_osm=True), category, capacity, bad, no_zone)
    name = _name(tags, loose, of_osm=False) or _words_of_id(found.raw.own_id)
    return Told(name, _category(found, loose), capacity, bad, None)


def kept(tags: Mapping[str, object]) -> dict[str, str]:
    """Names in other languages and the like, for people who edit the file."""
    return {
        key: text[:MAX_NAME_CHARACTERS]
        for key, value in sorted(tags.items())
        if (key in _KEPT or re.fullmatch(r"name:[A-Za-z_-]{2,20}", key)) and (text := _text(value))
    }


def own_id(found: Found) -> str | None:
    """The id that the file gives, where it is one for people: no number of a row, of a database or of OpenStreetMap."""
    given = found.raw.own_id
    if given is None or found.raw.osm is not None or not ZONE_ID.fullmatch(given) or _UUID.fullmatch(given):
        return None
    return given if re.search(r"[A-Za-z]", given) else None


def slug(text: str) -> str:
    """A name as an id: lower-case letters and digits of ASCII, joined by hyphens; empty where it has none."""
    plain = unicodedata.normalize("NFKD", text.casefold()).translate({0xDF: "ss", 0xE6: "ae", 0xF8: "o", 0x142: "l"})
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    # Of a name in another script little or nothing would be left, and that would say nothing.
    letters = sum(character.isalnum() for character in plain)
    latin = re.sub(r"[^a-z0-9]+", "-", re.sub("['\u2019]", "", plain)).strip("-")
    return latin[:_MAX_ID].strip("-") if 2 * len(latin.replace("-", "")) >= letters else ""


class Ids:
    """Ids that are given once each, whatever their case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def own(self, wanted: str) -> str | None:
        """An id as its file gives it; None where it is taken."""
        if wanted in self._taken:
            return None
        self._taken |= {wanted, wanted.casefold()}
        return wanted

    def made(self, wanted: str) -> str:
        """An id of ours: with a number after it where it is taken."""
        number = 1
        free = wanted
        while free.casefold() in self._taken:
            number += 1
            free = f"{wanted[: _MAX_ID - 6]}-{number}"
        self._taken.add(free.casefold())
        return free


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - whole in a float
        value = int(value)
    return printable(str(value).encode("utf-8", errors="ignore").decode()) or None


def _name(tags: Mapping[str, object], loose: Mapping[str, object], *, of_osm: bool) -> str | None:
    known = _NAMES if not of_osm else [key for key in _NAMES if key != BUILDING]
    keys = [*known, *(key for key in loose if key.endswith("name") or key.startswith("name:"))]
    found = next((text for key in keys if (text := _text(loose.get(key)))), None)
    if found is None and of_osm:
        found = next((text for key in _NAMES_OF_OSM if (text := _text(tags.get(key)))), None)
        street, number = _text(tags.get("addr:street")), _text(tags.get("addr:housenumber"))
        found = found or (f"{street} {number}" if street and number else None)
    return found[:MAX_NAME_CHARACTERS] if found else None


def _words_of_id(own_id: str | None) -> str | None:
    """An id that is none of ours and yet for people, such as `Bâtiment L`."""
    if own_id is None or ZONE_ID.fullmatch(own_id) or _UUID.fullmatch(own_id):
        return None
    return _text(own_id[:MAX_NAME_CHARACTERS]) if re.search(r"[^\W\d_]", own_id) and "/" not in own_id else None


def _capacity(loose: Mapping[str, object]) -> tuple[int | None, str | None]:
    for key in _CAPACITIES:
        value = loose.get(key)
        if value is None or value == "":
            continue
        number = capacity_from(value)
        # Zero and the like are how tables say that nobody knows.
        return number, None if number or not isinstance(value, str) else value[:40]
    return None, None


def _tagged_as_osm(tags: Mapping[str, object]) -> bool:
    """Whether it has OpenStreetMap's tags without its id: their values are words in lower case."""
    said = (tags.get(key) for key in (BUILDING, *_VALUE_IS_CATEGORY))
    return any(isinstance(value, str) and re.fullmatch(r"[a-z_]+", value) for value in said)


def _category_of_osm(tags: Mapping[str, object]) -> tuple[str | None, str | None]:
    said = {key: text.lower() for key in tags if (text := _text(tags[key])) and text.lower() not in _NO}
    if said.get("amenity") == "parking" or said.get("building") in _GARAGES:
        return CAR_PARK, None
    if "building" in said:
        return BUILDING, None
    for key in _VALUE_IS_CATEGORY:
        if value := said.get(key):
            if value in _INSIDE_OTHERS:
                return None, f"{key}={value}"
            return slug(value).replace("-", "_")[:MAX_CATEGORY_CHARACTERS] or key, None
    for key in _SCENERY:
        if value := said.get(key):
            return None, f"{key}={value[:40]}"
    return (None, None) if "name" in said else (None, "without a tag that says what it is")


def _category(found: Found, loose: Mapping[str, object]) -> str | None:
    given = _text(loose.get("category"))
    if given:
        return given[:MAX_CATEGORY_CHARACTERS]
    words = [text for key in _CATEGORIES if (text := _text(loose.get(key)))]
    for text in (*words, found.raw.layer.replace("_", " ").replace("-", " ")):
        if _CAR_PARK_WORDS.search(text):
            return CAR_PARK
        if _BUILDING_WORDS.search(text):
            return BUILDING
    return None

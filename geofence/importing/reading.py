"""A file of any kind that people have, read by what is in it and not by its name."""

import io
import json
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from geofence.importing.areas import NoAreaError, Project, area_from
from geofence.importing.found import (
    MAX_FILE_BYTES,
    MAX_FOUND,
    MAX_OSM_TEXT_BYTES,
    CannotImportError,
    Found,
    Raw,
    UnknownCrsError,
    printable,
)
from geofence.importing.gdal import read_with_gdal
from geofence.importing.geojson import read_geojson, read_lines
from geofence.importing.openstreetmap import read_overpass, read_xml
from geofence.importing.projecting import OutOfRangeError, projection
from geofence.looks import HEAD_BYTES, Looks, has_a_feature_a_line, json_looks_like, looks_like

MAX_MEMBERS = 1_000
"""Of an archive."""
_SIDECARS = (".shx", ".dbf", ".prj", ".cpg")
_PRIMARY = (".shp", ".kml", ".geojson", ".json", ".gpkg", ".osm", ".pbf", ".xml")
_SCRIPT = re.compile(rb"\A\s*(?:export\s+default|(?:var|let|const|window\.)?\s*[\w.$]+\s*=)\s*(?=[\[{])")
"""How a page that shows a map has its GeoJSON: `var campus = {...};`."""
_LAST_COMMA = re.compile(rb'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')
_ROOT = re.compile(rb"<(?:[\w.-]+:)?(?:kml|osm)[\s>]")
_DOCTYPE = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


def read_file(path: Path, *, crs: str | None, latitude_first: bool) -> list[Found]:
    """All that a file has. `crs` is the one that its coordinates are in, where it does not say so itself.

    Raises CannotImportError with the file's name.
    """
    try:
        found = list(islice(_found(path, path.name, crs, latitude_first=latitude_first), MAX_FOUND + 1))
    except CannotImportError as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise CannotImportError(
            f"{path}: cannot read it: {error.strerror}. Check the path and its permissions"
        ) from error
    if len(found) > MAX_FOUND:
        raise CannotImportError(f"{path}: it has more than {MAX_FOUND:,} things: cut the campus out of it")
    if not found:
        raise CannotImportError(f"{path}: there is nothing in it: export the areas of the campus")
    return found


def _found(path: Path, name: str, crs: str | None, *, latitude_first: bool) -> Iterator[Found]:
    projections: dict[str | None, Project] = {}
    out_of_range: Counter[bool] = Counter()
    areas = 0
    for number, raw in enumerate(_raws(path), 1):
        system = raw.crs or crs
        if system not in projections:
            projections[system] = projection(system)
        project = projections[system]
        if latitude_first:
            project = _swapped(project)
        try:
            area, mended = area_from(raw.geometry, project)
        except NoAreaError as error:
            yield Found(file=name, number=number, raw=raw, area=None, kind=str(error))
        except OutOfRangeError as error:
            out_of_range[error.swapped] += 1
            yield Found(file=name, number=number, raw=raw, area=None, kind="with coordinates that are no degrees")
        else:
            areas += 1
            yield Found(file=name, number=number, raw=raw, area=area, mended=mended)
    if out_of_range.total() > areas:
        if out_of_range[True] > out_of_range[False]:
            raise CannotImportError("its latitudes come before its longitudes: say --latitude-first")
        raise UnknownCrsError(
            "its coordinates are no degrees of WGS 84, and it does not say what they are: name their reference system "
            "with --crs, such as --crs EPSG:2157"
        )


def _swapped(project: Project) -> Project:
    return lambda pairs: project(pairs[:, ::-1])


def _raws(path: Path, *, packed: bool = False) -> Iterator[Raw]:
    with path.open("rb") as opened:
        data = opened.read(MAX_FILE_BYTES + 1)
    layer = _stem(path.name)
    for raw in _content(data, path, packed=packed):
        yield raw if raw.layer else Raw(raw.geometry, raw.tags, raw.own_id, raw.osm, layer, raw.crs)


def _content(data: bytes, path: Path, *, packed: bool) -> Iterable[Raw]:
    if len(data) > MAX_FILE_BYTES:
        raise CannotImportError(
            f"it is larger than {MAX_FILE_BYTES:,} bytes: cut the campus out of it, as docs/your-campus.md says"
        )
    if not data.strip():
        raise CannotImportError("it is empty: export it again")
    looks = looks_like(data)
    if packed and looks in {Looks.GZIP, Looks.ZIP}:
        # An archive can hold itself.
        raise CannotImportError("an archive is packed in it: unpack that first")
    match looks:
        case Looks.GZIP:
            return _content(_unpacked(data), path, packed=True)
        case Looks.ZIP:
            return _archive(data)
        case Looks.SHAPEFILE | Looks.GEOPACKAGE | Looks.KML | Looks.OSM_PBF:
            if looks is Looks.KML:
                _refuse_doctype(data)
            return _by_gdal(data, looks, path)
        case Looks.OSM_XML:
            _refuse_doctype(data)
            _refuse_large_osm(data)
            return read_xml(data)
        case str():
            raise CannotImportError(f"it is {looks}: export the areas as GeoJSON, KML, Shapefile or GeoPackage")
        case _:
            return _json(data, path)


def _json(data: bytes, path: Path) -> Iterable[Raw]:
    script = _SCRIPT.match(data)
    # In a script a comma may be left at the end of a list.
    text = _LAST_COMMA.sub(_without_comma, data[script.end() :].rstrip().rstrip(b";")) if script else data
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        if has_a_feature_a_line(data):
            return read_lines(data.decode("utf-8-sig", errors="replace"))
        if text.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}:
            raise CannotImportError(f"it is not JSON in UTF-8: {error}: mend it there, or export it again") from error
        raise CannotImportError(
            "it is none of the formats that are read: export the areas as GeoJSON, KML, Shapefile or GeoPackage"
        ) from error
    match json_looks_like(content):
        case Looks.OVERPASS_JSON:
            _refuse_large_osm(data)
            return read_overpass(content)
        case (Looks.ESRI_JSON | Looks.TOPOJSON) as looks:
            return _by_gdal(data, looks, path)
        case _:
            return read_geojson(content)


def _without_comma(found: re.Match[bytes]) -> bytes:
    return found[1] or b""


_ENDINGS = {
    Looks.SHAPEFILE: ".shp",
    Looks.GEOPACKAGE: ".gpkg",
    Looks.KML: ".kml",
    Looks.OSM_PBF: ".osm.pbf",
    Looks.ESRI_JSON: ".json",
    Looks.TOPOJSON: ".json",
}


def _by_gdal(data: bytes, looks: Looks, path: Path) -> Iterator[Raw]:
    """GDAL gets a copy in a folder of its own, by the name that the format has, and reads nothing else."""
    with tempfile.TemporaryDirectory(prefix="campus-") as folder:
        stem = re.sub(r"[^\w -]", "_", _stem(path.name))[:60] or "campus"
        copy = Path(folder) / f"{stem}{_ENDINGS[looks]}"
        copy.write_bytes(data)
        if looks is Looks.SHAPEFILE:
            for ending in _SIDECARS:
                for sidecar in (path.with_suffix(ending), path.with_suffix(ending.upper())):
                    if sidecar.is_file() and sidecar.stat().st_size <= MAX_FILE_BYTES:
                        copy.with_suffix(ending).write_bytes(sidecar.read_bytes())
        yield from read_with_gdal(copy, looks)


def _archive(data: bytes) -> Iterator[Raw]:
    """What is packed in a KMZ or a zipped Shapefile, or whatever else of these is in a ZIP archive."""
    with tempfile.TemporaryDirectory(prefix="campus-") as folder:
        try:
            written = _unpacked_members(data, Path(folder))
        except CannotImportError:
            raise
        except Exception as error:
            # An archive that is damaged makes zipfile raise ten different things, an IndexError among them.
            raise CannotImportError(f"it is a ZIP archive that cannot be unpacked: {printable(str(error))}") from error
        if not written:
            raise CannotImportError("nothing that is packed in it is read here: pack a KML file or a Shapefile")
        for target in written:
            yield from _raws(target, packed=True)


def _unpacked_members(data: bytes, folder: Path) -> list[Path]:
    """What can be read, written into a folder by names of ours; Shapefiles with what belongs to them."""
    written = []
    room = MAX_FILE_BYTES
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise CannotImportError(f"more than {MAX_MEMBERS:,} files are packed in it: take out what is needed")
        for member in members:
            inside = PurePosixPath(member.filename)
            ending = inside.suffix.lower()
            if ending not in (*_PRIMARY, *_SIDECARS) or inside.name.startswith("."):
                continue
            # By the folder inside as well, so that two of one name do not meet; a path cannot lead elsewhere.
            stem = re.sub(r"[^\w -]", "_", str(inside.with_suffix("")))[-60:]
            with archive.open(member) as packed:
                content = packed.read(room + 1)
            room -= len(content)
            if room < 0:
                raise CannotImportError(f"what is packed in it is larger than {MAX_FILE_BYTES:,} bytes")
            target = folder / f"{stem}{ending}"
            target.write_bytes(content)
            if ending in _PRIMARY:
                written.append(target)
    return written


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        return unpacking.decompress(data, MAX_FILE_BYTES + 1)
    except zlib.error as error:
        raise CannotImportError(f"it is a gzip file that cannot be unpacked: {error}") from error


def _refuse_doctype(data: bytes) -> None:
    root = _ROOT.search(data[:HEAD_BYTES])
    if _DOCTYPE.search(data[: root.start() if root else HEAD_BYTES]):
        raise CannotImportError("it has a DOCTYPE, which none of these formats has: remove it")


def _refuse_large_osm(data: bytes) -> None:
    if len(data) > MAX_OSM_TEXT_BYTES:
        raise CannotImportError(
            f"it is OpenStreetMap of more than {MAX_OSM_TEXT_BYTES:,} bytes: cut the campus out of it, as "
            "docs/your-campus.md says, or take it as PBF"
        )


def _stem(name: str) -> str:
    return name.partition(".")[0] or name

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import format_rfc3339
from simulator.fix import Fix
from simulator.tracks.kml import read_kml
from tests.simulator.fixes import fixes
from tests.simulator.recordings import walk
from tests.simulator.tracks.conftest import HERE, Reader, Refusal, places


def coord(fix: Fix) -> str:
    return " ".join(repr(number) for number in (fix.longitude, fix.latitude, fix.altitude) if number is not None)


def kml(inside: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2" '
        f'xmlns:gx="http://www.google.com/kml/ext/2.2"><Document>{inside}</Document></kml>'
    )


def track_of(fixes: list[Fix], *, in_turns: bool = False, more: str = "") -> str:
    whens = [f"<when>{format_rfc3339(fix.at_ms)}</when>" for fix in fixes]
    coords = [f"<gx:coord>{coord(fix)}</gx:coord>" for fix in fixes]
    pairs = "".join(when + place for when, place in zip(whens, coords, strict=True))
    inside = pairs if in_turns else "".join(whens + coords)
    return f"<Placemark><gx:Track><altitudeMode>absolute</altitudeMode>{inside}{more}</gx:Track></Placemark>"


@given(st.lists(fixes, min_size=1, max_size=5), st.booleans())
def test_a_track_gives_the_fixes_that_were_written(track: list[Fix], in_turns: bool) -> None:  # noqa: FBT001
    assert read_kml(kml(track_of(track, in_turns=in_turns)).encode()).track("walk").fixes == track


def test_tracks_of_a_multi_track_follow_each_other(read: Reader) -> None:
    first, second, third = walk(3)
    text = kml(f"<gx:MultiTrack>{track_of([first, second])}{track_of([third])}</gx:MultiTrack>")

    assert read(text).fixes == walk(3)


@pytest.mark.parametrize("name", ["bearing", "heading", "course"])
def test_what_a_recorder_measures_stands_in_arrays(read: Reader, name: str) -> None:
    arrays = "".join(
        f'<gx:SimpleArrayData name="{array}"><gx:value>{value}</gx:value><gx:value/></gx:SimpleArrayData>'
        for array, value in (("accuracy", "4.5"), ("speed", "1.5"), (name, "270"), ("pulse", "90"))
    )
    data = f'<ExtendedData><SchemaData schemaUrl="#schema">{arrays}</SchemaData></ExtendedData>'

    first, second = read(kml(track_of(walk(2), more=data))).fixes

    assert (first.accuracy, first.speed, first.heading) == (4.5, 1.5, 270)
    assert second == walk(2)[1]


def placemark(time: str, place: str = "-8.5701,52.6738,12.5") -> str:
    return f"<Placemark><name>a</name>{time}<Point><coordinates>\n {place} </coordinates></Point></Placemark>"


WHEN = "<TimeStamp><when>2019-02-18T09:01:00Z</when></TimeStamp>"


@pytest.mark.parametrize(
    "time", [WHEN, "<TimeSpan><begin>2019-02-18T09:01:00Z</begin><end>2019-02-18T10:00:00Z</end></TimeSpan>"]
)
def test_placemarks_with_a_time_are_a_track_where_there_is_no_other(read: Reader, time: str) -> None:
    track = read(kml(placemark("") + placemark(time)))

    assert places(track) == [(HERE.longitude, HERE.latitude, HERE.at_ms)]
    assert track.fixes[0].altitude == 12.5
    assert track.notes == ["it has no gx:Track: its placemarks with a time are used"]
    assert read(kml(placemark(WHEN) + track_of(walk(2)))).fixes == walk(2)


def test_points_without_a_time_or_a_place_are_left_out_and_counted(read: Reader) -> None:
    text = kml(track_of(walk(4)))
    text = text.replace("<when>2019-02-18T08:58:06Z</when>", "<when/>").replace("-8.57 52.67002", "")

    track = read(text)

    assert track.fixes == [walk(4)[0], walk(4)[3]]
    assert track.notes == ["left out: 1 of 4 points have no time", "left out: 1 of 4 points have no place"]


@pytest.mark.parametrize(
    ("inside", "wrong"),
    [
        ("", "no placemark with a time in it, and no gx:Track"),
        (placemark(""), "no placemark with a time in it, and no gx:Track"),
        (track_of(walk(2)).replace("<when>2019-02-18T08:58:06Z</when>", ""), "1 times (when), but 2 places (gx:coord)"),
        (track_of(walk(1)).replace("-8.57 52.67", "-8.57"), "point 1: '-8.57' is no longitude and latitude"),
        (
            track_of(walk(1)).replace("-8.57 52.67", "52.67,-8.57 0"),
            "point 1: '52.67,-8.57' is not a number of degrees",
        ),
        (track_of(walk(1)).replace("-8.57 52.67", "-8.57 152.67"), "point 1: latitude 152.67"),
        (placemark("<TimeStamp><when>2019-02</when></TimeStamp>"), "1 of 1 placemarks have no time that can be read"),
    ],
)
def test_what_is_no_track_is_told_why(refused: Refusal, inside: str, wrong: str) -> None:
    assert wrong in refused(kml(inside))

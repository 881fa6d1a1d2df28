import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.fix import Fix
from simulator.tracks.gpx import read_gpx
from tests.simulator.fixes import fixes
from tests.simulator.recordings import MORNING, gpx, walk
from tests.simulator.tracks.conftest import Reader, Refusal


@given(st.lists(fixes, min_size=1, max_size=5))
def test_a_gpx_file_gives_the_fixes_that_were_written(track: list[Fix]) -> None:
    assert read_gpx(gpx(track).encode()).track("track").fixes == track


def test_the_fixes_of_all_segments_come_in_the_order_of_the_file(read: Reader) -> None:
    first, second, third = walk(3)
    text = gpx([first, second, third]).replace("</time></trkpt>", "</time></trkpt></trkseg><trkseg>", 1)

    assert read(text).fixes == [first, second, third]


def test_waypoints_beside_a_track_are_ignored(read: Reader) -> None:
    waypoint = '<wpt lat="1" lon="2"><time>2019-02-18T08:58:05Z</time><name>home</name></wpt>'

    assert read(gpx(walk(1)).replace("<trk>", f"{waypoint}<trk>")).fixes == walk(1)


def route(*times: str, waypoint: str = "") -> str:
    points = "".join(f'<rtept lat="52.6" lon="-8.5">{time}</rtept>' for time in times)
    return f'<gpx version="1.1">{waypoint}<rte>{points}</rte></gpx>'


TIME = "<time>2019-02-18T08:58:05Z</time>"


def test_a_route_with_times_is_a_track(read: Reader) -> None:
    track = read(route(TIME))

    assert track.fixes == [Fix(longitude=-8.5, latitude=52.6, at_ms=MORNING)]
    assert track.notes == ["it has no track: its routes are used"]


def test_waypoints_with_times_come_before_a_route_without(read: Reader) -> None:
    track = read(route("", waypoint=f'<wpt lat="52.7" lon="-8.6">{TIME}</wpt>'))

    assert track.fixes == [Fix(longitude=-8.6, latitude=52.7, at_ms=MORNING)]


def test_points_without_a_time_are_left_out_and_counted(read: Reader) -> None:
    text = gpx(walk(4)).replace("<time>2019-02-18T08:58:06Z</time>", "")
    text = text.replace("2019-02-18T08:58:07Z", "2019-02-31T08:58:07Z")

    track = read(text)

    assert track.fixes == [walk(4)[0], walk(4)[3]]
    assert track.notes == [
        "left out: 1 of 4 points have no time",
        "left out: 1 of 4 points have no time that can be read",
    ]


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ("<course>270</course><speed>8.5</speed>", (8.5, 270, None)),
        (
            "<extensions><x:Point><x:speed>8.5</x:speed><x:course>270</x:course></x:Point></extensions>",
            (8.5, 270, None),
        ),
        (
            "<extensions><osmand:speed>8.5</osmand:speed><osmand:bearing>270</osmand:bearing></extensions>",
            (8.5, 270, None),
        ),
        ("<extensions><accuracy>4</accuracy></extensions><hdop>2</hdop>", (None, None, 4)),
        ("<course>361</course><speed>-1</speed>", (None, None, None)),
        ("<course>north</course><speed>1e308</speed>", (None, None, None)),
    ],
)
def test_speed_and_course_are_kept_of_gpx_1_0_and_of_extensions_whose_prefix_nobody_declared(
    read: Reader, measured: str, expected: tuple[float | None, ...]
) -> None:
    [fix] = read(gpx(walk(1)).replace("</time>", f"</time>{measured}")).fixes

    assert (fix.speed, fix.heading, fix.accuracy) == expected


@pytest.mark.parametrize(
    ("time", "at_ms"),
    [
        ("2019-02-18T08:58:05", MORNING),
        ("2019-02-18T09:58:05+01:00", MORNING),
        ("2019-02-18T09:58:05+0100", MORNING),
        ("2019-02-18T08:58:05.250Z", MORNING + 250),
        ("\n      2019-02-18T08:58:05Z\n    ", MORNING),
    ],
)
def test_times_are_utc_unless_they_say_otherwise_and_may_have_white_space(read: Reader, time: str, at_ms: int) -> None:
    assert read(gpx(walk(1)).replace("2019-02-18T08:58:05Z", time)).fixes[0].at_ms == at_ms


def test_white_space_is_allowed_wherever_xml_does(read: Reader) -> None:
    declaration, _, elements = gpx(walk(2)).partition("?>")
    elements = elements.replace('lat="', "lat = '\n ").replace('" lon', "\t' lon").replace(">", "\t>\r\n")

    assert read(f"\n {declaration} ?>\n{elements}\n").fixes == walk(2)


def test_elements_may_have_any_prefix(read: Reader) -> None:
    text = gpx(walk(2)).replace("<", "<g:").replace("<g:/", "</g:").replace("<g:?", "<?").replace("xmlns=", "xmlns:g=")

    assert read(text).fixes == walk(2)


@pytest.mark.parametrize(
    ("declared", "encoding", "mark"),
    [
        ("utf-8", "utf-8", b""),
        ("UTF-8", "utf-8", codecs.BOM_UTF8),
        ("UTF-16", "utf-16-le", codecs.BOM_UTF16_LE),
        ("UTF-16", "utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16", "utf-16-le", b""),
        ("utf-16", "utf-16-be", b""),
        ("UTF-32", "utf-32-le", codecs.BOM_UTF32_LE),
        ("UTF-32", "utf-32-be", b""),
        ("ISO-8859-1", "latin-1", b""),
        ("windows-1252", "cp1252", b""),
        ("windows-1251", "cp1251", b""),
        ("KOI8-R", "koi8-r", b""),
        ("Shift_JIS", "shift_jis", b""),
        ("EUC-KR", "euc-kr", b""),
        ("GB18030", "gb18030", b""),
        ("US-ASCII", "ascii", b""),
        # What a program writes that makes text of 16 bits first, and the file of 8.
        ("utf-16", "utf-8", b""),
    ],
)
def test_a_file_may_be_in_any_encoding(read: Reader, declared: str, encoding: str, mark: bytes) -> None:
    text = gpx(walk(2)).replace('encoding="UTF-8"', f"encoding = '{declared}'")
    name = "<name>Größe Лимерик 駅</name>".encode(encoding, errors="ignore").decode(encoding)

    assert read(mark + text.replace("<trkseg>", f"{name}<trkseg>").encode(encoding)).fixes == walk(2)


def test_a_name_in_another_encoding_than_the_file_says_does_no_harm(read: Reader) -> None:
    data = gpx(walk(2)).replace("<trkseg>", "<name>Straße</name><trkseg>").encode("latin-1")

    assert read(data).fixes == walk(2)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("<gpx", "XML, and neither GPX nor KML nor TCX"),
        ("<gpx>", "it is cut off: line 1, column 6"),
        ("<gpx><trk></gpx>", "mismatched tag: line 1, column 13"),
        ('<gpx version="1.1"/>', "no point in it"),
        (gpx(walk(1)).replace('lon="-8.57"', 'lon="-188.57"'), "point 1: longitude -188.57"),
        (gpx(walk(1)).replace('lat="52.67"', 'lat="nan"'), "point 1: 'nan' is not a number of degrees"),
        (gpx(walk(1)).replace('lat="52.67"', 'lat="north"'), "point 1: 'north' is not a number of degrees"),
        (gpx(walk(1)).replace('lat="52.67"', ""), "point 1 has no lat and lon"),
        (gpx(walk(1)).replace("<trkseg>", "<trkseg>&nbsp;"), "undefined entity"),
        (gpx(walk(1)).replace("UTF-8", "punycode"), "an encoding that is not known, punycode"),
        (gpx(walk(1)).replace("UTF-8", "no-such-thing"), "an encoding that is not known, no-such-thing"),
        (gpx(walk(1)).replace("UTF-8", "zlib"), "an encoding that is not known, zlib"),
        (f"<gpx>{'<a>' * 101}", "line 1: more than 100 elements in one another"),
    ],
)
def test_what_is_no_track_is_told_why_and_where(refused: Refusal, text: str, wrong: str) -> None:
    assert wrong in refused(text)


LAUGHS = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 10))
DOCTYPES = [
    "<!DOCTYPE gpx>",
    '<!DOCTYPE gpx SYSTEM "file:///etc/hostname">',
    f'<!DOCTYPE gpx [<!ENTITY l0 "{"lol" * 100}">{LAUGHS}]>',
    '<!DOCTYPE gpx [<!ENTITY % all SYSTEM "http://192.0.2.1/all.dtd">%all;]>',
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("doctype", DOCTYPES)
def test_a_doctype_is_refused_before_any_entity_grows(refused: Refusal, doctype: str, encoding: str) -> None:
    text = gpx(walk(1)).replace('encoding="UTF-8"', "").replace("<gpx", f"{doctype}<gpx", 1)

    assert refused(text.replace("<trkseg>", "<name>&l9;</name><trkseg>").encode(encoding)).startswith(
        "it has a DOCTYPE"
    )

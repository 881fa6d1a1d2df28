import gzip
import html
import json
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.privacy import steps_of
from api.web.notice import NoticeOptions
from api.web.pages import STATIC, TYPES, MapOptions, pages
from core.kinds import DEFAULT_KINDS, Kinds
from disclosure.policy import Privacy, PrivacySettings
from tests.api.conftest import client_of
from tests.kinds.tables import kind

VENDOR = STATIC / "vendor"
SERVED = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.suffix in TYPES)
OURS = [STATIC / name for name in SERVED if not name.startswith("vendor/")]


def client_with(options: MapOptions) -> httpx.AsyncClient:
    """A client of the pages alone, as these options make them."""
    app = FastAPI()
    app.include_router(pages(DEFAULT_KINDS, options))
    return client_of(app)


async def test_the_live_map_is_a_page_that_loads_only_what_is_served_here(client: httpx.AsyncClient) -> None:
    page = await client.get("/")

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text)
    assert "static/main.js" in loaded
    for path in loaded:
        assert (await client.get(f"/{path}")).status_code == 200


async def test_every_script_that_a_script_imports_is_loaded_with_the_page(client: httpx.AsyncClient) -> None:
    # Else the browser learns of it only from the script, and asks for one after the other.
    map_page, device_page = (await client.get("/")).text, (await client.get("/device")).text
    operations = (await client.get("/operations")).text
    pages = {"device-page.js": device_page, **dict.fromkeys(("operations.js", "app-card.js", "shares.js"), operations)}
    for file in OURS:
        if file.suffix != ".js" or file.name == "docs.js":
            continue
        page = pages.get(file.name, map_page)
        for path in re.findall(r'^import .*?"\./([^"]+)";$', file.read_text(), flags=re.MULTILINE):
            assert f'<link rel="modulepreload" href="static/{path}">' in page, file
            assert (await client.get(f"/static/{path}")).headers["content-type"] == "text/javascript; charset=utf-8"


async def test_the_page_of_a_device_has_the_policy_of_the_map_and_loads_only_what_is_served_here(
    client: httpx.AsyncClient,
) -> None:
    live_map, page = await client.get("/"), await client.get("/device")

    assert page.headers["content-security-policy"] == live_map.headers["content-security-policy"]
    # What a worker or a socket may be follows from default-src: none made of a blob, and of sockets those of this host.
    assert not re.search("worker-src|connect-src|script-src|unsafe", page.headers["content-security-policy"])
    assert "permissions-policy" not in page.headers
    loaded = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text)
    assert "static/device-page.js" in loaded
    for path in loaded:
        assert (await client.get(f"/{path}")).status_code == 200
    assert not [path for path in re.findall(r'"(static/[^"]+)"', live_map.text) if "mqtt" in path or "device" in path]


async def test_the_page_of_operations_has_the_policy_of_the_map_and_loads_only_what_is_served_here(
    client: httpx.AsyncClient,
) -> None:
    live_map, page = await client.get("/"), await client.get("/operations")

    assert page.headers["content-security-policy"] == live_map.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text)
    assert {"static/operations.js", "static/operations.css"} <= {*loaded}
    for path in loaded:
        assert (await client.get(f"/{path}")).status_code == 200
    assert not re.search(r" style=| on\w+=|<script>", page.text)


async def test_the_page_of_a_device_is_told_where_each_kind_publishes(client: httpx.AsyncClient) -> None:
    [told] = re.findall(r'<meta name="kinds" content="([^"]*)">', (await client.get("/device")).text)
    kinds = json.loads(html.unescape(told))

    assert [(each["topic"], each["person"]) for each in kinds] == [("car-iotp", False), ("mobile-iotp", True)]


@pytest.mark.parametrize("name", ["device.js", "device_mqttjs.js"])
async def test_the_device_that_is_served_is_that_of_the_simulator(client: httpx.AsyncClient, name: str) -> None:
    served = await client.get(f"/static/vendor/campus-device/{name}")
    assert served.content == (STATIC.parents[2] / "simulator" / name).read_bytes(), "make vendor"


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_no_page_names_another_site(file: Path) -> None:
    # A namespace is a name, not an address that is loaded.
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"^\s*// .*$", "", text.replace("; // ", "\n// "), flags=re.MULTILINE)


def test_no_script_makes_html_of_text() -> None:
    # Names of zones are input.
    for file in OURS:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text()), file


async def test_what_others_made_is_served_with_its_licence_in_the_version_that_is_locked(
    client: httpx.AsyncClient,
) -> None:
    lock = json.loads((VENDOR / "package-lock.json").read_text())
    version = lock["packages"]["node_modules/leaflet"]["version"]

    script = (await client.get("/static/vendor/leaflet/leaflet.js")).text
    assert script.startswith(f"/* @preserve\n * Leaflet {version},")
    licence = await client.get("/static/vendor/leaflet/LICENSE.txt")
    assert licence.headers["content-type"] == "text/plain; charset=utf-8"
    assert "BSD 2-Clause License" in licence.text
    bundle = (await client.get("/static/vendor/mqtt/mqtt.esm.js")).text
    assert f'version:"{lock["packages"]["node_modules/mqtt"]["version"]}"' in bundle
    assert "MQTT.js contributors" in (await client.get("/static/vendor/mqtt/LICENSE.txt")).text
    # What npm needs is not for readers of the page.
    assert (await client.get("/static/vendor/package.json")).status_code == 404
    assert '"resolved"' not in (VENDOR / "package-lock.json").read_text()


def test_the_first_view_is_small() -> None:
    # What it is in a browser, with the answers of the API, is measured in tests/browser.
    others = ("docs.", "device", "vendor/mqtt/", "vendor/campus-device/")
    sizes = [len(gzip.compress((STATIC / name).read_bytes())) for name in SERVED if not name.startswith(others)]
    assert sum(sizes) < 100_000


async def test_a_file_is_compressed_for_whoever_reads_that(client: httpx.AsyncClient) -> None:
    path = "/static/vendor/leaflet/leaflet.js"
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    packed = await client.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    assert packed.content == plain.content
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    # Another content has another tag (RFC 9110 section 8.8.3).
    assert plain.headers["etag"] != packed.headers["etag"]


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("", False),
        ("br", False),
        ("gzip", True),
        ("GZIP", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("gzip;q=0.001", True),
        ("xgzip", False),
        (",;,q=0", False),
    ],
)
async def test_accept_encoding_is_understood(client: httpx.AsyncClient, accepted: str, *, packed: bool) -> None:
    answer = await client.get("/", headers={"Accept-Encoding": accepted})
    assert ("content-encoding" in answer.headers) is packed


async def test_pictures_may_come_from_the_tile_server_and_nothing_else_from_anywhere(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/")).headers["content-security-policy"]
    assert "img-src 'self' data:;" in policy
    options = MapOptions(tile_url="https://{s}.tile.example:8443/{z}/{x}/{y}.png", tile_attribution='"><script>')
    async with client_with(options) as other:
        page = await other.get("/")

    told = page.headers["content-security-policy"]
    assert told == policy.replace("img-src 'self' data:", "img-src 'self' data: https://*.tile.example:8443")
    assert '<meta name="tile-url" content="https://{s}.tile.example:8443/{z}/{x}/{y}.png">' in page.text
    assert "&quot;&gt;&lt;script&gt;" in page.text
    assert '<meta name="min-count" content="0">' in page.text


async def test_pages_are_kept_and_asked_for_again(client: httpx.AsyncClient) -> None:
    for path in ("/", "/device", "/docs", "/privacy", *(f"/static/{name}" for name in SERVED)):
        first = await client.get(path)
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})

        assert (first.status_code, again.status_code) == (200, 304)
        assert first.headers["cache-control"] == again.headers["cache-control"] == "public, no-cache"
        assert again.content == b""


async def test_no_name_leads_out_of_the_folder_of_files(client: httpx.AsyncClient) -> None:
    for name in (
        "../pages.py",
        "..%2Fpages.py",
        "%2e%2e/pages.py",
        "%2Fetc%2Fpasswd",
        "main.js%00",
        "vendor",
        "vendor/",
        "vendor/../../pages.py",
        "vendor/package.json",
        ".npmrc",
        ".",
        "",
    ):
        assert (await client.get(f"/static/{name}")).status_code == 404


async def test_the_documentation_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")

    assert page.status_code == 200
    assert 'src="static/docs.js"' in page.text
    assert 'href="static/docs.css"' in page.text
    # What the `type` of a problem points at.
    for anchor in (
        "bad-parameter",
        "changed-meanwhile",
        "if-match-needed",
        "key-needed",
        "purpose-needed",
        "scope-needed",
        "too-large",
        "too-many",
        "unavailable",
        "unknown-zone",
    ):
        assert f'id="{anchor}"' in page.text


async def test_what_kinds_are_called_is_text_on_the_page() -> None:
    named = '"><script>alert(1)</script>'
    kinds = Kinds([kind("bicycle", named, f"{named}s", "#6a3fa0", "#c7a6f2", capacity_of=("bicycle_park",))])
    app = FastAPI()
    app.include_router(pages(kinds))
    async with client_of(app) as client:
        page = (await client.get("/")).text

    assert "<script>alert" not in page
    [told] = re.findall(r'<meta name="kinds" content="([^"]*)">', page)
    assert json.loads(html.unescape(told)) == [
        {
            "id": "bicycle",
            "one": named,
            "many": f"{named}s",
            "light": "#6a3fa0",
            "dark": "#c7a6f2",
            "capacity_of": ["bicycle_park"],
        }
    ]


async def notice_with(options: NoticeOptions) -> str:
    app = FastAPI()
    app.include_router(pages(DEFAULT_KINDS, notice=options))
    async with client_of(app) as client:
        page = await client.get("/privacy")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    return page.text


async def test_the_privacy_notice_is_a_page_that_the_map_links_to_and_that_needs_no_script(
    client: httpx.AsyncClient,
) -> None:
    assert '<a href="privacy">Privacy</a>' in (await client.get("/")).text
    page = (await client.get("/privacy")).text
    assert "<h1>Privacy notice</h1>" in page
    assert "no legal advice" in page
    for article in (
        "12, 13 and 14",
        "(article 6)",
        "articles 15 and 20",
        "erased (17)",
        "object (21)",
        "authority (77)",
    ):
        assert article in page
    assert not re.search(r"<script| style=| on\w+=|\{\w*\}", page)
    for path in re.findall(r'(?:src|href)="(static/[^"]+)"', page):
        assert (await client.get(f"/{path}")).status_code == 200


async def test_the_privacy_notice_says_what_the_settings_are() -> None:
    usual = await notice_with(NoticeOptions())
    assert "gave out for that.</li>" in usual
    assert "Who runs this system has not said who they are." in usual
    assert "<li>Counts of zones: everybody may see them.</li>" in usual
    assert "all are shown, small ones too" in usual
    assert "none of fewer than 5 devices" in usual
    assert "<li>Positions under their codes: no limit is set, so for ever. " in usual

    chosen = await notice_with(
        NoticeOptions(
            contact="<b>Ann</b> {kept}, ann@campus.example",
            public=False,
            policy=PrivacySettings(privacy_min_count=7).policy,
            flows_least=7,
            documents_keep="30d",
        )
    )
    assert "<p>&lt;b&gt;Ann&lt;/b&gt; {kept}, ann@campus.example</p>" in chosen
    assert "only those who were given a key see them" in chosen
    assert "under 7 none is shown" in chosen
    assert "none of fewer than 7 devices" in chosen
    assert "30 days after their day, and then they are dropped" in chosen


async def test_the_privacy_notice_says_what_protected_counts_are_worth_and_what_they_cost() -> None:
    page = await notice_with(NoticeOptions(policy=PrivacySettings(privacy=Privacy.PROTECTED).policy))
    assert "gave out for that. A key says what for; each time that it is used" in page

    assert "No count that is shown is the true one (PRIVACY=protected)." in page
    assert "in steps of 130, on the campus as a whole of 390" in page
    assert "at most 1.2% likelier or less likely" in page
    assert "adds 0.8%, of the campus 0.3%." in page
    assert (
        "nearer to the one shown than 173, of the campus than 520; a zone where fewer are may be shown as too few"
        in page
    )
    assert "by 26, 49 and 52 on average, and nineteen of twenty by less than 40, 126 and 122." in page
    assert "<li>Flows between zones, and visits: they are told to nobody but who runs the system.</li>" in page
    assert "may see that one person came or went" not in page
    assert page.count("<li>") == (await notice_with(NoticeOptions())).count("<li>") + 3


async def test_the_notice_gives_no_measured_figure_for_a_width_that_was_not_measured() -> None:
    strict = PrivacySettings(privacy=Privacy.STRICT)
    other = PrivacySettings(privacy=Privacy.STRICT, privacy_width=100, privacy_min_count=0)

    assert "by 26, 98 and 85 on average" in await notice_with(NoticeOptions(policy=strict.policy))
    page = await notice_with(NoticeOptions(policy=other.policy))
    assert "on average" not in page
    assert "at most 1.4% likelier" in page
    assert "than 133, of the campus than 960; a zone where fewer are may be shown as nobody." in page


async def test_the_map_is_told_how_far_released_counts_are_from_the_true_ones_and_nothing_where_they_are_true() -> None:
    async with client_with(MapOptions(released={"step": 130, "edge": 173, "campus_edge": 520})) as client:
        page = (await client.get("/")).text
    (told,) = re.findall('<meta name="released" content="([^"]*)">', page)
    assert html.unescape(told) == '{"step":130,"edge":173,"campus_edge":520}'
    async with client_with(MapOptions()) as client:
        assert 'name="released"' not in (await client.get("/")).text
    assert steps_of(PrivacySettings(privacy=Privacy.PROTECTED).policy) == {"step": 130, "edge": 173, "campus_edge": 520}
    assert steps_of(PrivacySettings().policy) is None

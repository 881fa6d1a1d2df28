import re

import httpx

from api.pages import STATIC

FIRST_VIEW = ("index.html", "map.css", "map.js", "chart.js", "dom.js", "projection.js", "read.js", "icon.svg")


async def test_the_live_map_is_a_page_that_loads_only_what_is_served_here(client: httpx.AsyncClient) -> None:
    page = await client.get("/")

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text)
    assert "static/map.js" in loaded
    for path in loaded:
        assert (await client.get(f"/{path}")).status_code == 200
    script = (await client.get("/static/map.js")).text
    for path in re.findall(r'from "\./([^"]+)"', script):
        assert (await client.get(f"/static/{path}")).headers["content-type"] == "text/javascript; charset=utf-8"


def test_no_page_names_another_site() -> None:
    # A namespace is a name, not an address that is loaded.
    for file in STATIC.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*// .*$", "", text.replace("; // ", "\n// "), flags=re.MULTILINE), file


def test_no_script_makes_html_of_text() -> None:
    # Names of zones are input.
    for file in STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text())


def test_the_first_view_is_small() -> None:
    assert sum((STATIC / name).stat().st_size for name in FIRST_VIEW) < 30_000


async def test_pages_are_kept_and_asked_for_again(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs", *(f"/static/{file.name}" for file in STATIC.iterdir())):
        first = await client.get(path)
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})

        assert (first.status_code, again.status_code) == (200, 304)
        assert first.headers["cache-control"] == again.headers["cache-control"] == "public, no-cache"
        assert again.content == b""


async def test_no_name_leads_out_of_the_folder_of_files(client: httpx.AsyncClient) -> None:
    for name in ("../pages.py", "..%2Fpages.py", "%2e%2e/pages.py", "%2Fetc%2Fpasswd", "map.js%00", ".", ""):
        assert (await client.get(f"/static/{name}")).status_code == 404


async def test_the_documentation_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")

    assert page.status_code == 200
    assert 'src="static/docs.js"' in page.text
    assert 'href="static/docs.css"' in page.text
    # What the `type` of a problem points at.
    for anchor in ("bad-parameter", "unknown-zone", "unavailable"):
        assert f'id="{anchor}"' in page.text

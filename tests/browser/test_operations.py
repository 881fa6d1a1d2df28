"""The page /operations in a real browser, over the API as it is run and a real Redis."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest
import redis
from redis.asyncio import Redis
from selenium.webdriver.common.keys import Keys as Pressed

from api.auth.keys import Keys, Scope, make_key
from core.faults import Fault
from core.versions import changed, first_route, shares_with
from state.apps import AppStore, Counters, Figures, Instance
from state.faults import FaultStore
from state.key_types import TYPES
from tests.browser.axe import hindrances
from tests.browser.page import DESKTOP, PHONE, Page
from tests.browser.test_real_api import answers, running
from tests.conftest import WAIT_SECONDS, free_port
from tests.e2e.system import wait_for

APP = "update-schuman"
SECTION = f"article[data-app='{APP}']"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Operated:
    """An API whose application has two versions."""

    address: str
    redis_url: str
    key: str
    """Of an administrator."""
    reader: str

    def ask(self, work: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """What Redis answers."""

        async def asked() -> Answer:
            async with Redis.from_url(self.redis_url) as client:
                return await work(client)

        return asyncio.run(asked())

    def shares(self) -> dict[str, int]:
        """The shares that hold."""
        route = self.ask(lambda client: AppStore(client).route(APP))
        assert route is not None
        return {**route.shares}

    def change(self, shares: dict[str, int]) -> None:
        """Somebody else changes the rule."""

        async def put(client: Redis) -> bool:
            store = AppStore(client)
            route = await store.route(APP)
            assert route is not None
            return await store.put(
                changed(route, shares=shares), replaces=route.number, by="else", at=now(), why="somebody else"
            )

        assert self.ask(put)


def now() -> int:
    return int(time.time() * 1000)


@pytest.fixture(scope="module")
def address(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of an API in which faults may be made."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    port = free_port()
    with running(port, redis_server, tmp_path_factory.mktemp("operations"), FAULTS="true"):
        wait_for(lambda: answers(port), "the API answers", 2 * WAIT_SECONDS)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def operated(redis_server: str, address: str) -> Operated:
    with redis.Redis.from_url(redis_server) as client:
        client.delete(*(key for key in TYPES if key.startswith(("apps:", "faults:"))))
    made, reader = (make_key("a test", [scope], now=now()) for scope in (Scope.ADMIN, Scope.POSITIONS_READ))
    found = Operated(address, redis_server, made.text, reader.text)

    async def begin(client: Redis) -> None:
        keys, store = Keys(client, clock=now), AppStore(client)
        await keys.add(made.key)
        await keys.add(reader.key)
        instances = [
            Instance(app=APP, version=version, name=version, address="10.0.0.4", port=80, healthy=True, since=now())
            for version in ("1", "2")
        ]
        await store.see(now(), instances)
        # For as long as a test may take, and not as the controller has it.
        await client.persist("apps:seen:{campus}")
        first = first_route(APP, "1")
        await store.put(first, replaces=0, by="controller", at=now(), why="the first")
        await store.put(changed(first, shares={"1": 100, "2": 0}), replaces=1, by="controller", at=now(), why="more")
        await store.put_places({f"{APP}/1": 1})
        # From a clock that is ahead, so that it is believed to the end of the test.
        counters = Counters(answers=1200, errors=3, by_time=(1200, 0, 0, 0, 0, 0, 0, 0, 0, 0))
        await store.count("front", Figures(at=now() + 600_000, started_at=now(), places={1: counters}))

    found.ask(begin)
    return found


def opened(page: Page, operated: Operated, *, key: str | None = None, size: tuple[int, int] = DESKTOP) -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    page.command("Emulation.setDeviceMetricsOverride", **metrics)
    page.driver.get(f"{operated.address}/operations")
    page.complaints()
    page.until(lambda: page.find("#key").is_displayed())
    page.find("#key").send_keys(key or operated.key, Pressed.ENTER)


def pressed(page: Page, words: str, within: str = SECTION) -> None:
    [button] = [each for each in page.all(f"{within} button") if each.text == words]
    button.click()


def share(page: Page, version: str) -> str:
    return page.text(f"[data-version='{version}'] .line span:last-child")


def moved(page: Page, version: str, to: int) -> None:
    page.script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
        page.find(f"[data-version='{version}'] input"),
        str(to),
    )


def test_shares_that_are_moved_add_up_and_are_sent_in_one_put(page: Page, operated: Operated) -> None:
    opened(page, operated)
    page.until(lambda: page.all(SECTION))
    assert "1 of 1 healthy; 1,200 answers, 3 errors, 95 % within 5 ms" in page.text("[data-version='1']")

    moved(page, "2", 20)
    assert (share(page, "1"), share(page, "2")) == ("80 %", "20 %")
    assert operated.shares() == {"1": 100, "2": 0}
    pressed(page, "Give these shares")

    page.until(lambda: operated.shares() == {"1": 80, "2": 20})
    page.until(lambda: page.text(f"{SECTION} > p") == "Rule 3")
    assert page.text("#status") == "Done."
    pressed(page, "Undo the newest change")
    page.until(lambda: share(page, "2") == "0 %")
    assert operated.shares() == {"1": 100, "2": 0}
    assert page.complaints() == []


def test_a_share_is_moved_by_the_keyboard_and_polls_leave_it_where_it_is(page: Page, operated: Operated) -> None:
    opened(page, operated)
    page.until(lambda: page.all(SECTION))
    page.find("[data-version='2'] input").send_keys(Pressed.ARROW_RIGHT, Pressed.ARROW_RIGHT, Pressed.ARROW_RIGHT)
    assert (share(page, "1"), share(page, "2")) == ("97 %", "3 %")

    polls = "return performance.getEntriesByName(location.origin + '/v1/apps').length"
    before = page.script(polls)
    page.until(lambda: page.script(polls) > before + 1)

    assert share(page, "2") == "3 %"
    pressed(page, "Leave them as they were")
    assert share(page, "2") == "0 %"


def test_of_two_who_change_a_rule_the_later_one_is_told(page: Page, operated: Operated) -> None:
    opened(page, operated)
    page.until(lambda: page.all(SECTION))
    moved(page, "2", 20)
    operated.change({"1": 50, "2": 50})
    pressed(page, "Give these shares")

    page.until(lambda: "another version than the present one" in page.text("#status"))
    assert page.find("#status").get_attribute("data-state") == "trouble"
    page.until(lambda: share(page, "2") == "50 %")
    assert operated.shares() == {"1": 50, "2": 50}


def test_a_canary_begins_shows_how_far_it_is_and_goes_back(page: Page, operated: Operated) -> None:
    opened(page, operated)
    page.until(lambda: page.all(SECTION))
    pressed(page, "Begin a canary")

    page.until(lambda: "Canary to version 2: step 1 of 4, 5 %" in page.text(f"{SECTION} .canary"))
    assert page.find("progress").get_attribute("value") == "5"
    assert operated.shares() == {"1": 95, "2": 5}
    pressed(page, "Go back")
    page.until(lambda: "Last canary, to version 2: back" in page.text(f"{SECTION} .canary"))
    assert operated.shares() == {"1": 100, "2": 0}


def test_faults_that_are_on_are_shown_with_the_seconds_they_have_left_and_ended(page: Page, operated: Operated) -> None:
    fault = Fault(between="decoder>redis", kind="reset", share=0.25, until=now() + 500_000, by="key")
    operated.ask(lambda client: FaultStore(client).replace([fault], now=now()))
    opened(page, operated)
    page.until(lambda: page.all("#faults li"))

    left = re.fullmatch(r"decoder>redis: reset of 25 %, (\d+) s left", page.text("#faults li"))
    assert left is not None
    assert 0 < int(left[1]) <= 500
    page.find("#end-faults").click()
    page.until(lambda: page.text("#faults-state") == "None is on.")
    assert operated.ask(lambda client: FaultStore(client).faults(now())) == []


def chosen(page: Page, select: str, value: str) -> None:
    page.script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))", page.find(select), value
    )


def asked(page: Page) -> list[str]:
    """What the form asks for besides where, what and how long."""
    names = ("share", "milliseconds", "status", "kilobytes")
    return [name for name in names if page.find(f"#fault-{name}").is_displayed()]


def test_an_administrator_makes_a_fault_and_those_that_are_on_go_on(page: Page, operated: Operated) -> None:
    fault = Fault(between="decoder>redis", kind="cut", until=now() + 500_000, by="key")
    operated.ask(lambda client: FaultStore(client).replace([fault], now=now()))
    opened(page, operated)
    page.until(lambda: page.find("#fault-form").is_displayed())
    places = [option.get_attribute("value") for option in page.all("#fault-between option")]
    assert places[:3] == ["front>api", f"front>{APP}/1", f"front>{APP}/2"]
    assert "decoder>influxdb" in places
    assert asked(page) == ["share", "milliseconds"]

    chosen(page, "#fault-between", f"front>{APP}/2")
    chosen(page, "#fault-kind", "abort")
    assert asked(page) == ["share", "status"]
    page.script("document.getElementById('fault-share').value = '12.5'")
    page.script("document.getElementById('fault-seconds').value = '300'")
    pressed(page, "Make this fault", within="#fault-form")

    page.until(lambda: len(page.all("#faults li")) == 2)
    assert page.all("#faults li")[1].text.startswith(f"front>{APP}/2: abort of 12.5 %, ")
    first, second = operated.ask(lambda client: FaultStore(client).faults(now()))
    assert (first.between, first.kind) == ("decoder>redis", "cut")
    assert first.until <= fault.until + 2000, "it goes on for what it had left, and not for longer"
    assert (second.share, second.status, second.milliseconds) == (0.125, 503, 0)
    assert page.find("#fault-between").get_attribute("value") == f"front>{APP}/2", "polls leave what was chosen"
    assert page.complaints() == []


def test_what_cannot_be_made_is_said_and_the_form_asks_for_what_a_kind_needs(page: Page, operated: Operated) -> None:
    opened(page, operated)
    page.until(lambda: page.find("#fault-form").is_displayed())
    chosen(page, "#fault-between", "decoder>influxdb")
    assert [each.get_attribute("value") for each in page.all("#fault-kind option")] == [
        *("delay", "reset", "cut", "bandwidth", "status"),
    ]
    for kind, wanted in (("reset", ["share"]), ("cut", []), ("bandwidth", ["share", "kilobytes"])):
        chosen(page, "#fault-kind", kind)
        assert asked(page) == wanted
    page.script("document.getElementById('fault-seconds').removeAttribute('max')")
    page.script("document.getElementById('fault-seconds').value = '601'")
    page.script("document.getElementById('fault-form').noValidate = true")
    pressed(page, "Make this fault", within="#fault-form")
    page.until(lambda: "its seconds are 601: take a whole number from 1 to 600" in page.text("#status"))
    assert operated.ask(lambda client: FaultStore(client).faults(now())) == []


def test_who_may_only_read_is_offered_no_faults(page: Page, operated: Operated) -> None:
    opened(page, operated, key=operated.reader)
    page.until(lambda: page.find("#faults-section").is_displayed())
    assert not page.find("#fault-form").is_displayed()


def test_the_live_map_leads_to_this_page(page: Page, operated: Operated) -> None:
    page.driver.get(f"{operated.address}/")
    page.find("a[href='operations']").click()
    page.until(lambda: page.find("#key").is_displayed())


def test_a_key_that_is_none_is_said_and_one_that_may_only_read_changes_nothing(page: Page, operated: Operated) -> None:
    opened(page, operated, key="ck_wrong")
    page.until(lambda: "not one" in page.text("#status"))
    assert page.find("#key").is_displayed()

    page.find("#key").send_keys(operated.reader, Pressed.ENTER)
    page.until(lambda: page.all(SECTION))
    moved(page, "2", 20)
    pressed(page, "Give these shares")
    page.until(lambda: "scope admin" in page.text("#status"))
    assert operated.shares() == {"1": 100, "2": 0}


def test_every_problem_of_a_canary_is_told(page: Page, operated: Operated) -> None:
    opened(page, operated)
    page.until(lambda: page.all(SECTION))
    page.find(f"{SECTION} option[value='1']").click()
    pressed(page, "Begin a canary")
    page.until(lambda: page.text("#status").startswith("version 1 has 100 % already"))


@pytest.mark.parametrize(
    ("before", "share"), [({"1": 100, "2": 0}, 5), ({"1": 60, "2": 0, "3": 40}, 20), ({"1": 33, "2": 0, "3": 67}, 50)]
)
def test_the_page_moves_shares_as_a_canary_does(
    page: Page, operated: Operated, before: dict[str, int], share: int
) -> None:
    page.driver.get(f"{operated.address}/operations")
    moved = page.driver.execute_async_script(
        "const [before, share, done] = arguments;"
        "import('./static/shares.js').then(({ sharesWith }) => done(sharesWith(before, '2', share)))",
        before,
        share,
    )
    assert moved == shares_with(before, "2", share)


def test_the_key_is_kept_nowhere(page: Page, operated: Operated) -> None:
    opened(page, operated)
    page.until(lambda: page.all(SECTION))
    kept = page.script("return [localStorage.length, sessionStorage.length, document.cookie, location.href]")
    assert kept == [0, 0, "", f"{operated.address}/operations"]
    assert operated.key not in page.script(
        "return document.documentElement.outerHTML + document.getElementById('key').value"
    )

    page.driver.refresh()
    page.until(lambda: page.find("#key").is_displayed())
    assert not page.all(SECTION)


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone, dark"])
def test_nothing_keeps_people_out_and_nothing_is_wider_than_the_screen(
    page: Page, operated: Operated, size: tuple[int, int], *, dark: bool
) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.command("Emulation.setEmulatedMedia", features=[scheme])
    fault = Fault(between="decoder>redis", kind="cut", until=now() + 500_000, by="key")
    operated.ask(lambda client: FaultStore(client).replace([fault], now=now()))
    opened(page, operated, size=size)
    page.until(lambda: page.all("#faults li") and page.all(SECTION))
    pressed(page, "Begin a canary")
    page.until(lambda: page.find("progress").is_displayed())

    assert hindrances(page) == []
    width = page.script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    page.keep_picture(f"operations-{'dark' if dark else 'light'}")


def test_an_api_that_is_away_is_said_and_the_page_goes_on_when_it_is_back(page: Page, operated: Operated) -> None:
    opened(page, operated)
    page.until(lambda: page.all(SECTION))
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.command("Network.enable")
    page.command("Network.emulateNetworkConditions", offline=True, **network)
    try:
        page.until(lambda: "What is shown is old." in page.text("#status"))
    finally:
        page.command("Network.emulateNetworkConditions", offline=False, **network)
    page.until(lambda: page.text("#status") == "What is shown is of this moment.")

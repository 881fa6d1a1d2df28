"""A page in Debian's Chromium, as tests look at it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.conftest import WAIT_SECONDS, missing

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
"""Where screenshots are kept; git ignores it."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
DESKTOP = (1280, 860)
PHONE = (390, 844)
Answer = TypeVar("Answer")


class Page:
    """One tab. Everything that may take a moment is waited for, with a limit."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, address: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False) -> None:
        """Load a page into an empty cache, at this size of the window, and wait until it shows the zones' counts."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        self.command("Network.enable")
        self.command("Network.clearBrowserCache")
        self.complaints()
        self.driver.get(address)
        self.until(lambda: self.script("return performance.getEntriesByName('first-view').length"))

    def command(self, name: str, **arguments: Any) -> Any:  # noqa: ANN401 - whatever the browser answers
        """A command of the Chrome DevTools Protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def script(self, source: str, *arguments: Any) -> Any:  # noqa: ANN401 - whatever the script returns
        """What a script returns that runs in the page."""
        return self.driver.execute_script(source, *arguments)

    def until(self, probe: Callable[[], Answer]) -> Answer:
        """The first true answer of `probe`, asked again and again; fails after some seconds."""
        wait = WebDriverWait(self.driver, WAIT_SECONDS, 0.05, [StaleElementReferenceException])
        return wait.until(lambda _: probe())

    def find(self, selector: str) -> WebElement:
        """The first element that a CSS selector names."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """All of them."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What an element says."""
        return self.find(selector).text

    def press(self, *keys: str) -> None:
        """Press keys one after another, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """What has the focus says, or its id where it says nothing."""
        return str(self.script("const e = document.activeElement; return e.innerText || e.id"))

    def row(self, zone: str) -> list[str]:
        """A zone's row of the list."""
        return [cell.text for cell in self.all(f"tr[data-zone='{zone}'] > *")]

    def notice(self) -> tuple[str, str]:
        """How good what is shown is said to be: the state and its sentence."""
        return str(self.find("#notice").get_attribute("data-state")), self.text("#notice")

    def complaints(self) -> list[str]:
        """What the browser has logged as errors since it was asked before: refused loads, exceptions."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]

    def keep_picture(self, name: str) -> None:
        """Keep what is shown, for people to look at."""
        ARTEFACTS.mkdir(exist_ok=True)
        self.driver.save_screenshot(str(ARTEFACTS / f"{name}.png"))


@contextmanager
def opened_browser() -> Iterator[Page]:
    """A browser with a profile of its own, which is gone afterwards."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        missing("Chromium", "apt install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        chrome = Chrome(options=options, service=Service(executable_path=driver))
        try:
            yield Page(chrome)
        finally:
            chrome.quit()

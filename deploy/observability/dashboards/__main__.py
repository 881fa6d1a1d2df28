"""Write deploy/observability/grafana/*.json anew, after a page has changed."""

from pathlib import Path

from deploy.observability.dashboards import PAGES
from deploy.observability.dashboards.page import build

FOLDER = Path(__file__).resolve().parents[1] / "grafana"


def main() -> None:
    """One file for each page; what is no page any more goes."""
    wanted = {f"{page.name}.json": build(page) for page in PAGES}
    for old in FOLDER.glob("*.json"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

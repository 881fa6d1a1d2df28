"""The packages of the product, as the import contracts name them."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS: tuple[str, ...] = tuple(
    tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["root_packages"]
)

"""The files of this checkout that people write: as git has them, with what is new and not ignored."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def texts(*endings: str) -> list[Path]:
    """Files whose names end in one of `endings`, without what was copied from others."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = (ROOT / name for name in listed.stdout.split("\0") if name.endswith(endings))
    return [
        path for path in found if path.is_file() and "vendor" not in path.parts and "node_modules" not in path.parts
    ]

"""The API key of a laptop: for an administrator, made at the first start."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.api_keys import is_known
from state.client import open_redis

DEMO_KEY = "demo-api-key"
"""The file in DATA_DIR: the key alone."""
_ADD_SECONDS = 60.0


def demo_key(settings: CommonSettings, *, folder: Path, environment: Mapping[str, str], show: bool) -> list[str]:
    """Make the demo key, if `folder`, which is DATA_DIR, has none, and tell of it, in lines for people.

    Redis must be there. `environment` is that of the services. The key is among the lines where it is to be shown.
    """
    path = folder / DEMO_KEY
    if path.exists():
        if _in_redis(settings, path):
            return [f"API key of an administrator: in {path}"]
        return [f"the API key in {path} was removed, and opens nothing; remove the file, too, to be given another"]
    # In Redis first: were the file there first, a start that is interrupted here would leave a key that is none.
    try:
        done = subprocess.run(
            [sys.executable, "-m", "api", "keys", "add", "--scope", "admin", "--name", "demo admin"],
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=_ADD_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return [f"the API key could not be made: {error}"]
    key = done.stdout.strip()
    if done.returncode or not key:
        return [f"the API key could not be made: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}"]
    try:
        _keep(path, key)
    except OSError as error:
        return [f"the API key could not be kept in {folder}: {error}"]
    told = f"API key of an administrator, made now; it stays in {path}, which only you can read"
    return [f"{told}:", f"  {key}"] if show else [told]


def _keep(path: Path, key: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(f"{key}\n")
    draft.replace(path)


def _in_redis(settings: CommonSettings, path: Path) -> bool:
    async def ask(key_id: str) -> bool:
        async with open_redis(settings, "keys-command") as client:
            return await is_known(client, key_id)

    try:
        # ck_ID_SECRET: the id is no secret.
        _, _, rest = path.read_text().strip().partition("_")
        return asyncio.run(ask(rest.partition("_")[0]))
    except (UnavailableError, OSError, UnicodeDecodeError):
        # It was there a moment ago: nothing is known against the key.
        return True

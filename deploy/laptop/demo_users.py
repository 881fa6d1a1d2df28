"""The demo users of a laptop: one for each role, with random passwords, made at the first start."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import UnavailableError
from core.kinds import Kinds
from runtime.demo_users import DEMO_USERS, DemoUser, demo_name, keep_demo_users, kept_demo_users, to_csv
from runtime.settings import CommonSettings
from state.client import open_redis
from state.users import users_version

_IMPORT_SECONDS = 60.0
_PASSWORD_BYTES = 12


def demo_users(
    settings: CommonSettings, kinds: Kinds, *, folder: Path, environment: Mapping[str, str], show: bool
) -> list[str]:
    """Make the demo users, if this is the first start, and tell of them, in lines for people.

    It is the first start where `folder`, which is DATA_DIR, has no file of them, and where Redis never had a user: who
    has removed them does not get them back. Redis must be there. `environment` is that of the services.
    Passwords are among the lines where they are to be shown: on a terminal, and not where lines are kept.
    """
    if (folder / DEMO_USERS).exists() and _redis_has_had_users(settings):
        names = ", ".join(user.name for user in kept_demo_users(folder))
        return [f"demo users: {names}; their passwords are in {folder / DEMO_USERS}"]
    users = [
        DemoUser(demo_name(role.name), role.name, secrets.token_urlsafe(_PASSWORD_BYTES)) for role in kinds.user_roles
    ]
    # In Redis first: were the file there first, a start that is interrupted here would leave users that nobody knows.
    if problem := _import(to_csv(users), environment):
        return [f"the demo users could not be made: {problem}"]
    try:
        path = keep_demo_users(folder, users)
    except OSError as error:
        return [f"the demo users could not be kept in {folder}: {error}"]
    if not show:
        names = ", ".join(user.name for user in users)
        return [f"demo users, made now: {names}; their passwords are in {path}, which only you can read"]
    width = max(len(user.name) for user in users)
    return [
        f"demo users, made now; their passwords stay in {path}, which only you can read:",
        *(f"  {user.name:{width}}  {user.password}" for user in users),
    ]


def _redis_has_had_users(settings: CommonSettings) -> bool:
    async def ask() -> bool:
        async with open_redis(settings, "users-command") as client:
            return await users_version(client) > 0

    try:
        return asyncio.run(ask())
    except UnavailableError:
        # It was there a moment ago. To make them anew would be a change that nobody asked for.
        return True


def _import(users: str, environment: Mapping[str, str]) -> str | None:
    """Put the users into Redis, by the command that everybody uses; what went wrong, or None."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "broker", "users", "import", "-"],
            input=users,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=_IMPORT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None if done.returncode == 0 else " ".join(done.stderr.split()) or f"exit code {done.returncode}"

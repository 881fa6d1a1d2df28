"""HAProxy's maps of a run: without one of them it does not start."""

import shutil
from pathlib import Path

from deploy.laptop.processes import HAPROXY_CONFIG, ROUTES_FOLDER


def put_maps(folder: Path) -> None:
    """Give DATA_DIR the maps that it has none of, empty; those that the controller has written stay.

    `folder` is DATA_DIR as an absolute path. Raises OSError.
    """
    routes = folder / ROUTES_FOLDER
    routes.mkdir(mode=0o700, exist_ok=True)
    for empty in HAPROXY_CONFIG.with_name("routes").glob("*.map"):
        if not (routes / empty.name).exists():
            shutil.copyfile(empty, routes / empty.name)

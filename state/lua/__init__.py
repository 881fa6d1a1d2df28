"""The scripts that Redis runs. A script is one of these texts, or several, one after the other."""

from functools import cache
from importlib import resources


@cache
def lua(*names: str) -> str:
    """The text of a script: those of the files `names`, in this order. Each is read once."""
    return "".join(resources.files("state.lua").joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)

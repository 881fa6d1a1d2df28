"""The scripts that Redis runs. A script is one of these texts, or several, one after the other."""

from importlib import resources


def lua(*names: str) -> str:
    """The text of a script: those of the files `names`, in this order."""
    return "".join(resources.files("state.lua").joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)

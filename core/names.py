"""Names that people give to users and keys, and that are printed for people."""

MAX_NAME = 128
"""Characters."""


def name_problem(name: str) -> str | None:
    """What is wrong with the name of a user or a key; None if nothing is."""
    if not 1 <= len(name) <= MAX_NAME:
        return f"a name has 1 to {MAX_NAME} characters"
    # Neither controls, nor lone surrogates, nor marks that change the direction of what is printed.
    if not name.isprintable() or name != name.strip():
        return "a name has printable characters alone, and no space at its ends"
    return None

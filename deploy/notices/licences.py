"""Under which licence a Python package comes, by what it says of itself."""

from email.message import Message

SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache Software License 2.0": "Apache-2.0",  # statsforecast, utilsforecast
    "2-clause BSD": "BSD-2-Clause AND PSF-2.0",  # patsy, one of whose modules is derived from Python's own library
    "Dual License": "Apache-2.0 OR BSD-3-Clause",  # python-dateutil, whose LICENSE has both
    "ISC License": "ISC",
    "MIT License": "MIT",
    "3-Clause BSD License": "BSD-3-Clause",  # protobuf
    "BSD License": "BSD-3-Clause",  # aiomqtt: its LICENSE has three clauses
}
"""How packages name a licence in words of their own, and its identifier in SPDX's list."""
IDENTIFIERS = frozenset(
    [
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "EPL-2.0", "ISC"),
        *("MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Zlib"),
    ]
)
"""The licences that somebody has looked at: each lets an image be handed on, with its text and its notices."""
OPERATORS = frozenset(("AND", "OR", "WITH"))


class UnknownLicenceError(Exception):
    """A package names no licence, or one that nobody has looked at yet."""


def licence_of(package: Message) -> str:
    """The licence as an SPDX expression, from the metadata of an installed package.

    An expression comes before a name in words, and that before a classifier. Raises UnknownLicenceError.
    """
    said = package["License-Expression"] or _in_words(package)
    expression = SPELLINGS.get(said, said)
    unknown = set(expression.replace("(", " ").replace(")", " ").split()) - OPERATORS - IDENTIFIERS
    if unknown or not expression:
        raise UnknownLicenceError(
            f"{package['Name']} says {said!r} of its licence: look at it, then add it to deploy/notices/licences.py"
        )
    return expression


def _in_words(package: Message) -> str:
    named = (package["License"] or "").strip()
    # Some put the whole text there.
    if named and "\n" not in named:
        return str(named)
    classifiers = [str(line) for line in package.get_all("Classifier", []) if line.startswith("License ::")]
    return " OR ".join(SPELLINGS.get(name, name) for name in (line.split(" :: ")[-1] for line in classifiers))

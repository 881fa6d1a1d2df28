"""One target under Atheris: NAME FOLDER [options of libFuzzer]."""

import sys

import atheris

with atheris.instrument_imports(include=["broker", "decoder", "core", "geofence", "simulator", "payloads"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()

"""Which series a decoder process will ever have: its metrics show each of them from the start."""

from decoder.export_settings import Target
from decoder.settings import Archive, DecoderSettings, Stage

OPERATIONS = {
    "documents": ("setup", "put"),
    "timeseries": ("setup", "write", "read"),
    "parquet": ("put",),
    "kafka": ("put",),
}
"""What is asked of each store, and measured."""


def stages_that_wait(settings: DecoderSettings) -> frozenset[str]:
    """The names under which the chosen stages, and what goes with each, say that they wait."""
    beside = {Stage.OBSERVE: "campus", Stage.ROLLUP: "coverage", Stage.RELEASE: "release-windows"}
    chosen = settings.chosen_stages
    names = {stage.value for stage in chosen - {Stage.EXPORT}} | {beside[stage] for stage in chosen if stage in beside}
    if Stage.OBSERVE in chosen and settings.who_is_who.rotates:
        names.add("device-keys")
    if Stage.EXPORT in chosen:
        names |= {f"export-{target}{of}" for target in settings.targets for of in ("", "-windows")}
        names |= {"export-gaps", "lake-orders", "lake-upkeep"} if Target.PARQUET in settings.targets else set()
    if chosen & {Stage.ARCHIVE, Stage.EXPORT}:
        names |= {"export-off", "export-patience"} if settings.targets else {"export-off"}
    return frozenset(names)


def questions_to_stores(settings: DecoderSettings) -> list[tuple[str, str]]:
    """Store and operation of all that the chosen stages ask of stores."""
    chosen = settings.chosen_stages
    stores = []
    if Stage.JUDGE in chosen or (Stage.ARCHIVE in chosen and settings.archive is not Archive.OFF):
        stores.append("documents")
    if chosen & {Stage.ROLLUP, Stage.RELEASE}:
        stores.append("timeseries")
    if Stage.EXPORT in chosen:
        stores += [target.value for target in settings.targets]
    return [(store, operation) for store in stores for operation in OPERATIONS[store]]

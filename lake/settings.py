"""Where the lake is, and how long it keeps what is in it."""

from pydantic import Field

from runtime.settings import Settings


class LakeSettings(Settings):
    """What whoever writes or reads the lake must agree on."""

    lake_url: str = Field(
        default="",
        description="Where the lake is: s3://bucket/prefix (S3, IBM COS) or file:///folder; unset: lake in DATA_DIR.",
    )
    lake_keep: str = Field(
        default="",
        description="How long the lake keeps a date after its end, such as 90d; unset: as DOCUMENTS_KEEP, or for ever.",
    )

"""What a value may be, as JSON Schema; Helm refuses another one before it renders anything."""

from typing import Any, Final

Schema = dict[str, Any]

BOOLEAN: Final[Schema] = {"type": "boolean"}
TEXT: Final[Schema] = {"type": "string", "minLength": 1}
ANY_TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 1}
OBJECT: Final[Schema] = {"type": "object"}
HOST: Final[Schema] = {"type": "string", "pattern": r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"}
CIDR: Final[Schema] = {"type": "string", "pattern": r"^[0-9a-f.:]+/[0-9]+$"}
NETWORKS: Final[Schema] = {"type": "string", "pattern": r"^[0-9a-f.:]+(/[0-9]+)?(,[0-9a-f.:]+(/[0-9]+)?)*$"}
SHARE: Final[Schema] = {"type": "string", "pattern": r"^(0(\.[0-9]+)?|1)$"}
CRON: Final[Schema] = {"type": "string", "pattern": r"^(\S+ ){4}\S+$"}
KEPT: Final[Schema] = {"type": ["string", "null"], "pattern": r"^[1-9][0-9]*[smhd]$"}
KEPT_BY_WIDTH: Final[Schema] = {
    "type": ["string", "null"],
    "pattern": r"^(1m|5m|1h|1d):[1-9][0-9]*[smhd](,(1m|5m|1h|1d):[1-9][0-9]*[smhd])*$",
}
STORAGE: Final[Schema] = {"type": "string", "pattern": r"^[1-9][0-9]*([KMGT]i?)?$"}
BYTES: Final[Schema] = {"type": "string", "pattern": r"^[1-9][0-9]*(kb|mb|gb)?$"}
QUANTITY: Final[Schema] = {"type": ["string", "integer"], "pattern": r"^[0-9]+(\.[0-9]+)?(m|[kKMGT]i?)?$"}
DIGESTS: Final[Schema] = {
    "type": "object",
    "propertyNames": {"pattern": "^[a-z]+$"},
    "additionalProperties": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
}
VARIABLES: Final[Schema] = {
    "type": "object",
    "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"},
    "additionalProperties": {"type": ["string", "integer", "boolean"]},
}
STRINGS: Final[Schema] = {"type": "object", "additionalProperties": ANY_TEXT}
QUANTITIES: Final[Schema] = {"type": "object", "additionalProperties": QUANTITY}


def one_of(*choices: str | None) -> Schema:
    """One of these words."""
    return {"enum": list(choices)}


def list_of(items: Schema, **more: int) -> Schema:
    """A list; `more` as minItems."""
    return {"type": "array", "items": items, **more}


def mapping_of(**properties: Schema) -> Schema:
    """A mapping with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def maybe(schema: Schema) -> Schema:
    """The same, or null: what the service itself takes."""
    return {**schema, "type": [schema["type"], "null"]}


AMOUNTS: Final = mapping_of(cpu=QUANTITY, memory=QUANTITY, **{"ephemeral-storage": QUANTITY})
RESOURCES: Final = mapping_of(requests=AMOUNTS, limits=AMOUNTS)

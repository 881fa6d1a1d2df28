"""Settings of the controller."""

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from runtime.settings import CommonSettings, OpsSettings


class Stage(StrEnum):
    """What a controller does; several may share the work."""

    REGISTRY = "registry"  # says what runs
    APPLY = "apply"  # makes HAProxy do what the rules say
    CANARY = "canary"  # walks the canaries
    FAULTS = "faults"  # tells the keeper, where there is one, which faults are wanted


class ControllerSettings(CommonSettings, OpsSettings):
    """Where it looks what runs, which HAProxy is its own, and when a canary goes back."""

    controller_stages: str = Field(
        default="registry,apply,canary,faults",
        description="Which of registry, apply, canary and faults this process does.",
    )
    registry: Literal["docker", "kubernetes", "file"] = Field(default="docker", description="Where it looks what runs.")
    registry_every: float = Field(default=1.0, ge=0.2, le=60, description="Seconds between two looks at it.")
    registry_folder: Path = Field(
        default=Path("data/apps"), description="Folder with a JSON file an instance, for REGISTRY=file."
    )
    gate_url: str = Field(
        default="http://registry:2375",
        pattern=r"^http://",
        description="The gate to the Docker Engine, for REGISTRY=docker.",
    )
    kubernetes_url: str = Field(
        default="https://kubernetes.default.svc",
        pattern=r"^https?://",
        description="The API of Kubernetes, for REGISTRY=kubernetes.",
    )
    apps_namespace: str = Field(
        default="",
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$",
        description="The namespace of the applications; unset: the pod's own.",
    )
    haproxy_socket: Path = Field(
        default=Path("/run/haproxy/admin.sock"), description="HAProxy's runtime API, with level admin."
    )
    routes_folder: Path = Field(default=Path("/run/routes"), description="Folder of HAProxy's maps.")
    faults_keeper_url: str = Field(
        default="",
        pattern=r"^(http://.*)?$",
        description="The keeper of faults between services and stores; unset: none.",
    )
    apply_every: float = Field(default=0.25, ge=0.05, le=5, description="Seconds between two looks at the rules.")
    canary_alpha: float = Field(
        default=0.001,
        ge=1e-6,
        le=0.05,
        description="A canary goes back where chance makes the difference less often than this.",
    )
    canary_least_errors: int = Field(
        default=3, ge=1, le=100, description="Errors below which a canary does not go back for them."
    )
    canary_stalled: float = Field(
        default=900.0,
        ge=60,
        le=86_400,
        description="Seconds in which a step must have had its requests; then the canary goes back.",
    )

    @field_validator("controller_stages")
    @classmethod
    def _known_stages(cls, stages: str) -> str:
        names = stages.split(",")
        if unknown := sorted(set(names) - set(Stage)):
            raise ValueError(f"{unknown[0]!r} is no stage: name some of {', '.join(Stage)}, with commas between them")
        if len(set(names)) < len(names):
            raise ValueError("a stage is named twice")
        return stages

    @property
    def chosen_stages(self) -> set[Stage]:
        """The stages to run."""
        return {Stage(name) for name in self.controller_stages.split(",")}

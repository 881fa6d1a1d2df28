"""One control plane for all tests that take it, which knows the kinds of others, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.conftest import base_images, engine, figures  # noqa: F401 - fixtures, for the nodes
from tests.kubernetes.control_plane import ControlPlane, built, control_plane


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    crds = built("crds")
    # Nodes that a test makes up say nothing, and nobody shall take them for dead.
    patient = ["--node-startup-grace-period=1h", "--node-monitor-grace-period=1h"]
    folder = tmp_path_factory.mktemp("control-plane")
    with control_plane(folder, more={"kube-controller-manager": patient}) as made:
        made.kubectl("apply", "--server-side", "--filename", crds)
        made.kubectl("wait", "--for=condition=established", "--timeout=300s", "crd", "--all")
        yield made


@pytest.fixture(scope="session")
def namespaces(plane: ControlPlane) -> ControlPlane:
    """The namespaces of the overlays are really there: a dry run of what is in them needs that."""
    manifest = (Path(__file__).parents[2] / "deploy/k8s/base/namespace.yaml").read_text()
    for name in ("campus", "campus-staging"):
        plane.apply(manifest.replace("name: campus\n", f"name: {name}\n"))
        # A controller makes its account; no pod is looked at before.
        plane.kubectl("wait", "--namespace", name, "--for=create", "--timeout=120s", "serviceaccount/default")
    return plane

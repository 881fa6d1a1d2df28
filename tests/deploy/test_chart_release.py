"""The chart in the pipeline: packed with the digests of the images that were signed, pushed, and signed itself."""

import tarfile
from pathlib import Path

import pytest
import yaml

from tests.deploy.test_release import COMMIT, FAKE, PREFIX, ROOT, Tools, digest
from tests.helm.executable import helm

IMAGES = ("api", "backup", "broker", "controller", "decoder", "haproxy", "simulator")
PUSHED = "sha256:" + "c" * 64
VERSION = f"0.2.0-g{COMMIT}"
# Helm itself, but for the registry; what would be pushed stays.
HELM = FAKE + 'if [ "$1" = push ]; then cp "$2" "$ANSWERS/pushed.tgz"; else exec "$BUILT" "$@"; fi\n'


class Delivery(Tools):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "docker", "cosign", "helm")
        (self._bin / "helm").write_text(HELM)
        self.packed = self._answers / "pushed.tgz"
        self.answers()

    def answers(self, *before: tuple[str, int, str]) -> None:
        """As a registry that has all images; the first answer that fits is given."""
        known = [(f"/{image}:{COMMIT}", 0, digest(image)) for image in IMAGES]
        self.answer(*before, *known)

    def chart(self, folder: Path = ROOT) -> tuple[int, str, str]:
        done = self.run("chart", str(folder), COMMIT, BUILT=helm())
        return done.returncode, done.stdout, done.stderr

    def content(self, name: str) -> object:
        with tarfile.open(self.packed) as packed:
            file = packed.extractfile(f"campus/{name}")
            assert file
            return yaml.safe_load(file.read())


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    made = Delivery(tmp_path)
    # FAKE ends with its answers: after those, Helm's own part says what was pushed.
    path = made._bin / "helm"
    path.write_text(path.read_text() + f'if [ "$1" = push ]; then echo "Pushed: x"; echo "Digest: {PUSHED}"; fi\n')
    return made


def test_it_has_the_digests_of_all_its_images_and_the_commit(delivery: Delivery) -> None:
    code, printed, error = delivery.chart()
    assert code == 0, error
    assert printed == f"{PREFIX}/charts/campus@{PUSHED}\n"
    values = delivery.content("values.yaml")
    assert isinstance(values, dict)
    assert values["image"]["registry"] == PREFIX
    assert values["image"]["digests"] == {image: digest(image) for image in IMAGES}
    about = delivery.content("Chart.yaml")
    assert isinstance(about, dict)
    assert (about["version"], about["appVersion"]) == (VERSION, COMMIT)


def test_each_image_in_it_was_signed_by_the_delivery_of_its_commit(delivery: Delivery) -> None:
    assert delivery.chart()[0] == 0
    verified = [call for call in delivery.calls if call.startswith("cosign verify")]
    assert [f"{PREFIX}/{image}@{digest(image)}" in call for image, call in zip(IMAGES, verified, strict=True)] == [
        True
    ] * 7
    assert all(COMMIT in call for call in verified)
    [push] = [call for call in delivery.calls if call.startswith("helm push")]
    assert push.endswith(f"campus-{VERSION}.tgz oci://{PREFIX}/charts")


def test_one_that_was_not_delivered_or_not_signed_keeps_the_chart_back(delivery: Delivery) -> None:
    delivery.answers((f"/simulator:{COMMIT}", 1, ""))
    code, _, error = delivery.chart()
    assert code == 1
    assert "simulator" in error
    delivery.answers((f"verify {PREFIX}/backup@", 1, ""))
    assert delivery.chart()[0] == 1
    assert not [call for call in delivery.calls if call.startswith("helm push")]


def test_a_push_that_says_no_digest_is_a_failure(tmp_path: Path) -> None:
    code, printed, error = Delivery(tmp_path).chart()
    assert (code, printed) == (1, "")
    assert "has not said what it pushed" in error


def test_what_is_pushed_is_signed_by_its_digest() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/deliver.yml").read_text())["jobs"]["chart"]
    assert job["needs"] == "image"
    [step] = [step for step in job["steps"] if ".github/release/chart" in step.get("run", "")]
    assert 'chart=$(.github/release/chart . "$GITHUB_SHA")' in step["run"]
    assert 'cosign sign --yes "$chart"' in step["run"]

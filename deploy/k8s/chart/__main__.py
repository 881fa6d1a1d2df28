"""Write deploy/chart anew: `python -m deploy.k8s.chart`. Needs kubectl (`make kubectl`). What is by hand stays."""

from deploy.k8s.chart.files import files
from deploy.k8s.chart.sources import K8S

CHART = K8S.parent / "chart"

if __name__ == "__main__":
    for path, content in files().items():
        (CHART / path).parent.mkdir(parents=True, exist_ok=True)
        (CHART / path).write_text(content)

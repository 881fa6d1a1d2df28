"""The alerts of deploy/observability as a PrometheusRule: `python -m deploy.k8s.rules` writes components/monitoring.

So there is one text of them, which promtool checks, and a test compares. The standard library alone.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent
RULES = HERE.parent / "observability" / "prometheus" / "rules"
WRITTEN = HERE / "components" / "monitoring" / "rules.yaml"
_HEAD = """\
# Made by `python -m deploy.k8s.rules` of deploy/observability/prometheus/rules: change them there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: campus
spec:
  groups:
"""
_GROUPS = "groups:\n"


def prometheus_rule() -> str:
    """The manifest. Raises ValueError for a file of rules that does not begin with its groups."""
    text = _HEAD
    for path in sorted(RULES.glob("*.yml")):
        before, groups, rules = path.read_text().partition(_GROUPS)
        if not groups or any(line and not line.startswith("#") for line in before.splitlines()):
            raise ValueError(f"{path.name} does not begin with its groups")
        text += "".join(f"  {line}\n" if line else "\n" for line in rules.splitlines())
    return text


if __name__ == "__main__":
    WRITTEN.write_text(prometheus_rule())

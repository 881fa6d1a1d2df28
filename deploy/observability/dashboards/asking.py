"""PromQL that panels have in common."""


def rate(selector: str, *by: str) -> str:
    """How fast a counter rises, by labels, over what Grafana takes as the least time that has points."""
    return f"sum{_by(by)} (rate({selector}[$__rate_interval]))"


def risen(selector: str, *by: str) -> str:
    """By how much a counter rose in the last hour."""
    return f"sum{_by(by)} (increase({selector}[1h]))"


def quantile(share: float, histogram: str, labels: str, *by: str) -> str:
    """What so large a share of what a histogram saw stays below; empty while it sees nothing."""
    return (
        f"histogram_quantile({share}, sum{_by(('le', *by))} (rate({histogram}_bucket{{{labels}}}[$__rate_interval])))"
    )


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""

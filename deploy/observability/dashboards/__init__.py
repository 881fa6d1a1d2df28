"""Grafana's dashboards: `python -m deploy.observability.dashboards` writes deploy/observability/grafana/*.json."""

from deploy.observability.dashboards.api import API
from deploy.observability.dashboards.brokers import BROKERS
from deploy.observability.dashboards.front import HAPROXY
from deploy.observability.dashboards.overview import OVERVIEW
from deploy.observability.dashboards.page import Page
from deploy.observability.dashboards.pipeline import PIPELINE
from deploy.observability.dashboards.privacy import PRIVACY
from deploy.observability.dashboards.stores import STORES

PAGES: tuple[Page, ...] = (OVERVIEW, BROKERS, PIPELINE, STORES, HAPROXY, API, PRIVACY)

"""What a cluster's Ingress lets in of the API, which stands there without HAProxy before it."""

from api.web.pages import pages
from tests.api.conftest import Parts
from tests.deploy.k8s_manifests import overlay
from tests.deploy.test_k8s_gateway import Door, doors_of_ingress


def leads_to_the_api(doors: set[Door], path: str) -> bool:
    return any(
        service == "api" and (path == door or (how == "PathPrefix" and path.startswith(f"{door}/")))
        for door, how, service, _ in doors
    )


async def test_all_that_the_api_has_is_let_in_but_its_health(parts: Parts) -> None:
    shown = {str(getattr(route, "path", "")) for route in pages(parts.kinds).routes}
    found = {*parts.app().openapi()["paths"], *shown, "/openapi.json"}
    assert {"/", "/device", "/operations", "/docs", "/openapi.json", "/v1/zones"} <= found
    doors = doors_of_ingress(overlay("ibm-cloud"))
    assert {path for path in found if not leads_to_the_api(doors, path)} == {"/healthz"}
    assert not leads_to_the_api(doors, "/apps/trial/")

from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from forecasting.bundle import Bundle


def test_two_apps_in_one_process_count_for_themselves(
    serve: Callable[..., TestClient], tiny_bundle: Bundle, good: dict[str, Any]
) -> None:
    with serve(tiny=tiny_bundle) as first, serve(tiny=tiny_bundle) as second:
        first.post("/v1/models/tiny/forecast", json=good)
        first.post("/v1/models/tiny/forecast", json={})
        first.get("/no/such/path")
        first.request("BREW", "/livez")
        counted, other = first.get("/metrics").text, second.get("/metrics").text
    route = 'route="/v1/models/{name}/forecast"'
    assert f'gatecast_requests_total{{method="POST",{route},status="200"}} 1.0' in counted
    assert f'gatecast_requests_total{{method="POST",{route},status="422"}} 1.0' in counted
    assert 'gatecast_requests_total{method="GET",route="unmatched",status="404"} 1.0' in counted
    assert 'gatecast_requests_total{method="other",route="/livez",status="405"} 1.0' in counted
    assert f"gatecast_request_seconds_count{{{route}}} 2.0" in counted
    assert 'gatecast_model_info{alias="production",model="tiny",run_id="r1",version="1"} 1.0' in counted
    assert "gatecast_models_refused 0.0" in counted
    assert route not in other


def test_a_request_id_is_kept_if_it_can_be_logged(client: TestClient) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "job-7"}).headers["x-request-id"] == "job-7"
    for bad in ("", "x" * 65, "a b", 'a"'):
        assert client.get("/livez", headers={"X-Request-ID": bad}).headers["x-request-id"] not in {"", bad}

"""``compose.yaml`` and the files it mounts, compared with the schema, the program and each other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from dockerfile import stages

from exporter.cli.flags import LISTEN_ADDRESS, TELEMETRY_PATH, parse
from exporter.config.durations import parse_duration
from exporter.httpd import parse_address

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
(*_, IMAGE) = stages((ROOT / "Dockerfile").read_text())
PORTS = {
    "exporter": parse_address(LISTEN_ADDRESS).port,
    "prometheus": 9090,
    "alertmanager": 9093,
    "grafana": 3000,
}


def mounts(service: str) -> dict[str, str]:
    """Target and source of each mount."""
    return {target: source for source, target, *_ in (mount.split(":") for mount in SERVICES[service]["volumes"])}


def on_this_side(service: str, inside: str) -> Path:
    """Return the file of the checkout that a service sees under a path."""
    target = max((place for place in mounts(service) if inside.startswith(place)), key=len)
    return ROOT / (mounts(service)[target] + inside.removeprefix(target))


def document(path: str) -> dict[str, list[dict[str, object]]]:
    loaded: dict[str, list[dict[str, object]]] = yaml.safe_load((ROOT / path).read_text())
    return loaded


def test_file_matches_the_compose_specification() -> None:
    check = Path(sys.executable).parent / "check-jsonschema"
    line = [check, "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"]
    subprocess.run(line, check=True, capture_output=True)


def test_every_expected_service_is_present() -> None:
    assert set(SERVICES) == set(PORTS)


@pytest.mark.parametrize("service", PORTS)
def test_images_are_pinned_and_all_but_ours_are_pulled(service: str) -> None:
    image = SERVICES[service]["image"]
    if service == "exporter":
        assert SERVICES[service]["build"] == "."
        assert ":" not in image, "the image is built from the checkout, not pulled"
    else:
        assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", image)


@pytest.mark.parametrize("service", PORTS)
def test_ports_are_bound_to_localhost_only(service: str) -> None:
    assert SERVICES[service]["ports"] == [f"127.0.0.1:{PORTS[service]}:{PORTS[service]}"]


@pytest.mark.parametrize("service", PORTS)
def test_services_have_no_privileges(service: str) -> None:
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "network_mode", "pid"} & set(SERVICES[service])


@pytest.mark.parametrize("service", PORTS)
def test_mounts_exist_or_are_named_volumes(service: str) -> None:
    named = set()
    for mount in SERVICES[service]["volumes"]:
        source, _, *mode = mount.split(":")
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
            assert mode == ["ro"]
        else:
            named.add(source)
    assert named == {service}
    assert service in COMPOSE["volumes"]


def test_exporter_runs_the_demo_on_the_exposed_port() -> None:
    """Its filesystem is read-only except for its volume."""
    options = parse(SERVICES["exporter"]["command"])
    assert options.command == "demo"
    assert options.addresses() == (LISTEN_ADDRESS,)
    assert str(PORTS["exporter"]) == IMAGE.one("EXPOSE")
    assert list(mounts("exporter")) == [IMAGE.one("VOLUME")]
    assert SERVICES["exporter"]["read_only"] is True


@pytest.mark.parametrize("service", ["prometheus", "alertmanager"])
def test_the_configuration_that_a_command_names_is_mounted(service: str) -> None:
    (flag,) = [flag for flag in SERVICES[service]["command"] if flag.startswith("--config.file=")]
    assert on_this_side(service, flag.partition("=")[2]).is_file()


def test_alertmanager_retention_exceeds_its_repeat_interval() -> None:
    (flag,) = [flag for flag in SERVICES["alertmanager"]["command"] if flag.startswith("--data.retention=")]
    text = (ROOT / "prometheus" / "alertmanager.yml").read_text()
    repeats = re.findall(r"^\s*repeat_interval: (\S+)", text, re.MULTILINE)
    assert repeats
    assert all(parse_duration(repeat) < parse_duration(flag.partition("=")[2]) for repeat in repeats)


def test_prometheus_scrapes_the_exporter_under_the_expected_job(promtool: str) -> None:
    """The configuration is valid and has the rules and the Alertmanager."""
    path = ROOT / "prometheus" / "prometheus.yml"
    subprocess.run([promtool, "check", "config", path], check=True, capture_output=True)
    loaded = yaml.safe_load(path.read_text())
    (job,) = loaded["scrape_configs"]
    assert job["job_name"] == "wechat-miniprogram"
    assert job.get("metrics_path", "/metrics") == TELEMETRY_PATH
    assert job["static_configs"] == [{"targets": [f"exporter:{PORTS['exporter']}"]}]
    assert loaded["rule_files"] == ["rules.yml"]
    (managers,) = loaded["alerting"]["alertmanagers"]
    assert managers["static_configs"] == [{"targets": [f"alertmanager:{PORTS['alertmanager']}"]}]


def test_grafana_data_sources_are_services_of_this_file() -> None:
    sources = document("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    places = [urlsplit(str(source["url"])) for source in sources]
    assert [(place.hostname, place.port) for place in places] == [
        (name, PORTS[name]) for name in ("prometheus", "alertmanager")
    ]
    assert [source["type"] for source in sources] == ["prometheus", "alertmanager"]
    assert [source.get("isDefault", False) for source in sources] == [True, False]
    interval = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert sources[0]["jsonData"] == {"timeInterval": interval, "httpMethod": "POST"}


def test_grafana_finds_the_dashboard_where_it_is_mounted() -> None:
    (provider,) = document("grafana/provisioning/dashboards/wechat-miniprogram.yml")["providers"]
    options = provider["options"]
    assert isinstance(options, dict)
    found = [path for path in mounts("grafana") if path.startswith(f"{options['path']}/")]
    assert [on_this_side("grafana", path) for path in found] == [ROOT / "grafana" / "wechat-miniprogram.json"]

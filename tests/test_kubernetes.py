"""``deploy/kubernetes``, compared with the program and the image, and validated with kubectl."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from dockerfile import stages
from harness import running

from exporter import __version__, config
from exporter.cli.flags import LISTEN_ADDRESS, NAME, RUN, TELEMETRY_PATH, parse
from exporter.httpd import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent.parent / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
JOB = "wechat-miniprogram"
(*_, IMAGE) = stages((FOLDER.parents[1] / "Dockerfile").read_text())
KINDS = {"Deployment", "PersistentVolumeClaim", "PrometheusRule", "Service", "ServiceMonitor"}

# kustomize builds the resources from these files and the generated ConfigMap.


def document(kind: str) -> Any:  # noqa: ANN401 (as YAML has it)
    return yaml.safe_load((FOLDER / f"{kind.lower()}.yaml").read_text())


DEPLOYMENT, SERVICE, MONITOR = document("Deployment"), document("Service"), document("ServiceMonitor")
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
OPTIONS = parse(CONTAINER["args"])
MOUNTS = {mount["name"]: mount for mount in CONTAINER["volumeMounts"]}
VOLUMES = {volume["name"]: volume for volume in POD["volumes"]}


def values(tree: object, key: str) -> Iterator[object]:
    """Yield every value of a key, at any depth."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from values(value, key)


def test_every_file_is_a_resource_and_every_resource_a_file() -> None:
    files = {f"{kind.lower()}.yaml" for kind in KINDS}
    assert set(KUSTOMIZATION["resources"]) == files
    other = {"kustomization.yaml", "config.yaml", "README.md"}
    assert {path.name for path in FOLDER.iterdir()} == files | other


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_document_is_one_of_its_kind_named_for_the_exporter(kind: str) -> None:
    found = document(kind)
    assert found["kind"] == kind
    assert found["metadata"]["name"] == NAME
    assert found["metadata"]["labels"]["app.kubernetes.io/name"] == NAME
    assert "namespace" not in found["metadata"], "the operator of the cluster chooses it"


# --- the exporter ----------------------------------------------------------------------------------


def test_one_replica_is_recreated_not_rolled() -> None:
    assert DEPLOYMENT["spec"]["replicas"] == 1
    assert DEPLOYMENT["spec"]["strategy"] == {"type": "Recreate"}


def test_arguments_are_those_of_the_image_with_auto_reload() -> None:
    assert CONTAINER["args"] == [*IMAGE.exec_form("CMD"), "--config.auto-reload-interval=1m"]
    assert OPTIONS.command == RUN
    assert "command" not in CONTAINER, "the image's ENTRYPOINT"


def test_image_tag_is_the_version_of_this_checkout() -> None:
    assert KUSTOMIZATION["images"] == [{"name": CONTAINER["image"], "newTag": __version__}]
    assert CONTAINER["image"] == NAME


def test_user_is_that_of_the_image_without_privileges() -> None:
    user = int(IMAGE.one("USER").partition(":")[0])
    assert POD["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False


def test_exporter_listens_on_the_container_port() -> None:
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": parse_address(LISTEN_ADDRESS).port}]
    assert OPTIONS.addresses() == (LISTEN_ADDRESS,)


@pytest.mark.parametrize(
    ("path", "means"),
    [
        (CONTAINER["readinessProbe"]["httpGet"]["path"], "ready"),
        (CONTAINER["livenessProbe"]["httpGet"]["path"], "healthy"),
        (MONITOR["spec"]["endpoints"][0]["path"], "# HELP"),
    ],
)
def test_every_probed_path_is_served(path: str, means: str, tmp_path: Path) -> None:
    with running(tmp_path, "demo") as exporter:
        answer = exporter.get(path)
    assert answer.status_code == requests.codes.ok
    assert answer.text.startswith(means)


def test_probes_and_service_use_the_port_by_its_name() -> None:
    assert {probe["httpGet"]["port"] for name, probe in CONTAINER.items() if name.endswith("Probe")} == {"http"}
    assert SERVICE["spec"]["ports"] == [
        {"name": "http", "port": parse_address(LISTEN_ADDRESS).port, "targetPort": "http"}
    ]


# --- its files -------------------------------------------------------------------------------------


def test_mounts_match_the_arguments() -> None:
    assert set(MOUNTS) == set(VOLUMES) == {"config", "secrets", "store"}
    assert MOUNTS["store"] == {"name": "store", "mountPath": OPTIONS.storage_path}
    assert OPTIONS.config_file == Path(MOUNTS["config"]["mountPath"]) / "config.yaml"
    assert MOUNTS["config"]["readOnly"] is MOUNTS["secrets"]["readOnly"] is True
    paths = [PurePosixPath(mount["mountPath"]) for mount in MOUNTS.values()]
    assert [(a, b) for a in paths for b in paths if a in b.parents] == [], "no volume is mounted inside another"


def test_each_volume_has_its_source() -> None:
    claim = VOLUMES["store"]["persistentVolumeClaim"]["claimName"]
    assert claim == document("PersistentVolumeClaim")["metadata"]["name"]
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    assert VOLUMES["config"]["configMap"] == {"name": generated["name"]}
    assert generated["files"] == [OPTIONS.config_file.name]


def test_example_configuration_loads_with_mounted_secrets(tmp_path: Path) -> None:
    text = (FOLDER / "config.yaml").read_text()
    mount = MOUNTS["secrets"]["mountPath"]
    keys = [PurePosixPath(path).name for path in re.findall(rf"secret_file: ({mount}/\w+)", text)]
    (tmp_path / "config.yaml").write_text(text.replace(mount, str(tmp_path)))
    for key in keys:
        (tmp_path / key).write_text("0123456789abcdef0123456789abcdef")
        (tmp_path / key).chmod(VOLUMES["secrets"]["secret"]["defaultMode"])
    loaded = config.load(tmp_path / "config.yaml", {})
    assert len(loaded.apps) == len(keys) >= 1
    assert loaded.warnings == ()


def test_readme_creates_the_mounted_secret_and_no_file_has_it() -> None:
    guide, name = (FOLDER / "README.md").read_text(), VOLUMES["secrets"]["secret"]["secretName"]
    (key,) = set(re.findall(rf"kubectl create secret generic {name} --from-file=(\w+)", guide))
    assert f"{MOUNTS['secrets']['mountPath']}/{key} " in (FOLDER / "config.yaml").read_text()
    assert "Secret" not in {yaml.safe_load(path.read_text()).get("kind") for path in FOLDER.glob("*.yaml")}


def test_readme_names_image_and_job_and_links_existing_files() -> None:
    guide = (FOLDER / "README.md").read_text()
    assert f"{NAME}:{__version__} ." in guide
    assert f"set image {NAME}=" in guide
    assert f"`{JOB}`" in guide
    links = re.findall(r"\]\(([^)]+)\)", guide)
    assert links
    assert [link for link in links if not (FOLDER / link).exists()] == []


# --- selectors --------------------------------------------------------------------------------


def test_deployment_service_and_monitor_selectors_match() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert SERVICE["spec"]["selector"].items() <= labels.items()
    assert MONITOR["spec"]["selector"]["matchLabels"].items() <= SERVICE["metadata"]["labels"].items()
    assert {endpoint["port"] for endpoint in MONITOR["spec"]["endpoints"]} == {SERVICE["spec"]["ports"][0]["name"]}


def test_scrape_job_has_the_name_used_by_the_rules() -> None:
    assert SERVICE["metadata"]["labels"][MONITOR["spec"]["jobLabel"]] == JOB
    assert MONITOR["spec"]["endpoints"][0]["path"] == TELEMETRY_PATH


def test_the_rules_are_those_of_prometheus() -> None:
    rules = yaml.safe_load((FOLDER.parents[1] / "prometheus" / "rules.yml").read_text())
    assert document("PrometheusRule")["spec"] == rules


# --- Kubernetes' own checks -----------------------------------------------------------------------

KUBECTL = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")


def kubectl(*arguments: object) -> list[Any]:
    """Return what kubectl prints; none of these commands needs a cluster."""
    line = ["kubectl", *map(str, arguments)]
    return list(yaml.safe_load_all(subprocess.run(line, check=True, capture_output=True, text=True).stdout))


@KUBECTL
def test_kustomize_build_mounts_the_generated_configuration() -> None:
    built = {found["kind"]: found for found in kubectl("kustomize", FOLDER)}
    assert set(built) == KINDS | {"ConfigMap"}
    assert built["ConfigMap"]["data"] == {"config.yaml": (FOLDER / "config.yaml").read_text()}
    assert list(values(built["Deployment"], "configMap")) == [{"name": built["ConfigMap"]["metadata"]["name"]}]
    assert list(values(built["Deployment"], "image")) == [f"{NAME}:{__version__}"]


def missing(ours: object, theirs: object, path: str = "") -> list[str]:
    """Return the fields that Kubernetes dropped because the type does not have them."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            line
            for key, value in ours.items()
            for line in (missing(value, theirs[key], f"{path}.{key}") if key in theirs else [f"{path}.{key}"])
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line for n, pair in enumerate(zip(ours, theirs, strict=True)) for line in missing(*pair, f"{path}[{n}]")
        ]
    return [] if ours == theirs else [path]


@KUBECTL
@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("Deployment", ("env", "--env=PROBE=1")),
        ("Service", ("selector", f"app.kubernetes.io/name={NAME}")),
    ],
)
def test_kubernetes_types_know_every_field(kind: str, setting: tuple[str, str], tmp_path: Path) -> None:
    verb, *what = setting
    (read,) = kubectl("set", verb, "--local", "--filename", FOLDER / f"{kind.lower()}.yaml", *what, "--output=yaml")
    assert missing(document(kind), read) == []
    misspelt = document(kind)
    misspelt["spec"]["selektor"] = misspelt["spec"]["selector"]
    (tmp_path / "misspelt.yaml").write_text(yaml.safe_dump(misspelt))
    (read,) = kubectl("set", verb, "--local", "--filename", tmp_path / "misspelt.yaml", *what, "--output=yaml")
    assert missing(misspelt, read) == [".spec.selektor"], "an unknown field is dropped"

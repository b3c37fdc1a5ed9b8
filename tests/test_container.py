"""The image: its Dockerfile, and its commands, run in a directory in place of the container's root.

No container engine is needed: the paths of the image are put below that directory, and its user is the process's own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from dockerfile import Stage, context, stages
from harness import served

from exporter import __version__
from exporter.cli.flags import LISTEN_ADDRESS, NAME, RUN, parse
from exporter.httpd import parse_address
from exporter.wechat.simulator import SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
BUILD, FINAL = stages((ROOT / "Dockerfile").read_text())
CONTEXT = context(ROOT)
STARTED = parse([*FINAL.exec_form("ENTRYPOINT")[1:], *FINAL.exec_form("CMD")])
UID, GID = (int(number) for number in FINAL.one("USER").split(":"))

# --- its Dockerfile --------------------------------------------------------------------------------


def test_both_stages_use_one_slim_image_with_a_pinned_version() -> None:
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", FINAL.base)
    assert (BUILD.base, BUILD.name, FINAL.name) == (FINAL.base, "build", "")
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, FINAL.base.split(":")[1].split(".")[:2])) >= tuple(map(int, least.split(".")))


def test_build_context_contains_exactly_the_copied_files() -> None:
    copied = {source for line in BUILD.all("COPY") for source in line.split()[:-1]}
    tops = {path.partition("/")[0] for path in CONTEXT}
    assert tops == {source.partition("/")[0] for source in copied}
    assert all((ROOT / source).exists() for source in copied)
    texts = [path for path in CONTEXT if path.partition("/")[0] != "exporter"]
    assert [
        path for path in texts if not any(path == source or path.startswith(f"{source}/") for source in copied)
    ] == []
    assert all(path.endswith((".py", ".html", ".css", ".js", "py.typed")) for path in {*CONTEXT} - {*texts})
    assert FINAL.all("COPY") == [f"--from=build {2 * f'/opt/{NAME} '}".strip()]


def test_entrypoint_is_the_program_with_an_unprivileged_user() -> None:
    """The user is numeric and set before the volume is declared."""
    assert FINAL.exec_form("ENTRYPOINT") == [NAME]
    assert re.fullmatch(r"([1-9]\d*):\1", FINAL.one("USER"))
    order = [instruction for instruction, _ in FINAL.steps]
    assert max(place for place, name in enumerate(order) if name in {"RUN", "COPY"}) < order.index("USER")
    assert order.index("USER") < order.index("VOLUME")


def test_paths_and_ports_are_those_of_the_program() -> None:
    assert STARTED.command == RUN
    assert STARTED.storage_path == FINAL.one("VOLUME")
    assert STARTED.config_file == Path(FINAL.one("WORKDIR")) / parse([]).config_file, "`check` finds it there"
    assert STARTED.addresses() == (LISTEN_ADDRESS,)
    assert FINAL.one("EXPOSE") == str(parse_address(LISTEN_ADDRESS).port)


def test_healthcheck_command_probes_the_exposed_port() -> None:
    program, *arguments = FINAL.exec_form("HEALTHCHECK")
    assert program == NAME
    assert parse(arguments).command == "healthcheck"
    assert parse(arguments).addresses() == STARTED.addresses()
    timeout = re.search(r"--timeout=(\d+)s", FINAL.one("HEALTHCHECK"))
    assert timeout is not None
    assert int(timeout[1]) > 2 * 5, "two probes of five seconds"


def test_labels_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z]+)="([^"]*)"', FINAL.one("LABEL")))
    assert labels == {
        "title": project["name"],
        "description": project["description"],
        "licenses": project["license"],
        "version": "${VERSION}",
    }
    assert FINAL.one("ARG") == f"VERSION={__version__}"


# --- its commands --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Image:
    """The image's file system below a directory, and how its program starts."""

    root: Path
    path: str
    identity: dict[str, object]

    def rooted(self, line: str) -> str:
        """Return the text with the image's paths below the directory."""
        return re.sub(r"(?<![\w./])/(build|opt|var|etc)\b", rf"{self.root}/\1", line)

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the ENTRYPOINT with arguments like a container engine: exec form, the image's user and directory."""
        return subprocess.Popen(
            [shutil.which(FINAL.exec_form("ENTRYPOINT")[0], path=self.path) or "", *map(self.rooted, arguments)],
            cwd=self.rooted(FINAL.one("WORKDIR")),
            env={"PATH": self.path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **self.identity,  # type: ignore[call-overload]
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the program; return its exit code, output and errors."""
        process = self.spawn(*arguments)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def files(self) -> dict[str, float]:
        """Return every path outside of the volume, with its mtime."""
        volume = self.rooted(FINAL.one("VOLUME"))
        paths = [path for path in self.root.rglob("*") if not str(path).startswith(volume)]
        return {str(path): path.lstat().st_mtime for path in paths}


def python() -> tuple[str, dict[str, object]]:
    """A bare Python to build on, and the identity to run the program with.

    That is the image's user, if this is root and the user can run a Python; otherwise the user that runs the test.
    """
    user = {"user": UID, "group": GID, "extra_groups": []}
    for candidate in (os.path.realpath(sys.executable), "/usr/bin/python3") if os.geteuid() == 0 else ():
        line = [candidate, "-c", "import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))"]
        with suppress(OSError):
            if subprocess.run(line, check=False, **user).returncode == 0:  # type: ignore[call-overload]
                return candidate, user
    return sys.executable, {}


def build(image: Image, stage: Stage, source: Path) -> None:
    """Execute a stage's COPY, WORKDIR and RUN below the image's directory."""
    here = image.root
    for instruction, line in stage.steps:
        *sources, target = line.split()
        if instruction == "WORKDIR":
            here = Path(image.rooted(line))
            here.mkdir(parents=True)
        elif instruction == "COPY" and sources[0] == "--from=build":
            shutil.copytree(f"{source}{sources[1]}", image.rooted(target), symlinks=True)
        elif instruction == "COPY":
            for path in CONTEXT:
                if any(path == source or path.startswith(f"{source}/") for source in sources):
                    (here / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source / path, here / path)
        elif instruction == "RUN":
            execute(image, line, here)


def execute(image: Image, line: str, folder: Path) -> None:
    """Run a RUN line; skip the tests of the image where packages cannot be downloaded."""
    line = image.rooted(line) if os.geteuid() == 0 else re.sub(r"-o \d+ -g \d+", "", image.rooted(line))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
    ran = subprocess.run(
        ["sh", "-ec", line], cwd=folder, env=environ | {"PATH": image.path}, capture_output=True, text=True, check=False
    )
    if re.search(r"NewConnectionError|NameResolutionError|ConnectTimeoutError", ran.stderr):
        pytest.skip("no package index can be reached from here")
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Yield the image built from the context alone, on a bare Python of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        top.chmod(0o755)  # the image's user must be able to enter
        bare, identity = python()
        subprocess.run([bare, "-m", "venv", top / "python"], check=True)
        built = Image(top / "root", f"{top}/python/bin:{top}/root/opt/{NAME}/bin:/usr/bin:/bin", identity)
        build(built, BUILD, ROOT)
        built.root.rename(top / "build")
        built.root.mkdir()
        build(built, FINAL, top / "build")
        yield built


def configured(image: Image, base_url: str, app: SimulatedApp) -> None:
    text = f"api: {{base_url: '{base_url}'}}\napps:\n  - {{appid: {app.appid}, secret_file: shop}}\n"
    (folder := Path(image.rooted(str(STARTED.config_file.parent)))).mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(text)
    (folder / "shop").write_text(app.secret)
    for name in ("config.yaml", "shop"):
        (folder / name).chmod(0o640)
        if os.geteuid() == 0:
            os.chown(folder / name, 0, GID)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ended_by_sigterm(process: subprocess.Popen[str]) -> tuple[int, float]:
    """Return the exit code, and the seconds until the end."""
    began = time.monotonic()
    process.terminate()
    process.communicate(timeout=10)
    return process.returncode, time.monotonic() - began


def healthy(image: Image, port: int) -> None:
    deadline = time.monotonic() + 60
    while image.run("healthcheck", f"--web.listen-address=:{port}")[0]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_image_has_the_program_but_neither_pip_nor_sources(image: Image) -> None:
    code, output, errors = image.run("--version")
    assert (code, errors) == (0, "")
    assert output.startswith(f"{NAME} {__version__} (Python 3.")
    assert {path.name for path in image.root.iterdir()} == {"opt", "var", "etc"}
    assert list(image.root.rglob("pip*")) == []
    assert shutil.which("pip", path=image.path.partition(":")[0]) is None
    assert list(image.root.rglob("exporter/cli/__pycache__/*.pyc")), "compiled while the root is writable"


def test_wheel_carries_shipped_files_and_declares_no_extras(image: Image) -> None:
    for argument, file in (("--example", "config.example.yaml"), ("--systemd", f"deploy/systemd/{NAME}.service")):
        assert image.run("config", argument) == (0, (ROOT / file).read_text(), "")
    (metadata,) = image.root.rglob("wechat_miniprogram_exporter-*.dist-info/METADATA")
    head = metadata.read_text().partition("\n\n")[0]
    assert "Requires-Dist: h11" in head
    assert [line for line in head.splitlines() if "extra" in line.lower()] == []


def test_check_finds_the_mounted_configuration_by_default(image: Image) -> None:
    configured(image, "https://api.weixin.qq.com", SimulatedApp("wx00000000000000a0", "secret-of-the-app"))
    assert image.run("check") == (0, "SUCCESS: 1 apps\n", "")


def test_demo_is_healthy_writes_nothing_and_stops_on_sigterm(image: Image) -> None:
    before, port = image.files(), free_port()
    process = image.spawn("demo", f"--web.listen-address=:{port}")
    healthy(image, port)
    with urlopen(f"http://127.0.0.1:{port}/docs/alerts", timeout=10) as page:
        assert b'id="wechatminiprogramrefused"' in page.read()
    code, seconds = ended_by_sigterm(process)
    assert code == 0
    assert seconds < 2
    assert image.files() == before
    assert image.run("healthcheck", f"--web.listen-address=:{port}")[0] == 1


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root has process ids to give")
def test_sigterm_stops_it_as_process_1(image: Image) -> None:
    """The kernel delivers to process 1 only signals that it handles."""
    port = free_port()
    identity = [f"--set{kind}={number}" for kind, number in (("uid", UID), ("gid", GID)) if image.identity]
    line = [shutil.which(NAME, path=image.path) or "", "demo", f"--web.listen-address=:{port}"]
    engine = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", *identity, *line],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    healthy(image, port)
    first = int(Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text())
    assert re.search(r"^NSpid:\t\d+\t1$", Path(f"/proc/{first}/status").read_text(), re.MULTILINE)
    began = time.monotonic()
    os.kill(first, signal.SIGTERM)
    assert engine.wait(10) == 0
    assert time.monotonic() - began < 2, "the kernel does not deliver signals without a handler to process 1"


def test_default_command_writes_only_to_the_volume(image: Image) -> None:
    with served([app := SimulatedApp("wx00000000000000a0", "secret-of-the-app")]) as (wechat, base_url):
        configured(image, base_url, app)
        before, port = image.files(), free_port()
        process = image.spawn(*FINAL.exec_form("CMD"), f"--web.listen-address=:{port}")
        healthy(image, port)
        deadline = time.monotonic() + 60
        while sum(call.endpoint == "weekly" for call in wechat.calls) < 8:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ended_by_sigterm(process)[0] == 0
    volume = Path(image.rooted(FINAL.one("VOLUME")))
    assert (volume / "store.sqlite3").stat().st_size
    if os.geteuid() == 0:
        assert {path.stat().st_uid for path in volume.iterdir()} == {image.identity.get("user", 0)}
    assert image.files() == before

"""``deploy/systemd``, compared with the program, checked by systemd-analyze, and its restrictions in use."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from certificates import Authority
from harness import COMMAND, command, marked_hash, running, served

from exporter.cli import EXIT_USAGE
from exporter.cli.flags import NAME, RUN, parse
from exporter.httpd import Limits
from exporter.store.files import DATABASE
from exporter.wechat.simulator import SimulatedApp

if TYPE_CHECKING:
    from systemd import Systemd

FOLDER = Path(__file__).parent.parent / "deploy" / "systemd"
UNIT = FOLDER / f"{NAME}.service"
README = (FOLDER / "README.md").read_text()


def settings(unit: Path) -> list[tuple[str, str]]:
    return [
        (key, value)
        for line in unit.read_text().replace("\\\n", " ").splitlines()
        if "=" in line and not line.startswith("#")
        for key, _, value in [line.partition("=")]
    ]


SETTINGS = settings(UNIT)
ONE = dict(SETTINGS)
"""The last value of each setting."""
PROGRAM, *ARGUMENTS = shlex.split(ONE["ExecStart"].replace("$ARGS", ""))
OPTIONS = parse(ARGUMENTS)
RELOAD = ONE["ExecReload"].split()[1].lstrip("-")
"""A signal."""
CREDENTIALS = Path("/run/credentials") / UNIT.name
FETCH_UNIT = FOLDER / f"{NAME}-fetch.service"
TIMER = FOLDER / f"{NAME}-fetch.timer"
EXAMPLE, WEB_EXAMPLE = (textwrap.dedent(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
CONFIGURATION = yaml.safe_load(EXAMPLE)


def test_unit_starts_the_exporter_with_valid_flags() -> None:
    assert OPTIONS.command == RUN
    assert OPTIONS.config_file.is_absolute()
    assert OPTIONS.storage_path == f"/var/lib/{ONE['StateDirectory']}"
    assert Path(PROGRAM).name == NAME


def test_invalid_configuration_does_not_restart_the_unit(tmp_path: Path) -> None:
    assert ONE["RestartPreventExitStatus"] == str(EXIT_USAGE)
    assert command(tmp_path).returncode == EXIT_USAGE


def test_tasks_max_allows_all_connections_and_requests(tmp_path: Path) -> None:
    too_many = int(ONE["TasksMax"]) - Limits().connections - 32
    (tmp_path / "config.yaml").write_text(json.dumps({"fetch": {"concurrency": too_many}, **CONFIGURATION}))
    assert "fetch.concurrency: " in command(tmp_path, "check").stdout


def test_the_readme_names_the_paths_of_the_unit() -> None:
    credential, _, source = ONE["LoadCredential"].partition(":")
    shop = f"{CREDENTIALS}/{credential}_shop"
    defaults = ONE["EnvironmentFile"].removeprefix("-")
    for path in (str(Path(PROGRAM).parent.parent), str(OPTIONS.config_file), f"{source}/shop", defaults):
        assert path in README, path
    assert [app["secret_file"] for app in CONFIGURATION["apps"]] == [shop]


def test_web_configuration_of_the_readme_loads_as_credentials(tmp_path: Path) -> None:
    """systemd passes the file ``server.key`` of the directory of the credential ``web`` as ``web_server.key``."""
    (credential,) = re.findall(r"LoadCredential=(\w+):/etc/wechat-miniprogram-exporter/web$", README, re.MULTILINE)
    (path,) = re.findall(r"--web\.config\.file=(\S+?)\"", README)
    assert path == f"{CREDENTIALS}/{credential}_web.yml"
    signed = Authority(tmp_path).sign("server", "localhost")
    for file, name in ((signed.cert, "server.crt"), (signed.key, "server.key")):
        file.rename(tmp_path / f"{credential}_{name}").chmod(0o400)
    # Another hash: the documented one has no marker for the search for secrets.
    web = re.sub(r"\$2b\$10\$\S{53}", marked_hash("secret-of-prometheus"), WEB_EXAMPLE)
    (tmp_path / Path(path).name).write_text(web)
    (tmp_path / Path(path).name).chmod(0o400)
    (tmp_path / "config.yaml").write_text("apps: [{appid: wx0123456789abcdef, secret_env: SHOP}]")
    result = command(tmp_path, "check", f"--web.config.file={Path(path).name}", SHOP="secret-of-the-shop")
    assert (result.returncode, result.stdout) == (0, "SUCCESS: 1 apps\n"), result.stderr


# --- the fetch timer -------------------------------------------------------------------------------


def test_fetch_unit_runs_fetch_into_directories_it_may_write(tmp_path: Path) -> None:
    one = dict(settings(FETCH_UNIT))
    program, *arguments = shlex.split(one["ExecStart"])
    options = parse(arguments)
    assert (program, options.command, options.config_file) == (PROGRAM, "fetch", OPTIONS.config_file)
    assert options.storage_path == f"/var/lib/{one['StateDirectory']}"
    assert options.output is not None
    assert str(options.output.parent) == one["ReadWritePaths"]
    for named in (one["ReadWritePaths"], one["SupplementaryGroups"], f"/run/credentials/{FETCH_UNIT.name}"):
        assert named in README, named
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    with served([APP]) as (_, base_url):
        app = {"appid": APP.appid, "secret": APP.secret}
        (tmp_path / "config.yaml").write_text(json.dumps({"api": {"base_url": base_url}, "apps": [app]}))
        places = {one["ReadWritePaths"]: textfiles, str(OPTIONS.config_file.parent): tmp_path, "/var/lib": tmp_path}
        for path, place in places.items():
            arguments = [argument.replace(path, str(place)) for argument in arguments]
        assert command(tmp_path, *arguments).returncode == 0
    (written,) = textfiles.iterdir()
    assert written.name.endswith(".prom")
    assert "wechat_miniprogram_weekly_visitors{" in written.read_text()


def test_fetch_unit_has_the_hardening_of_the_exporter_s() -> None:
    own = {"Type", "EnvironmentFile", "ExecStart", "Description", "StateDirectory", "TasksMax"}
    long_running = {"ExecReload", "Restart", "RestartSec", "RestartPreventExitStatus", "WantedBy"}
    hardening = [(key, value) for key, value in SETTINGS if key not in own | long_running]
    assert [line for line in hardening if line not in settings(FETCH_UNIT)] == []


def test_timer_starts_the_fetch_unit() -> None:
    timer = dict(settings(TIMER))
    assert TIMER.stem == FETCH_UNIT.stem, "without Unit= it starts the unit of its own name"
    assert "Unit" not in timer
    assert timer["WantedBy"] == "timers.target"


# --- systemd-analyze ----------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [UNIT, FETCH_UNIT, TIMER], ids=lambda unit: unit.name)
def test_systemd_verifies_the_unit_without_complaints(systemd: Systemd, tmp_path: Path, unit: Path) -> None:
    for each in (UNIT, FETCH_UNIT, TIMER):
        (tmp_path / each.name).write_text(each.read_text().replace(PROGRAM, COMMAND[0]))
    here = tmp_path / unit.name
    assert complaints(systemd, here) == []
    here.write_text(re.sub(r"^(PrivateTmp|OnCalendar)=", r"\1p=", here.read_text(), flags=re.MULTILINE))
    assert any(re.search("PrivateTmpp|OnCalendarp", line) for line in complaints(systemd, here))


def complaints(systemd: Systemd, unit: Path) -> list[str]:
    """Return the messages about the unit, without those about other units."""
    result = systemd.analyze("verify", "--man=no", str(unit))
    return [line for line in result.stderr.splitlines() if NAME in line]


@pytest.mark.parametrize("unit", [UNIT, FETCH_UNIT], ids=lambda unit: unit.name)
def test_readme_states_the_exposure_level_of_systemd(systemd: Systemd, unit: Path) -> None:
    stated = re.search(
        rf"`systemd-analyze security {unit.stem}` \(systemd (\d+)\) prints an exposure level of ([\d.]+) (\w+)",
        " ".join(README.split()),
    )
    assert stated is not None
    printed = systemd.analyze("security", "--offline=true", "--no-pager", str(unit)).stdout
    computed = re.search(r"Overall exposure level for \S+: ([\d.]+) (\w+)", printed)
    assert computed is not None, printed
    assert computed[2] == stated[3]
    if systemd.version != stated[1]:
        pytest.skip(f"systemd {systemd.version} counts otherwise: {computed[1]}")
    assert computed[1] == stated[2]


# --- in the sandbox ----------------------------------------------------------------------------------

APP = SimulatedApp(CONFIGURATION["apps"][0]["appid"], "secret-of-the-credential")
PROBE = """
import mmap, os, socket
def refused(act):
    try:
        act()
    except (OSError, PermissionError):
        return True
print(*(name for name, act in {
    "write": lambda: open("/etc/written", "w"),
    "execute": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "chown": lambda: os.chown(".", 1, 1),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 1),
    "root": lambda: os.setresuid(1, 1, 1),
    "chroot": lambda: os.chroot("/"),
}.items() if refused(act)))
"""


@dataclass(frozen=True)
class Jail:
    """Runs a program with the unit's mounts and restrictions."""

    folder: Path
    around: tuple[str, ...]
    """The command that runs the program."""
    user: int

    def run(self, *line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.around, *line], capture_output=True, text=True, check=False, timeout=60)


JAIL = """set -eu
mount --make-rprivate /
mkdir -p "$1/etc/wechat-miniprogram-exporter" "$1/run/credentials"
for file in hosts nsswitch.conf ld.so.cache localtime ssl; do
    [ ! -e "/etc/$file" ] || cp -a "/etc/$file" "$1/etc"
done
for place in etc run var/lib; do
    mount --bind "$1/$place" "/$place"
done
mount --bind "$1/given" /etc/wechat-miniprogram-exporter
mount --bind "$1/credentials" /run/credentials
mount --bind /var/lib/wechat-miniprogram-exporter /var/lib/wechat-miniprogram-exporter
for place in /etc/wechat-miniprogram-exporter /etc /run/credentials /run /var/lib /; do
    mount -o remount,bind,ro "$place"
done
unset COVERAGE_PROCESS_CONFIG COVERAGE_PROCESS_START
cd /
shift
exec "$@"
"""


@pytest.fixture
def jail(systemd: Systemd, tmp_path: Path) -> Jail:
    """Return the restrictions of the unit that work without systemd: mounts, capabilities, memory and system calls."""
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("only root can confine a program")
    user = 65534 if all(stat.S_IMODE(path.stat().st_mode) & 1 for path in Path(sys.executable).resolve().parents) else 0
    allowed: set[str] = set()
    for key, value in SETTINGS:
        if key == "SystemCallFilter":
            calls = systemd.calls(value.lstrip("~").split())
            allowed = allowed - calls if value.startswith("~") else allowed | calls
    confinement = {"user": user, "calls": sorted(allowed), "families": ONE["RestrictAddressFamilies"].split()}
    (tmp_path / "confinement.json").write_text(json.dumps(confinement))
    for folder in ("given/secrets", f"credentials/{UNIT.name}", f"var/lib/{NAME}"):
        (tmp_path / folder).mkdir(parents=True)
    os.chown(tmp_path / "var" / "lib" / NAME, user, user)
    confined = (sys.executable, str(Path(__file__).parent / "sandbox.py"), str(tmp_path / "confinement.json"))
    return Jail(tmp_path, ("unshare", "--mount", "sh", "-c", JAIL, "sh", str(tmp_path), *confined), user)


def test_exporter_works_within_the_restrictions_of_the_unit(jail: Jail) -> None:
    """Each restriction is effective."""
    refused = jail.run(sys.executable, "-c", PROBE)
    assert refused.stdout.split() == re.findall(r'^    "(\w+)": lambda', PROBE, re.MULTILINE), refused.stderr
    credential = jail.folder / "credentials" / UNIT.name / "secret_shop"
    credential.write_text(APP.secret)
    os.chown(credential, jail.user, jail.user)
    credential.chmod(0o440)  # with the mode that systemd sets
    with served([APP]) as (_, base_url):
        main = {**CONFIGURATION, "api": {"base_url": base_url}}
        (jail.folder / "given" / "config.yaml").write_text(json.dumps(main))
        with running(jail.folder, *ARGUMENTS, within=jail.around) as exporter:
            samples = exporter.scrape_until(lambda samples: samples.get(("fetches_total", APP.appid, "weekly")) == 9)
            assert samples["up", APP.appid, "weekly"] == 1
            assert samples["exporter_store_up",] == 1
            assert samples["process_start_time_seconds",] == pytest.approx(time.time(), abs=60)
            assert APP.appid in exporter.get("/").text
            exporter.process.send_signal(getattr(signal, f"SIG{RELOAD}"))
            exporter.logged("configuration unchanged")
            began = time.monotonic()
            assert exporter.stop() == 0
            assert time.monotonic() - began < float(ONE["TimeoutStopSec"].removesuffix("s"))
            assert not [line for line in exporter.log if "level=warn" in line or "level=error" in line]
    assert (jail.folder / "var" / "lib" / NAME / DATABASE).stat().st_size > 0

"""The examples and commands of the README and docs/operations.md work as written."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import bcrypt
import pytest
import requests
import yaml
from certificates import Authority
from doc_tables import ROOT
from harness import marked_hash, running
from stores import APPID, HOST, W2, W3, reading

from exporter import alerts, config
from exporter.reports import WEEKLY
from exporter.store import Change, Store
from exporter.store.files import DATABASE

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
READMES = pytest.mark.parametrize("text", [TEXT, CHINESE], ids=["English", "Chinese"])


def blocks_with(word: str, text: str = TEXT) -> list[str]:
    return [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if word in block]


def test_both_readmes_have_the_same_first_commands() -> None:
    english, chinese = (
        [line.partition("#")[0].strip() for line in re.findall(r"^(?:make|wechat|python3).*", text, re.MULTILINE)]
        for text in (TEXT, CHINESE)
    )
    assert chinese == english
    assert english[0] == "make demo"


def test_configurations_of_the_documents_can_be_loaded(tmp_path: Path) -> None:
    documents = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    blocks = [block for text in (TEXT, CHINESE, *documents) for block in blocks_with("appid:", text)]
    assert len(blocks) > 10
    (tmp_path / "secrets").mkdir()
    for name in ("shop", "travel", "token-server", "shop-refresh-token", "function-key"):
        (tmp_path / "secrets" / name).write_text("0123456789abcdef0123456789abcdef")
        (tmp_path / "secrets" / name).chmod(0o600)
    for block in blocks:
        (tmp_path / "config.yaml").write_text(block)
        loaded = config.load(tmp_path / "config.yaml", {})
        assert loaded.apps
        token_files = ("token_file", "component_token_file")
        assert [each for each in loaded.warnings if not each.field.endswith(token_files)] == []


@READMES
def test_prometheus_accepts_the_scrape_configuration(text: str, tmp_path: Path, promtool: str) -> None:
    (block,) = blocks_with("scrape_configs", text)
    content = yaml.safe_load(block)
    assert content["scrape_configs"][0]["job_name"] == "wechat-miniprogram"
    assert content.keys() >= {"rule_files", "alerting"}
    (rules,) = content["rule_files"]
    assert f" > {rules}\n" in text
    (tmp_path / rules).write_text(alerts.render_rules())
    (tmp_path / "prometheus.yml").write_text(block)
    subprocess.run([promtool, "check", "config", tmp_path / "prometheus.yml"], check=True, capture_output=True)


def test_prometheus_accepts_the_configuration_with_tls(tmp_path: Path, promtool: str) -> None:
    Authority(tmp_path, "ca")
    (tmp_path / "password").write_text("example")
    (block,) = blocks_with("scrape_configs", OPERATIONS)
    assert yaml.safe_load(block)["scrape_configs"][0]["job_name"] == "wechat-miniprogram"
    assert yaml.safe_load(block)["scrape_configs"][0]["basic_auth"]["username"] == "prometheus"
    (tmp_path / "prometheus.yml").write_text(block)
    subprocess.run([promtool, "check", "config", tmp_path / "prometheus.yml"], check=True, capture_output=True)


def test_web_configuration_of_the_documentation_works(tmp_path: Path) -> None:
    (block,) = blocks_with("tls_server_config", OPERATIONS)
    (documented,) = re.findall(r"\$2b\$10\$\S{53}", block)
    assert bcrypt.checkpw(b"example", documented.encode())
    # Another password and hash: the documented ones have no marker for the search for secrets.
    block = block.replace(documented, marked_hash("secret-of-prometheus"))
    authority = Authority(tmp_path, "clients")
    authority.sign("server", "localhost", "127.0.0.1").key.chmod(0o600)
    options = re.sub(r"^  # (?=\w+: )", "  ", block, flags=re.MULTILINE)
    client = authority.sign("client", "prometheus.example.com")
    for written_block in {block, options}:
        (tmp_path / "web.yml").write_text(written_block)
        session = requests.Session()
        session.trust_env = False  # without the certificate authorities of this machine
        session.verify, session.cert = str(authority.cert), (str(client.cert), str(client.key))
        session.auth = ("prometheus", "secret-of-prometheus")
        with running(tmp_path, "demo", "--web.config.file=web.yml", session=session) as run:
            assert (run.scheme, run.get().status_code) == ("https", 200)
            session.auth = None
            assert run.get().status_code == 401


def test_documented_commands_back_up_and_restore_the_store(tmp_path: Path) -> None:
    """Those for containers, run without one."""
    (python,) = re.findall(r"CONTAINER (python -c '.*?') >", OPERATIONS)
    (restore,) = re.findall(r"CONTAINER (sh -c '.*?') <", OPERATIONS)
    store = Store(str(tmp_path), HOST, lambda: 0.0)
    store.save([Change(APPID, WEEKLY, reading(W3))])
    back_up = [sys.executable, *shlex.split(python.replace("/var/lib/wechat-miniprogram-exporter", str(tmp_path)))[1:]]
    backup = subprocess.run(back_up, capture_output=True, check=True).stdout
    store.save([Change(APPID, WEEKLY, reading(W2))])
    words = shlex.split(restore.replace("/var/lib/wechat-miniprogram-exporter", str(tmp_path)))
    subprocess.run(words, input=backup, check=True)
    assert stat.S_IMODE((tmp_path / DATABASE).stat().st_mode) == 0o600
    assert Store(str(tmp_path), HOST, lambda: 0.0).read(APPID, WEEKLY, 8).stored == {W3}
    assert store.reopen_if_due()
    assert Store(str(tmp_path), HOST, lambda: 0.0).read(APPID, WEEKLY, 8).stored == {W3, W2}
    store.close()


def test_documented_command_makes_a_valid_hash(tmp_path: Path) -> None:
    (line,) = re.findall(r"/bin/python (-c 'import bcrypt.*')$", OPERATIONS, re.MULTILINE)
    python = [sys.executable, *shlex.split(line)]
    made = subprocess.run(  # without a terminal, the password comes from standard input
        python, input="example\n", capture_output=True, text=True, check=True, start_new_session=True
    )
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{prometheus: {made.stdout.splitlines()[-1]}}}")
    ((user, hashed),) = config.load_web(tmp_path / "web.yml").users
    assert user == "prometheus"
    assert bcrypt.checkpw(b"example", hashed.encode())


def test_contributing_describes_each_dependency() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    text = (ROOT / "CONTRIBUTING.md").read_text().lower()
    for requirement in project["dependencies"]:
        assert re.fullmatch(r"[A-Za-z0-9-]+>=[\d.]+(,<\d+)?", requirement)
        assert f"| `{requirement.partition('>=')[0].lower()}` |" in text
    development = document.get("dependency-groups") or project["optional-dependencies"]
    for requirement in development["dev"]:
        assert re.fullmatch(r"[A-Za-z0-9-]+==[\d.]+", requirement)
        assert requirement.partition("==")[0].removeprefix("types-").lower() in text

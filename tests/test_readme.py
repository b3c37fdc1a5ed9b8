from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import bcrypt
import pytest
import requests
import yaml
from certificates import Authority
from readme_tables import README, TABLES, WAYS_IN_WORDS, written
from rig import running

from exporter import config
from exporter.config.app.way_sections import (
    AUTHORIZER_OPTIONS,
    CLOUD_FUNCTION_OPTIONS,
    CLOUD_HOSTING_OPTIONS,
    HTTP_FUNCTION_OPTIONS,
    TOKEN_URL_OPTIONS,
    WAY_OPTIONS,
)
from exporter.metrics import catalogue
from exporter.reports import REPORTS

if TYPE_CHECKING:
    from pathlib import Path

ROOT = README.parent
TEXT = README.read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_what_the_code_says(name: str) -> None:
    assert TEXT.count(f"<!-- {name} -->") == 1
    assert TABLES[name]() in TEXT, "make readme writes it"


def test_the_whole_readme_is_up_to_date() -> None:
    assert written(TEXT) == TEXT


def test_every_metric_that_is_named_exists() -> None:
    figures = (info for report in REPORTS.values() for info in catalogue.of_report(report))
    known = {info.name for info in (*figures, *catalogue.OF_APPS, *catalogue.OF_EXPORTER)}
    known |= {f"{name}_count" for name in known} | {f"{name}_bucket" for name in known}
    pattern = re.compile(r"wechat_miniprogram_[a-z_]*<figure>[a-z_]*")
    patterns = set(pattern.findall(TEXT + CHINESE))
    assert [each for each in patterns if each.replace("<figure>", "visitors") not in known] == []
    named = set(re.findall(r"wechat_miniprogram_[a-z_]+[a-z]", pattern.sub("", TEXT + CHINESE)))
    assert named <= known
    assert known & named


def test_the_table_of_ways_has_every_option_that_leads_in() -> None:
    named = {option for row in WAYS_IN_WORDS for option in row.split(", ")}
    assert named == set(WAY_OPTIONS)
    inner = {
        *TOKEN_URL_OPTIONS,
        *AUTHORIZER_OPTIONS,
        *CLOUD_FUNCTION_OPTIONS,
        *HTTP_FUNCTION_OPTIONS,
        *CLOUD_HOSTING_OPTIONS,
    }
    assert [option for option in inner if f"`{option}`" not in TABLES["ways"]()] == []


@pytest.mark.parametrize("text", [TEXT, CHINESE], ids=["English", "Chinese"])
def test_every_file_that_is_linked_exists(text: str) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_two_readmes_name_the_same_first_commands() -> None:
    assert CHINESE.count("\nmake demo ") == CHINESE.count("\nmake test ") == 1
    english, chinese = (
        {line.partition("#")[0].strip() for line in re.findall(r"^(?:make|wechat|python3).*", text, re.MULTILINE)}
        for text in (TEXT, CHINESE)
    )
    assert chinese <= english


@pytest.mark.parametrize("text", [TEXT, CHINESE], ids=["English", "Chinese"])
def test_the_first_configuration_of_the_readme_can_be_loaded(text: str, tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "appid:" in block]
    assert blocks
    (tmp_path / "secrets").mkdir()
    for name in ("shop", "travel"):
        (tmp_path / "secrets" / name).write_text("0123456789abcdef0123456789abcdef")
        (tmp_path / "secrets" / name).chmod(0o600)
    for block in blocks:
        (tmp_path / "config.yaml").write_text(block)
        loaded = config.load(tmp_path / "config.yaml", {})
        assert loaded.apps
        assert loaded.warnings == ()


def blocks_with(word: str, text: str = TEXT) -> list[str]:
    return [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if word in block]


def test_the_scrape_configurations_of_the_readme_are_ones_that_prometheus_takes(tmp_path: Path, promtool: str) -> None:
    Authority(tmp_path, "ca")
    (tmp_path / "password").write_text("example")
    plain, secure = blocks_with("scrape_configs")
    for block in (plain, secure):
        assert yaml.safe_load(block)["scrape_configs"][0]["job_name"] == "wechat-miniprogram"
        (tmp_path / "prometheus.yml").write_text(block)
        subprocess.run([promtool, "check", "config", tmp_path / "prometheus.yml"], check=True, capture_output=True)
    assert yaml.safe_load(secure)["scrape_configs"][0]["basic_auth"]["username"] == "prometheus"


@pytest.mark.parametrize("text", [TEXT, CHINESE], ids=["English", "Chinese"])
def test_the_web_configuration_of_the_readme_protects_the_exporter(text: str, tmp_path: Path) -> None:
    (block,) = blocks_with("tls_server_config", text)
    authority = Authority(tmp_path, "clients")
    authority.sign("server", "localhost", "127.0.0.1").key.chmod(0o600)
    options = re.sub(r"^  # (?=\w+: )", "  ", block, flags=re.MULTILINE)
    client = authority.sign("client", "prometheus.example.com")
    for written_block in {block, options}:
        (tmp_path / "web.yml").write_text(written_block)
        session = requests.Session()
        session.trust_env = False  # this machine's own authorities are not asked
        session.verify, session.cert = str(authority.cert), (str(client.cert), str(client.key))
        session.auth = ("prometheus", "example")
        with running(tmp_path, "demo", "--web.config.file=web.yml", session=session) as run:
            assert (run.scheme, run.get().status_code) == ("https", 200)
            session.auth = None
            assert run.get().status_code == 401


def test_the_readme_makes_a_hash_that_the_exporter_takes(tmp_path: Path) -> None:
    (line,) = re.findall(r"/bin/python (-c 'import bcrypt.*')$", TEXT, re.MULTILINE)
    python = [sys.executable, *shlex.split(line)]
    made = subprocess.run(  # without a terminal, the password comes from standard input
        python, input="example\n", capture_output=True, text=True, check=True, start_new_session=True
    )
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{prometheus: {made.stdout.splitlines()[-1]}}}")
    ((user, hashed),) = config.load_web(tmp_path / "web.yml").users
    assert user == "prometheus"
    assert bcrypt.checkpw(b"example", hashed.encode())


def test_every_query_of_the_readme_is_one_that_prometheus_takes(tmp_path: Path, promtool: str) -> None:
    queries = re.findall(r"```promql\n(.*?)```", TEXT, re.DOTALL)
    expressions = [
        expression.strip() for query in queries for expression in re.split(r"^#.*$", query, flags=re.MULTILINE)
    ]
    rules = [{"record": f"readme:query{n}", "expr": text} for n, text in enumerate(filter(None, expressions))]
    assert len(rules) >= 4
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "readme", "rules": rules}]}))
    subprocess.run([promtool, "check", "rules", tmp_path / "rules.yml"], check=True, capture_output=True)


def test_every_dependency_has_its_line_in_contributing() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = document["project"], document["dependency-groups"]
    text = (ROOT / "CONTRIBUTING.md").read_text().lower()
    for requirement in project["dependencies"]:
        assert re.fullmatch(r"[A-Za-z0-9-]+>=[\d.]+(,<\d+)?", requirement)
        assert f"| `{requirement.partition('>=')[0].lower()}` |" in text
    for requirement in groups["dev"]:
        assert re.fullmatch(r"[A-Za-z0-9-]+==[\d.]+", requirement)

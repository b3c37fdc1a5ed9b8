"""``config.example.yaml`` shows every option with its default, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from exporter.config import Api, App, Config, Defaults, Fetch, format_duration, load
from exporter.config.app.access_reader import (
    ACCESS_OPTIONS,
    AUTHORIZER_OPTIONS,
    CLOUD_FUNCTION_OPTIONS,
    CLOUD_HOSTING_OPTIONS,
    HTTP_FUNCTION_OPTIONS,
    TOKEN_URL_OPTIONS,
)
from exporter.config.app.apps import APP_OPTIONS
from exporter.config.load import MAIN_OPTIONS
from exporter.reports import DEFAULT_REPORTS, REPORTS

EXAMPLE = Path(__file__).parents[1] / "config.example.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
SHOWN = yaml.load(TEXT, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but text
COMMENTED = set(re.findall(r"^ *# ([a-z_]+):(?: |$)", TEXT, re.MULTILINE))


def written(value: float | str) -> str:
    return format_duration(value) if isinstance(value, float) and value >= 1 else str(value)


def test_the_example_loads_as_it_is() -> None:
    found = load(EXAMPLE, {})
    assert found.fetch == Fetch()
    assert found.api == Api()
    assert len(found.apps) == 1
    assert not found.broken_files
    assert {warning.field for warning in found.warnings} <= {"apps[0].secret"}


@pytest.mark.parametrize(("section", "values"), [("fetch", Fetch()), ("api", Api())])  # of single values
def test_a_section_shows_every_option_with_its_default(section: str, values: Fetch | Api) -> None:
    expected = {field.name: written(getattr(values, field.name)) for field in fields(values)}
    assert SHOWN[section] == expected


def test_the_defaults_show_every_threshold_with_its_default() -> None:
    assert {field.name for field in fields(Defaults)} == set(SHOWN["defaults"]) == {"alerts"}
    expected = {
        name: {threshold.option: str(threshold.min_ratio) for threshold in report.alert_thresholds}
        for name, report in REPORTS.items()
        if report.alert_thresholds
    }
    assert SHOWN["defaults"]["alerts"] == expected


def test_the_sections_are_those_of_the_types() -> None:
    outcome = {"broken_files", "warnings", "apps_of_files"}
    assert set(SHOWN) == set(MAIN_OPTIONS)
    assert {field.name for field in fields(Config)} - outcome == set(MAIN_OPTIONS)
    assert SHOWN["app_config_files"] == []


def test_app_shows_every_option_and_access_method() -> None:
    """The other access methods are in comments."""
    assert {field.name for field in fields(App)} - {"access"} == set(SHOWN["apps"][0]) - {"secret"}
    assert set(APP_OPTIONS) == set(SHOWN["apps"][0]) | set(ACCESS_OPTIONS)
    assert set(SHOWN["apps"][0]["alerts"]) == set()
    assert SHOWN["apps"][0]["reports"] == SHOWN["reports"] == [report.name for report in DEFAULT_REPORTS]
    assert set(ACCESS_OPTIONS) - {"secret"} | {"app_config_files", "alerts"} <= COMMENTED
    inner = {
        *TOKEN_URL_OPTIONS,
        *AUTHORIZER_OPTIONS,
        *CLOUD_FUNCTION_OPTIONS,
        *HTTP_FUNCTION_OPTIONS,
        *CLOUD_HOSTING_OPTIONS,
    }
    assert [option for option in inner if not re.search(rf"\b{option}\b", TEXT)] == []


def test_every_commented_access_method_can_be_uncommented(tmp_path: Path) -> None:
    block = TEXT[TEXT.index("    # Or another access method") : TEXT.index("    # Alert thresholds of this app")]
    lines = [
        line.replace("    # ", "    ", 1)
        for line in block.splitlines()
        if re.match(r"    # ( |[a-z_]+: |[a-z_]+:$)", line)
    ]
    shown = yaml.safe_load("\n".join(lines))
    assert set(shown) == set(ACCESS_OPTIONS) - {"secret", "secret_file", "secret_env"}
    for name in ("secrets/token-server", "secrets/shop-refresh-token", "secrets/function-key"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    function = shown.pop("cloud_function")
    shown["token_url"].pop("plain_text")
    for number, (access, value) in enumerate(shown.items()):
        extra = {} if access in {"http_function", "cloud_hosting"} else {"cloud_function": function}
        entry = {"appid": f"wx{number:016x}", access: value, **extra}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"apps": [entry]}))
        assert len(load(tmp_path / "config.yaml", {}).apps) == 1


def test_every_option_has_a_comment_of_its_own() -> None:
    lines = TEXT.splitlines()
    alerts = (option for options in SHOWN["defaults"]["alerts"].values() for option in options)
    sections = ("reports", *SHOWN["fetch"], *SHOWN["api"], *alerts)
    for option in (*sections, "name", "secret", "secret_file", "secret_env", "alerts"):
        place = next(number for number, line in enumerate(lines) if re.search(rf"\b{option}: ", line))
        assert lines[place - 1].lstrip().startswith("# "), option

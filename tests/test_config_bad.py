"""Invalid configurations and their exact messages, with libyaml and without."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from config_bad_apps import BAD_APPS
from config_bad_documents import BAD_DOCUMENTS
from config_bad_row import Bad, write
from config_bad_values import BAD_VALUES

from exporter.config import ConfigError, load
from exporter.config.document import documents

APP = "- {appid: wx0123456789abcdef, secret: x}\n"
BAD_FILES = BAD_DOCUMENTS + BAD_VALUES + BAD_APPS


def test_the_table_of_bad_files_is_complete() -> None:
    assert len({bad.name for bad in BAD_FILES}) == len(BAD_FILES)


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda bad: bad.name)
def test_invalid_file_is_rejected_with_the_exact_message(
    bad: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(bad.files, tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(Path("config.yaml"), bad.environ)
    assert str(caught.value).splitlines() == list(bad.expected)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda bad: bad.name)
def test_messages_are_the_same_without_libyaml(bad: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(documents, "_LOADER", yaml.BaseLoader)
    write(bad.files, tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(Path("config.yaml"), bad.environ)
    assert str(caught.value).splitlines() == list(bad.expected)


def test_all_problems_are_reported_at_once_by_file_and_line(tmp_path: Path) -> None:
    app = "- appid: wx0123456789abcdef\n  secret:\n- name: x\n"
    path = write(
        {
            "config.yaml": "api: {zzz: 1}\nfetch: {timeout: 0s}\nbogus:\n"
            f"app_config_files: ['*.yaml']\napps:\n{app}",
            "a.yaml": app,
            "b.yaml": APP + APP,
        },
        tmp_path,
    )
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    places = [(Path(problem.file).name, problem.line) for problem in caught.value.problems]
    assert places == [
        *[("config.yaml", line) for line in (1, 2, 3, 7, 8, 8)],
        *[("a.yaml", line) for line in (1, 2, 3, 3)],
        *[("b.yaml", line) for line in (1, 2)],
    ]

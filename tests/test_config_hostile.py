"""No content of a configuration file exposes a secret or raises anything but ConfigError."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from config_bad_apps import BAD_APPS
from config_bad_documents import BAD_DOCUMENTS
from config_bad_row import MARKER, Bad, write
from config_bad_values import BAD_VALUES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import Config, ConfigError, load
from exporter.config.document import documents

if TYPE_CHECKING:
    from collections.abc import Mapping

LOADERS = (documents._LOADER, yaml.BaseLoader)


def outcome(path: Path, environ: Mapping[str, str]) -> Config | ConfigError:
    try:
        return load(path, environ)
    except ConfigError as error:
        return error


DISGUISES = (
    f"{MARKER}",
    f"'{MARKER}'",
    f'"{MARKER}',
    f'"{MARKER}\\q"',
    f"*{MARKER}",
    f"&{MARKER} {MARKER}",
    f"!{MARKER} {MARKER}",
    f"!{MARKER}!x {MARKER}",
    f"@{MARKER}",
    f"%{MARKER}",
    f"[{MARKER}",
    f"[{MARKER}]",
    f"{{{MARKER}: {MARKER}}}",
    f"{{{MARKER}, {MARKER}}}",
    f"{MARKER}: {MARKER}",
    f"|\n    {MARKER}\n  {MARKER}\n {MARKER}",
    f"{MARKER}\n{MARKER}",
    f"https://{MARKER}:{MARKER}@{MARKER}/{MARKER}",
    f"1h{MARKER}",
)


def mutations(text: str) -> list[str]:
    """Yield the text with the marker, in every encoding, in place of each value in turn and of all at once."""
    places = [match.span(1) for match in re.finditer(r"(?:^- |: )(\S[^,}\]\n]*)", text, re.MULTILINE)]
    changed = []
    for disguise in DISGUISES:
        everywhere = text
        for begin, end in reversed(places):
            changed.append(text[:begin] + disguise + text[end:])
            everywhere = everywhere[:begin] + disguise + everywhere[end:]
        changed.append(everywhere)
    return changed


@pytest.mark.parametrize("bad", BAD_DOCUMENTS + BAD_VALUES + BAD_APPS, ids=lambda bad: bad.name)
def test_messages_contain_no_value_of_the_file(
    bad: Bad,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(bad.files, tmp_path)
    for name, content in bad.files.items():
        if isinstance(content, bytes) or not 0 < len(content) < 2000:
            continue
        for changed in mutations(content):
            (tmp_path / name).write_text(changed)
            found = outcome(Path("config.yaml"), bad.environ)
            text = f"{found!r} {found}"
            if isinstance(found, Config):
                text = re.sub(r"(appid|name)='[^']*'", "", text)  # no secrets: shown on purpose
            assert MARKER not in text, changed
        (tmp_path / name).write_text(content)
    assert MARKER not in caplog.text + "".join(capfd.readouterr())


SNIPPETS = (
    *("apps:", "fetch:", "appid: ", "secret: ", "- ", "? ", ": ", "{", "}", "[", "]", "'", '"', "|\n", ">"),
    *("&a ", "*a", "!", "<<", "#", "%YAML ", "---\n", "...\n", "\\U", "\\ud800", "\n", "  ", "\t", "\u2028"),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=3)), max_size=40).map(
            lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
        ),
    ),
    loader=st.sampled_from(LOADERS),
)
def test_any_file_content_raises_only_a_config_error(
    content: bytes,
    loader: type[yaml.BaseLoader],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "_LOADER", loader)
    path = write({"config.yaml": content}, tmp_path)
    found = outcome(path, {})
    assert isinstance(found, Config) or found.problems

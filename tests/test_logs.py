from __future__ import annotations

import ast
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from harness import running, served
from sources import MODULES

from exporter import logs
from exporter.wechat.simulator import InjectedFault, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    structlog.reset_defaults()


def test_line_has_the_fields_of_prometheus_logs_in_order(stream: io.StringIO) -> None:
    logs.configure("info", "logfmt", stream)
    structlog.get_logger().warning("app failing", appid="wx1", errcode="40164")
    pattern = r'ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z level=warn msg="app failing" appid=wx1 errcode=40164\n'
    assert re.fullmatch(pattern, stream.getvalue())


def test_json_has_the_same_fields(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    structlog.get_logger().info("period published", appid="wx1", name="店")
    line = json.loads(stream.getvalue())
    assert list(line) == ["ts", "level", "msg", "appid", "name"]
    assert (line["level"], line["msg"], line["name"]) == ("info", "period published", "店")


WRITTEN = {"debug": 4, "info": 3, "warn": 2, "error": 1}


@pytest.mark.parametrize(("level", "lines"), WRITTEN.items())
def test_only_lines_of_the_level_or_above_are_written(stream: io.StringIO, level: str, lines: int) -> None:
    logs.configure(level, "logfmt", stream)
    log = structlog.get_logger()
    for write in (log.debug, log.info, log.warning, log.error):
        write("a message")
    assert stream.getvalue().count("\n") == lines


def test_table_of_levels_is_complete() -> None:
    assert tuple(WRITTEN) == logs.LEVELS


HIDDEN = "0123456789abcdef"
LEAKS = [
    f"POST /x?access_token={HIDDEN}&y=1",
    f"https://api.weixin.qq.com/x?access_token={HIDDEN}",
    f"{{'access_token': '{HIDDEN}', 'expires_in': 7200}}",
    f'{{"access_token":"{HIDDEN}"}}',
    f'{{"appid":"wx1","secret":"{HIDDEN}"}}',
    f"SECRET={HIDDEN}",
    f"component_access_token={HIDDEN}",
]


@pytest.mark.parametrize("form", logs.FORMATS)
@pytest.mark.parametrize("text", LEAKS)
def test_tokens_and_secrets_are_redacted_in_every_line(stream: io.StringIO, text: str, form: str) -> None:
    logs.configure("info", form, stream)
    log = structlog.get_logger()
    log.info(text)
    log.info("a message", error=text)
    try:
        raise ValueError(text)  # noqa: TRY301 (it is what is logged)
    except ValueError:
        log.exception("a bug")
    assert HIDDEN not in stream.getvalue()
    assert stream.getvalue().count("<SECRET>") >= 3


HOSTILE = ["a\nlevel=error msg=forged", "a\r\nb", 'a" level=error b="', "a\x1b[31mred", "a\x00b", "a\u2028b", "a=b c"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_stays_one_field_of_one_line(stream: io.StringIO, name: str) -> None:
    logs.configure("info", "logfmt", stream)
    structlog.get_logger().info("a message", name=name)
    assert len(stream.getvalue().splitlines()) == 1
    fields = re.findall(r'(?:^| )(\w+)=(?:"(?:[^"\\]|\\.)*"|[^" ]*)', stream.getvalue())
    assert fields == ["ts", "level", "msg", "name"]
    assert "\x1b" not in stream.getvalue()
    logs.configure("info", "json", stream)
    structlog.get_logger().info("a message", name=name)
    assert set(json.loads(stream.getvalue().splitlines()[-1])) == {"ts", "level", "msg", "name"}


def test_broken_log_stream_is_ignored() -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise ValueError("closed")

    logs.configure("info", "logfmt", Broken())
    structlog.get_logger().info("a message")
    structlog.reset_defaults()


# --- the exporter's own lines ------------------------------------------------------------------------------

GOOD = SimulatedApp("wx00000000000000a0", "secret-of-the-good-app")
BAD = SimulatedApp("wx00000000000000b0", "secret-of-the-bad-app-", faults=(InjectedFault("40164", "stable_token"),))
MUTE = SimulatedApp("wx00000000000000c0", "secret-of-the-mute-app", faults=(InjectedFault("hang"),))
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ ]*)(?: |$)')


def of_logfmt(line: str) -> dict[str, str]:
    fields = FIELD.findall(line)
    assert "".join(f"{name}={value} " for name, value in fields) == f"{line} ", "nothing is between the fields"
    return {name: json.loads(value) if value.startswith('"') else value for name, value in fields}


def of_json(line: str) -> dict[str, str]:
    return {name: str(value) for name, value in json.loads(line).items()}


READERS: dict[str, Callable[[str], dict[str, str]]] = {"logfmt": of_logfmt, "json": of_json}


@pytest.mark.parametrize("form", logs.FORMATS)
def test_run_logs_one_line_per_call_without_its_token(tmp_path: Path, form: str) -> None:
    """Lines at the levels debug, info and warn have the expected fields."""
    assert tuple(READERS) == logs.FORMATS
    with served([GOOD, BAD, MUTE]) as (wechat, base_url):
        entries = [{"appid": app.appid, "secret": app.secret} for app in (GOOD, BAD, MUTE)]
        fetch = {"timeout": "500ms", "history_weeks": 2}
        main = {"api": {"base_url": base_url}, "apps": entries, "fetch": fetch}
        (tmp_path / "config.yaml").write_text(json.dumps(main))
        (tmp_path / "config.yaml").chmod(0o600)
        with running(tmp_path, "--log.level=debug", f"--log.format={form}") as exporter:
            exporter.scrape_until(lambda samples: sum(key[0] == "up" for key in samples) == len(entries))
            exporter.scrape_until(lambda samples: samples["fetches_total", GOOD.appid, "weekly"] == 2)
            exporter.stop()
        tokens = [token.value for token in wechat._tokens]
    lines = [READERS[form](line.removesuffix("\n")) for line in exporter.log]
    assert all(list(line)[:3] == ["ts", "level", "msg"] for line in lines)
    assert {line["level"] for line in lines} == {"debug", "info", "warn"}
    calls = [line for line in lines if line["msg"] in {"api request completed", "api request failed"}]
    assert len(calls) == len(wechat.calls)
    shown = {(line["appid"], line["endpoint"], line.get("errcode", ""), line["msg"]) for line in calls}
    assert shown == {
        (GOOD.appid, "stable_token", "", "api request completed"),
        (GOOD.appid, "weekly", "", "api request completed"),
        (BAD.appid, "stable_token", "40164", "api request completed"),
        (MUTE.appid, "stable_token", "", "api request completed"),
        (MUTE.appid, "weekly", "", "api request failed"),
    }
    assert sorted(line["appid"] for line in lines if line["msg"] == "app failing") == [BAD.appid, MUTE.appid]
    assert len(tokens) == 3
    assert not [token for token in tokens if token in "".join(exporter.log)]


TROUBLESHOOTING = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text()


def texts(node: ast.expr, module: ast.Module) -> list[str]:
    """Return every text that an expression may have, as far as its module defines it."""
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, module), *texts(node.orelse, module)]
    if isinstance(node, ast.Name):
        assigned = [found for found in ast.walk(module) if isinstance(found, ast.Assign)]
        values = (found.value for found in assigned if ast.unparse(found.targets[0]) == node.id)
        return [text for value in values for text in texts(value, module)]
    return [node.value] if isinstance(node, ast.Constant) else []


def messages() -> set[str]:
    """Return every message that the exporter may log, except those of ``debug``."""
    found = set()
    for module in MODULES.values():
        for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func).rpartition(".")
            if name[0].endswith("log") and name[2] in {"info", "warning", "error", "exception"}:
                found |= set(texts(call.args[0], module))
            if name[2] == "log_limited" and "DEBUG" not in ast.unparse(call):
                found |= set(texts(call.args[1], module))
    return found


def test_documentation_lists_every_message() -> None:
    (table,) = re.findall(r"\| `msg` \| .*?(?:\n\n|\Z)", TROUBLESHOOTING, re.DOTALL)
    rows = {name for line in table.strip().splitlines()[2:] for name in line.strip("| ").split(" | ")[0].split("; ")}
    abridged = {name.removesuffix("…") for name in rows if name.endswith("…")}
    assert {name for name in messages() if not name.startswith(tuple(abridged))} == rows - {"…"} - {
        f"{name}…" for name in abridged
    }

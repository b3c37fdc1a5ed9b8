from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import pytest
import structlog

from exporter import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    structlog.reset_defaults()


def test_a_line_has_the_field_names_of_prometheus_own_logs_in_its_order(stream: io.StringIO) -> None:
    logs.configure("info", "logfmt", stream)
    structlog.get_logger().warning("app in trouble", appid="wx1", errcode="40164")
    pattern = r'ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z level=warn msg="app in trouble" appid=wx1 errcode=40164\n'
    assert re.fullmatch(pattern, stream.getvalue())


def test_json_has_the_same_fields(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    structlog.get_logger().info("week published", appid="wx1", name="店")
    line = json.loads(stream.getvalue())
    assert set(line) == {"ts", "level", "msg", "appid", "name"}
    assert (line["level"], line["msg"], line["name"]) == ("info", "week published", "店")


WRITTEN = {"debug": 4, "info": 3, "warn": 2, "error": 1}


@pytest.mark.parametrize(("level", "lines"), WRITTEN.items())
def test_only_lines_of_the_level_or_above_are_written(stream: io.StringIO, level: str, lines: int) -> None:
    logs.configure(level, "logfmt", stream)
    log = structlog.get_logger()
    for write in (log.debug, log.info, log.warning, log.error):
        write("words")
    assert stream.getvalue().count("\n") == lines


def test_the_table_of_levels_is_whole() -> None:
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
def test_the_last_filter_hides_what_looks_like_a_token_or_a_secret(stream: io.StringIO, text: str, form: str) -> None:
    logs.configure("info", form, stream)
    log = structlog.get_logger()
    log.info(text)
    log.info("words", error=text)
    try:
        raise ValueError(text)  # noqa: TRY301 (it is what is logged)
    except ValueError:
        log.exception("a fault")
    assert HIDDEN not in stream.getvalue()
    assert stream.getvalue().count("<SECRET>") >= 3
    assert len(LEAKS) == 7


HOSTILE = ["a\nlevel=error msg=forged", "a\r\nb", 'a" level=error b="', "a\x1b[31mred", "a\x00b", "a\u2028b", "a=b c"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_stays_one_field_of_one_line(stream: io.StringIO, name: str) -> None:
    logs.configure("info", "logfmt", stream)
    structlog.get_logger().info("words", name=name)
    assert len(stream.getvalue().splitlines()) == 1
    fields = re.findall(r'(?:^| )(\w+)=(?:"(?:[^"\\]|\\.)*"|[^" ]*)', stream.getvalue())
    assert fields == ["ts", "level", "msg", "name"]
    assert "\x1b" not in stream.getvalue()
    logs.configure("info", "json", stream)
    structlog.get_logger().info("words", name=name)
    assert set(json.loads(stream.getvalue().splitlines()[-1])) == {"ts", "level", "msg", "name"}
    assert len(HOSTILE) == 7


def test_a_stream_that_breaks_is_not_the_exporters_end() -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise ValueError("closed")

    logs.configure("info", "logfmt", Broken())
    structlog.get_logger().info("words")
    structlog.reset_defaults()

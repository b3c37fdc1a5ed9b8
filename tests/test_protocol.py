from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.logs import redact
from exporter.periods import Week
from exporter.reports import WEEKLY, Unit
from exporter.wechat.codes import (
    CODES,
    WRONG_SECRET,
    Busy,
    Code,
    Failed,
    FetchError,
    NotReady,
    QuotaSpent,
    Refused,
    TokenRejected,
)
from exporter.wechat.messages import ApiResponse
from exporter.wechat.protocol import error_label, parse_report, parse_token, retry_after_seconds

NOW = 1_795_000_000.0
WEEK = Week(date(2018, 11, 19))
RECORDED = (
    '{"list":[{"ref_date":"20181119-20181125","session_cnt":2470,"visit_pv":8913,"visit_uv":754,"visit_uv_new":248,'
    '"stay_time_uv":226.4748,"stay_time_session":69.1344,"visit_depth":1.9798}]}'
)
RECORDED_ZERO = (
    '{"list":[{"ref_date":"20211004-20211010","session_cnt":0,"visit_pv":0,"visit_uv":0,"visit_uv_new":0,'
    '"stay_time_uv":0,"stay_time_session":0,"visit_depth":0}]}'
)


def reply(content: object, status: int = 200, retry_after: str = "") -> ApiResponse:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return ApiResponse(status, body, retry_after)


def rows(**changes: object) -> ApiResponse:
    row = json.loads(RECORDED)["list"][0] | changes
    return reply({"list": [row]})


def test_recorded_response_gives_exactly_its_figures() -> None:
    reading = parse_report(reply(RECORDED.encode()), WEEKLY, WEEK, NOW)
    assert reading.values == (2470, 8913, 754, 248, 226.4748, 69.1344, 1.9798)
    assert reading.period == WEEK
    assert reading.report is WEEKLY


def test_a_week_without_traffic_is_zero_and_not_missing() -> None:
    reading = parse_report(reply(RECORDED_ZERO.encode()), WEEKLY, Week(date(2021, 10, 4)), NOW)
    assert reading.values == (0, 0, 0, 0, 0, 0, 0)


def test_camel_case_row_of_a_cloud_call_gives_the_same_figures() -> None:
    row = json.loads(RECORDED)["list"][0]
    camel = {field.camel: row[field.wechat] for field in WEEKLY.fields} | {"refDate": row["ref_date"]}
    answer = {"list": [camel], "errMsg": "openapi.analysis.getWeeklyVisitTrend:ok"}
    assert set(camel) >= {
        "sessionCnt",
        "visitPv",
        "visitUv",
        "visitUvNew",
        "stayTimeUv",
        "stayTimeSession",
        "visitDepth",
    }
    assert parse_report(reply(answer), WEEKLY, WEEK, NOW) == parse_report(reply(RECORDED.encode()), WEEKLY, WEEK, NOW)


VISITORS = [
    (754, 754),
    (754.0, 754),
    ("754", 754),
    ("754.0", 754),
    (0, 0),
    ("0", 0),
    (None, None),
    (2**53 + 1, 2**53 + 1),
]


@pytest.mark.parametrize(("wire", "value"), VISITORS)
def test_count_may_be_an_integer_float_or_decimal_string(wire: object, value: int | None) -> None:
    reading = parse_report(rows(visit_uv=wire), WEEKLY, WEEK, NOW)
    assert reading.value(WEEKLY.fields[2]) == value
    assert isinstance(reading.value(WEEKLY.fields[2]), int | None)


def test_missing_field_leaves_the_others_intact() -> None:
    row = json.loads(RECORDED)["list"][0]
    del row["stay_time_uv"]
    reading = parse_report(reply({"list": [row]}), WEEKLY, WEEK, NOW)
    assert reading.values == (2470, 8913, 754, 248, None, 69.1344, 1.9798)


@pytest.mark.parametrize("dash", ["-", "–", "—", "~"])
def test_any_dash_is_accepted_in_ref_date(dash: str) -> None:
    assert parse_report(rows(ref_date=f"20181119{dash}20181125"), WEEKLY, WEEK, NOW).period == WEEK


INVALID_RESPONSES: list[tuple[ApiResponse, str]] = [
    (reply(b""), "not JSON"),
    (reply(b"<!doctype html>"), "not JSON"),
    (reply(RECORDED.encode()[:-5]), "not JSON"),
    (reply(b"\xff\xfe"), "not JSON"),
    (reply(b"[" * 100_000), "not JSON"),
    (reply(b'{"list":[{"visit_uv":' + b"9" * 5000 + b"}]}"), "not JSON"),
    (reply(RECORDED.replace("754", "NaN").encode()), "not JSON"),
    (reply(RECORDED.replace("754", "-Infinity").encode()), "not JSON"),
    (reply([]), "not a JSON object"),
    (reply("text"), "not a JSON object"),
    (reply({}), "no list of rows"),
    (reply({"list": None}), "no list of rows"),
    (reply({"list": {"0": 1}}), "no list of rows"),
    (reply({"errcode": 0, "errmsg": "ok"}), "no list of rows"),
    (reply({"errcode": "many"}), "errcode is not a whole number"),
    (reply({"errcode": True}), "errcode is not a whole number"),
    (reply({"errcode": 1.5}), "errcode is not a whole number"),
    (reply({"errcode": 10**4000}), "errcode is not a whole number"),
    (reply({"list": [json.loads(RECORDED)["list"][0]] * 2}), "expected exactly one row"),
    (reply({"list": ["row"]}), "expected exactly one row"),
    (rows(ref_date="20181126-20181202"), "ref_date is not 20181119-20181125"),
    (rows(ref_date="20181119"), "ref_date is not 20181119-20181125"),
    (rows(ref_date=20181119), "ref_date is not 20181119-20181125"),
    (rows(ref_date=None), "ref_date is not 20181119-20181125"),
    (rows(visit_uv=-1), "visit_uv is not a valid number"),
    (rows(visit_uv="many"), "visit_uv is not a valid number"),
    (rows(visit_uv="-1"), "visit_uv is not a valid number"),
    (rows(visit_uv="1e3"), "visit_uv is not a valid number"),
    (rows(visit_uv="٧"), "visit_uv is not a valid number"),
    (rows(visit_uv=True), "visit_uv is not a valid number"),
    (rows(visit_uv=[754]), "visit_uv is not a valid number"),
    (rows(visit_uv=2**63), "visit_uv is not a valid number"),
    (reply(RECORDED.replace("754", "1e400").encode()), "visit_uv is not a valid number"),
    (rows(visit_uv=0.5), "visit_uv is not a whole number"),
    (rows(visit_uv="0.5"), "visit_uv is not a whole number"),
    (reply({"list": [{"ref_date": "20181119-20181125"}]}), "the response has no figures"),
]


@pytest.mark.parametrize(("answer", "message"), INVALID_RESPONSES, ids=range(len(INVALID_RESPONSES)))
def test_invalid_response_is_malformed_with_the_reason(answer: ApiResponse, message: str) -> None:
    with pytest.raises(Failed) as caught:
        parse_report(answer, WEEKLY, WEEK, NOW)
    assert str(caught.value) == f"invalid response from WeChat: {message}"
    assert caught.value.errcode == "malformed"


def test_empty_list_is_not_ready_instead_of_zero() -> None:
    with pytest.raises(NotReady) as caught:
        parse_report(reply({"list": []}), WEEKLY, WEEK, NOW)
    assert caught.value.no_data
    assert caught.value.errcode == ""


DECISIONS: dict[int, tuple[type[FetchError], type[FetchError]]] = {
    # code: (of the weekly call, of the token endpoint)
    -1: (Busy, Failed),
    61503: (NotReady, Failed),
    61504: (Busy, Failed),
    40001: (TokenRejected, Refused),
    40014: (TokenRejected, Refused),
    42001: (TokenRejected, Refused),
    41001: (Failed, Failed),
    45009: (QuotaSpent, QuotaSpent),
    45011: (QuotaSpent, QuotaSpent),
    40002: (Refused, Refused),
    40013: (Refused, Refused),
    40125: (Refused, Refused),
    41002: (Refused, Refused),
    41004: (Refused, Refused),
    40164: (Refused, Refused),
    40243: (Refused, Refused),
    48001: (Refused, Refused),
    48004: (Refused, Refused),
    50002: (Refused, Refused),
    50004: (Refused, Refused),
    61004: (Refused, Refused),
    61007: (Refused, Refused),
    61500: (Failed, Failed),
    61501: (Failed, Failed),
    61502: (Refused, Refused),
    43002: (Failed, Failed),
    44002: (Failed, Failed),
    47001: (Failed, Failed),
    -1000: (Failed, Failed),
    40101: (Refused, Refused),
    85088: (Refused, Refused),
    -604101: (Refused, Refused),
    89501: (Refused, Refused),
    89503: (Refused, Refused),
    89506: (Refused, Refused),
    89507: (Refused, Refused),
    99999: (Failed, Failed),
}


@pytest.mark.parametrize(("number", "decisions"), DECISIONS.items())
def test_every_errcode_has_its_error_class(number: int, decisions: tuple[type[FetchError], type[FetchError]]) -> None:
    answer = reply({"errcode": number, "errmsg": "message rid: 5f5e1000-0-0"})
    with pytest.raises(FetchError) as weekly:
        parse_report(answer, WEEKLY, WEEK, NOW)
    with pytest.raises(FetchError) as token:
        parse_token(answer, NOW)
    assert (type(weekly.value), type(token.value)) == decisions
    label = str(number) if number in CODES else "other"
    assert {weekly.value.errcode, token.value.errcode, error_label(answer)} == {label}
    assert str(number) in str(weekly.value)


def test_table_of_decisions_has_every_code_and_an_unknown_one() -> None:
    assert set(DECISIONS) - {99999} == set(CODES)
    assert len(CODES) == 36


def test_the_message_of_40164_names_the_address_to_allow() -> None:
    errmsg = "invalid ip 8.149.1.2 ipv6 ::ffff:8.149.1.2, not in whitelist rid: 5f5e1000-0-0"
    with pytest.raises(Refused, match=r"add 8\.149\.1\.2 to the app's IP allow list"):
        parse_token(reply({"errcode": 40164, "errmsg": errmsg}), NOW)


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: str(code.number))
def test_advice_of_errcodes_is_not_redacted_in_the_log(code: Code) -> None:
    message = {"error": f"{code.errmsg}: {code.advice} {WRONG_SECRET}"}
    assert redact(None, "", dict(message)) == message


def test_errcode_may_be_a_string() -> None:
    with pytest.raises(QuotaSpent):
        parse_report(reply({"errcode": "45009", "errmsg": ""}), WEEKLY, WEEK, NOW)


def test_errmsg_cannot_forge_or_flood_log_lines() -> None:
    with pytest.raises(Failed) as caught:
        parse_report(reply({"errcode": 1, "errmsg": "a\nb\x1b[31m" + "x" * 5000}), WEEKLY, WEEK, NOW)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


STATUSES = [(400, "http_4xx"), (404, "http_4xx"), (429, "http_4xx"), (500, "http_5xx"), (502, "http_5xx")]
STATUSES += [(204, "malformed"), (302, "malformed"), (101, "malformed")]


@pytest.mark.parametrize(("status", "label"), STATUSES)
def test_status_other_than_200_is_a_failure(status: int, label: str) -> None:
    answer = reply(RECORDED.encode(), status, retry_after="120")
    with pytest.raises(Failed) as caught:
        parse_report(answer, WEEKLY, WEEK, NOW)
    assert caught.value.errcode == label == error_label(answer)
    assert caught.value.retry_after == 120
    assert not caught.value.about_period


RETRY_AFTER = [
    ("120", 120.0),
    (" 7 ", 7.0),
    ("", 0.0),
    ("soon", 0.0),
    ("-5", 0.0),
    ("9" * 400, 9999999999.0),
    ("Wed, 18 Nov 2026 10:27:40 GMT", 60.0),
    ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ("Wed, 99 Oct 2015 07:28:00 GMT", 0.0),
    ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0.0),
    ("Wed, 21 Oct 2015 07:28:00 +99999999999999", 0.0),
]


@pytest.mark.parametrize(("text", "seconds"), RETRY_AFTER)
def test_retry_after_is_parsed_as_seconds_or_a_date(text: str, seconds: float) -> None:
    now = 1_794_997_600.0  # Wed, 18 Nov 2026 10:26:40 GMT
    assert retry_after_seconds(text, now) == seconds


def test_token_has_its_lifetime_in_seconds() -> None:
    token = parse_token(reply({"access_token": "T" * 512, "expires_in": 7200}), NOW)
    assert (token.value, token.expires_in) == ("T" * 512, 7200.0)
    assert "TTT" not in repr(token)


INVALID_TOKENS: list[dict[str, object]] = [
    {},
    {"access_token": ""},
    {"access_token": 5, "expires_in": 7200},
    {"access_token": "a\nb", "expires_in": 7200},
    {"access_token": "T" * 5000, "expires_in": 7200},
    {"access_token": "T"},
    {"access_token": "T", "expires_in": "7200"},
    {"access_token": "T", "expires_in": True},
    {"access_token": "T", "expires_in": 0},
    {"access_token": "T", "expires_in": -1},
]


@pytest.mark.parametrize("answer", INVALID_TOKENS, ids=range(len(INVALID_TOKENS)))
def test_invalid_token_response_is_malformed(answer: dict[str, object]) -> None:
    with pytest.raises(Failed) as caught:
        parse_token(reply(answer), NOW)
    assert caught.value.errcode == "malformed"


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_unanswered(body: bytes) -> None:
    for read in (lambda: parse_report(reply(body), WEEKLY, WEEK, NOW), lambda: parse_token(reply(body), NOW)):
        with pytest.raises(FetchError):
            read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([field.wechat for field in WEEKLY.fields]), JSON)
def test_any_field_value_is_a_figure_or_malformed(name: str, value: object) -> None:
    try:
        reading = parse_report(rows(**{name: value}), WEEKLY, WEEK, NOW)
    except FetchError as reason:
        assert reason.errcode == "malformed"  # noqa: PT017 (either outcome is right)
        return
    for field, figure in zip(WEEKLY.fields, reading.values, strict=True):
        assert figure is None or 0 <= figure < 2**63
        assert figure is None or field.unit is not Unit.COUNT or isinstance(figure, int)

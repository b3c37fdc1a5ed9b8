"""The tables of the documentation that are generated from the code.

A table is written into every Markdown file that has its markers, ``<!-- name -->`` and ``<!-- end -->``. ``make docs``
writes them; ``test_documents`` fails while one is outdated.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.apps import State
from exporter.cli.flags import COMMANDS, _parser, _shared_flags
from exporter.config import Api, Fetch, format_duration
from exporter.metrics import catalogue
from exporter.reports import DEFAULT_REPORTS, PREFIX, REPORTS, WEEKLY
from exporter.wechat.codes import CODES, Busy, Code, Failed, NotReady, QuotaSpent, Refused, TokenRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.reports import Report

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md")))

DECISIONS = {
    NotReady: State.NOT_READY.value,
    Busy: f"{State.NOT_READY.value}, retried sooner",
    TokenRejected: f"retried once with another token; then `{State.REFUSED.value}`",
    QuotaSpent: State.QUOTA_SPENT.value,
    Refused: State.REFUSED.value,
    Failed: State.FAILED.value,
}
ACCESS_METHODS = {
    "secret, secret_file, secret_env": (
        "AppID and AppSecret; the exporter requests a token from `stable_token`",
        "the AppSecret; the exporter's address in the IP allow list, if the app has one",
    ),
    "token_file": ("a token in a file that another program keeps valid; read for every call", "nothing else"),
    "token_url": (
        (
            "a token from a central token server: `url`, `method`, `headers`, `json_field` (dots separate the names of"
            " nested objects) or `plain_text`, `expires_in`"
        ),
        "nothing else",
    ),
    "authorizer": (
        (
            "a token of a third-party platform: `component_appid`, `component_token_file` or `component_token_url`,"
            " `refresh_token_file`"
        ),
        "the app's authorization with permission set 18 (or 21); the exporter's address in the platform's IP list",
    ),
    "cloud_function": (
        "a function in the app's cloud environment, called with one of the tokens above: `env` and `name`",
        "cloud development; the function uploaded with its `config.json`",
    ),
    "http_function": (
        "a function behind the HTTP access service: `url`, `headers`",
        "as for `cloud_function`, and a timer that stores each period, and an HTTP path",
    ),
    "cloud_hosting": (
        (
            "calls from inside WeChat Cloud Hosting, without a token; `from_appid` if another account shares the"
            " environment, or `cloudbase_token_file`, read every ten minutes"
        ),
        "the open interface service enabled, and the paths of the reports allowed: "
        + ", ".join(f"`{report.path}`" for report in REPORTS.values()),
    ),
}
THEN_RESTART = "; then [restart or wait](#after-a-change-at-wechat)"
SECONDS = {"interval", "retry_interval", "ready_after", "timeout"}


def table(*rows: tuple[str, ...]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join((head, "|" + "---|" * len(rows[0]), *body))


def reports() -> str:
    """Return the reports that can be configured."""
    return table(
        ("report", "WeChat API", "label", "comparison figures"),
        *(
            (
                f"`{report.name}`" + (" (default)" if report in DEFAULT_REPORTS else ""),
                f"`{report.api}`",
                f"`{report.period.NAME}`",
                ", ".join(f"`{comparison.name}_`" for comparison in report.comparisons),
            )
            for report in REPORTS.values()
        ),
    )


def figures() -> str:
    """Return the figures that all reports share."""
    same = all(report.fields == WEEKLY.fields for report in REPORTS.values())
    assert same, "a report with other figures needs a table of its own"
    return table(
        ("metrics", "WeChat's field", "meaning"),
        *(
            (", ".join(f"`{report.metric(field)}`" for report in REPORTS.values()), f"`{field.wechat}`", field.meaning)
            for field in WEEKLY.fields
        ),
    )


def further_figures() -> str:
    """Return the further metrics of each report, by pattern."""
    return table(("metric", "labels", "meaning"), *(row for report in REPORTS.values() for row in further(report)))


def further(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of a report: comparison figures, derived figures, the end of its period, the calendar."""
    kind = report.period.NAME
    for comparison in report.comparisons:
        only = " (counts only)" if comparison.counts_only else ""
        yield f"`{PREFIX}{comparison.name}_<figure>`", f"appid, {kind}", f"{comparison.description}{only}"
    for derived in report.derived:
        names = [field.metric for field in report.fields if field.wechat in derived.fields]
        labels = ", ".join(("appid", kind, *derived.labels))
        yield f"`{PREFIX}{derived.metric.format('<figure>')}`", labels, f"{derived.description} ({', '.join(names)})"
    named = {catalogue.end_metric(report), *(f"{PREFIX}{fact.metric}" for fact in report.calendar)}
    for info in catalogue.of_report(report):
        if info.name in named:
            yield f"`{info.name}`", ", ".join(info.labels), info.help


def metrics() -> str:
    return table(
        ("metric", "type", "labels", "meaning"),
        *(
            (f"`{info.name}`", info.kind, ", ".join(info.labels), info.help)
            for info in (*catalogue.OF_APPS, *catalogue.OF_EXPORTER)
        ),
    )


def codes() -> str:
    return table(
        ("code", "WeChat's message", "state", "what to do"),
        *(
            (
                str(code.number),
                code.errmsg.format(ip="1.2.3.4"),
                DECISIONS[code.decision],
                code.advice.format(ip="that address") + (THEN_RESTART if is_fixed_at_wechat(code) else ""),
            )
            for code in CODES.values()
        ),
    )


def is_fixed_at_wechat(code: Code) -> bool:
    """Whether the remedy leaves the configuration as it is, so that a reload has nothing to apply."""
    is_for_the_operator = any(text in code.advice for text in ("configuration", "the app's secret", "internal error"))
    return code.decision is Refused and not is_for_the_operator


def commands() -> str:
    return table(
        ("command", "what it does"),
        ("(none)", "run the exporter until SIGINT or SIGTERM"),
        *((f"`{name}`", meaning) for name, meaning in COMMANDS.items()),
    )


def flags() -> str:
    return table(
        ("flag", "meaning"),
        *((f"`{action.option_strings[0]}`", f"{action.help}") for action in _shared_flags()._actions),
    )


def command_flags() -> str:
    """Return the flags that only one command has."""
    shared = {option for action in _shared_flags()._actions for option in action.option_strings}
    (commands,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    return table(
        ("command", "flag", "meaning"),
        *(
            (f"`{name}`", f"`{action.option_strings[0]}`", f"{action.help}")
            for name, parser in commands.choices.items()
            for action in parser._actions
            if not (shared | {"-h"}) & {*action.option_strings}
        ),
    )


def options() -> str:
    rows = [("`reports`", f"`[{', '.join(report.name for report in DEFAULT_REPORTS)}]`")]
    for section, kind in (("fetch", Fetch), ("api", Api)):
        for field in fields(kind):
            default = format_duration(field.default) if field.name in SECONDS else field.default
            rows.append((f"`{section}.{field.name}`", f"`{default}`"))
    for report in REPORTS.values():
        rows += [
            (f"`defaults.alerts.{report.name}.{threshold.option}`", f"`{threshold.min_ratio}`")
            for threshold in report.alert_thresholds
        ]
    return table(("option", "default"), *rows)


def access_methods() -> str:
    return table(
        ("in the configuration", "what it is", "what it needs in WeChat's console"),
        *(
            (", ".join(f"`{option}`" for option in options.split(", ")), what, needs)
            for options, (what, needs) in ACCESS_METHODS.items()
        ),
    )


TABLES = {
    "access methods": access_methods,
    "reports": reports,
    "figures of reports": figures,
    "further figures": further_figures,
    "metrics": metrics,
    "codes": codes,
    "commands": commands,
    "flags": flags,
    "flags of commands": command_flags,
    "options": options,
}


def written(text: str) -> str:
    """Return a document with every table as the code has it now."""
    for name, make in TABLES.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda match, make=make: f"{match[1]}{make()}\n{match[2]}",
            text,
            flags=re.DOTALL,
        )
    return text


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(written(document.read_text()))

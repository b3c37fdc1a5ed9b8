"""The tables of the README, made from the code. ``make readme`` writes them, ``test_readme`` holds them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.apps import State
from exporter.cli.flags import COMMANDS, _shared_flags
from exporter.config import Api, Fetch, duration_words
from exporter.metrics import catalogue
from exporter.reports import DEFAULT_REPORTS, PREFIX, REPORTS, WEEKLY
from exporter.wechat.codes import CODES, Busy, Failed, NotReady, QuotaSpent, Refused, TokenRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.reports import Report

README = Path(__file__).parent.parent / "README.md"

DECISIONS = {
    NotReady: State.NOT_READY.value,
    Busy: f"{State.NOT_READY.value}, retried sooner",
    TokenRejected: f"another token, once; then `{State.REFUSED.value}`",
    QuotaSpent: State.QUOTA_SPENT.value,
    Refused: State.REFUSED.value,
    Failed: State.FAILED.value,
}
WAYS_IN_WORDS = {
    "secret, secret_file, secret_env": (
        "AppID and AppSecret, for a token from `stable_token`",
        "the AppSecret; the exporter's address in the IP allow list, if there is one",
    ),
    "token_file": ("a token that another program keeps valid in a file, read for every call", "nothing more"),
    "token_url": (
        (
            "a central token server: `url`, `method`, `headers`, `json_field` (dots lead into objects) or `plain_text`,"
            " `expires_in`"
        ),
        "nothing more",
    ),
    "authorizer": (
        (
            "a third-party platform: `component_appid`, `component_token_file` or `component_token_url`,"
            " `refresh_token_file`"
        ),
        "the app's authorization with permission set 18 (or 21); the exporter's address in the platform's IP list",
    ),
    "cloud_function": (
        "on top of any of these: a function of the app's cloud environment, `env` and `name`",
        "cloud development; the function uploaded with its `config.json`",
    ),
    "http_function": (
        "a function behind the HTTP access service: `url`, `headers`",
        "the same, a timer that stores each period, and an HTTP path",
    ),
    "cloud_hosting": (
        (
            "from inside WeChat Cloud Hosting, without a token; `from_appid` where another account lends the"
            " environment, or `cloudbase_token_file`, read every ten minutes"
        ),
        "the open interface service switched on, and the paths of the reports allowed: "
        + ", ".join(f"`{report.path}`" for report in REPORTS.values()),
    ),
}
SECONDS = {"interval", "retry_interval", "ready_after", "timeout"}


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join((head, "|" + "---|" * len(rows[0]), *body))


def figures() -> str:
    """The figures that all reports share, then what else each report has, by pattern."""
    same = all(report.fields == WEEKLY.fields for report in REPORTS.values())
    assert same, "a report with other figures needs a table of its own"
    return "\n\n".join(
        (
            table(
                ("metrics", "WeChat's field", "meaning"),
                *(
                    (
                        ", ".join(f"`{report.metric(field)}`" for report in REPORTS.values()),
                        f"`{field.wechat}`",
                        field.meaning,
                    )
                    for field in WEEKLY.fields
                ),
            ),
            "Further values, with the labels of the live period. `<figure>` is the name of a figure: `visitors`.",
            table(("metric", "labels", "meaning"), *(row for report in REPORTS.values() for row in further(report))),
        )
    )


def further(report: Report) -> Iterator[tuple[str, str, str]]:
    """What a report has beside its figures: comparisons, derived figures, the end of its period, the calendar."""
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
        ("code", "WeChat says", "state", "what to do"),
        *(
            (
                str(code.number),
                code.errmsg.format(ip="1.2.3.4"),
                DECISIONS[code.decision],
                code.cure.format(ip="that address"),
            )
            for code in CODES.values()
        ),
    )


def commands() -> str:
    return table(
        ("command", "what it does"),
        ("(none)", "run the exporter until SIGINT or SIGTERM"),
        *((f"`{name}`", words) for name, words in COMMANDS.items()),
    )


def flags() -> str:
    return table(
        ("flag", "meaning"),
        *((f"`{action.option_strings[0]}`", f"{action.help}") for action in _shared_flags()._actions),
    )


def options() -> str:
    rows = [("`reports`", f"`[{', '.join(report.name for report in DEFAULT_REPORTS)}]`")]
    for section, kind in (("fetch", Fetch), ("api", Api)):
        for field in fields(kind):
            default = duration_words(field.default) if field.name in SECONDS else field.default
            rows.append((f"`{section}.{field.name}`", f"`{default}`"))
    for report in REPORTS.values():
        rows += [
            (f"`defaults.alerts.{report.name}.{threshold.option}`", f"`{threshold.min_ratio}`")
            for threshold in report.alert_thresholds
        ]
    return table(("option", "default"), *rows)


def ways() -> str:
    return table(
        ("in the configuration", "what it is", "what it needs in WeChat's console"),
        *(
            (", ".join(f"`{option}`" for option in options.split(", ")), what, needs)
            for options, (what, needs) in WAYS_IN_WORDS.items()
        ),
    )


TABLES = {
    "ways": ways,
    "figures": figures,
    "metrics": metrics,
    "codes": codes,
    "commands": commands,
    "flags": flags,
    "options": options,
}


def written(readme: str) -> str:
    """The README with every table as the code has it now."""
    for name, make in TABLES.items():
        readme = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda match, make=make: f"{match[1]}{make()}\n{match[2]}",
            readme,
            flags=re.DOTALL,
        )
    return readme


if __name__ == "__main__":
    README.write_text(written(README.read_text()))

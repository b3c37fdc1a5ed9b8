"""The tables of the README, made from the code. ``make readme`` writes them, ``test_readme`` holds them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from exporter.cli.flags import COMMANDS, _shared_flags
from exporter.config import Api, Fetch, duration_words
from exporter.metrics import catalogue
from exporter.reports import WEEKLY, Thresholds
from exporter.status import State
from exporter.wechat.codes import CODES, Busy, Failed, NotReady, QuotaSpent, Refused, TokenRejected

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
    "token_file": ("a token that somebody else keeps fresh in a file, read anew for every call", "nothing more"),
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
        "the same, a timer that keeps each week, and an HTTP path",
    ),
    "cloud_hosting": (
        (
            "from inside WeChat Cloud Hosting, without a token; `from_appid` where another account lends the"
            " environment, or `cloudbase_token_file`, read every ten minutes"
        ),
        f"the open interface service switched on, and `{WEEKLY.path}` allowed",
    ),
}
SECONDS = {"interval", "retry_interval", "ready_after", "timeout"}


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join((head, "|" + "---|" * len(rows[0]), *body))


def figures() -> str:
    return table(
        ("metric", "of the week before", "median of the four weeks before", "WeChat's field", "meaning"),
        *(
            (
                *(f"`{name(field)}`" for name in (WEEKLY.metric, WEEKLY.previous_metric, WEEKLY.median_metric)),
                f"`{field.wechat}`",
                field.meaning,
            )
            for field in WEEKLY.fields
        ),
    )


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
    rows = []
    for section, kind in (("fetch", Fetch), ("api", Api), ("defaults.alerts", Thresholds)):
        for field in fields(kind):
            default = duration_words(field.default) if field.name in SECONDS else field.default
            rows.append((f"`{section}.{field.name}`", f"`{default}`"))
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

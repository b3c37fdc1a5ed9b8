"""The tables of the documentation that are generated from the code.

A table is written into every Markdown file that has its markers, ``<!-- name -->`` and ``<!-- end -->``. ``make docs``
writes them; ``test_documents`` fails while one is outdated.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from statuses import EVERY

from exporter.apps import State
from exporter.cli.flags import COMMANDS, _parser, _shared_flags
from exporter.config import Api, Fetch, format_duration
from exporter.metrics import catalogue
from exporter.metrics.families import families
from exporter.reports import DEFAULT_REPORTS, PREFIX, REPORTS
from exporter.reports.dimensions import SOURCE
from exporter.wechat.codes import CODES, Busy, Code, Failed, NotReady, QuotaSpent, Refused, TokenRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.reports import Field, Report

_CHINESE_SOURCES = """
小程序历史列表 搜索 会话 扫一扫二维码 公众号主页 聊天顶部 系统桌面 小程序主页 附近的小程序 其他 模板消息
客服消息 公众号菜单 APP分享 支付完成页 长按识别二维码 相册选取二维码 公众号文章 钱包 卡包 小程序内卡券
其他小程序 其他小程序返回 卡券适用门店列表 搜索框快捷入口 小程序客服消息 公众号下发 系统会话菜单
任务栏-最近使用 长按小程序菜单圆点 连wifi成功页 城市服务 微信广告 其他移动应用 发现入口-我的小程序
任务栏-我的小程序 微信圈子 手机充值 H5 插件 大家在用 发现页 浮窗 附近的人 看一看 朋友圈 企业微信 视频 收藏
微信红包 微信游戏中心 摇一摇 公众号导购消息 识物 小程序订单 小程序直播 群工具 - 群待办 第三方APP - 视频号
"""
"""The names of the entrances in WeChat's documentation from key 1 on; a hyphen where there is none."""
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
    """Return the figures with one value per period; the reports that share one are in one row."""
    names: dict[Field, list[str]] = {}
    for report in REPORTS.values():
        for field in report.plain_fields:
            names.setdefault(field, []).append(f"`{report.metric(field)}`")
    return table(
        ("metrics", "WeChat's field", "meaning"),
        *((", ".join(found), f"`{field.wechat}`", field.meaning) for field, found in names.items()),
    )


def further_figures() -> str:
    """Return the further metrics of each report, by pattern; one that several reports have is there once."""
    rows = dict.fromkeys(row for report in REPORTS.values() for row in further(report))
    return table(("metric", "labels", "meaning"), *rows)


def further(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of a report: comparison figures, derived figures, the end of its period, the calendar."""
    kind = report.period.NAME
    for comparison in report.comparisons:
        names = [field.metric for field in report.plain_fields if comparison.applies_to(field)]
        only = " (counts only)" if comparison.counts_only else f" ({', '.join(names)})" if comparison.fields else ""
        yield f"`{PREFIX}{comparison.name}_<figure>`", f"appid, {kind}", f"{comparison.description}{only}"
    for derived in report.derived:
        found = [field for field in report.fields if field.wechat in derived.fields]
        labels = ", ".join(("appid", (derived.period or report.period).NAME, *derived.labels))
        if all(field.dimension is None for field in found):
            names = [field.metric for field in found]
            text = f"{derived.description} ({', '.join(names)})"
            yield f"`{PREFIX}{derived.metric.format('<figure>')}`", labels, text
            continue
        for field in found:
            name = f"`{PREFIX}{derived.metric.format(field.metric)}`"
            yield name, labels, f"{field.title}: {derived.description} (`{field.wechat}`)"
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


FETCHES_PER_WEEK = {6: 4 * 7, 24: 7}
"""Of one period, by hours of `fetch.interval`, without jitter."""


def costs() -> str:
    """Return the calls and series of each report; ``test_reports_document`` compares them with a running poller."""
    return table(
        ("report", "first start", "per day, `interval: 6h`", "per day, `interval: 24h`", "series per app"),
        *(
            (
                f"`{report.name}`",
                str(report.periods_in_weeks(Fetch().history_weeks)),
                *(f"{calls_per_day(report, hours):.1f}".removesuffix(".0") for hours in FETCHES_PER_WEEK),
                series(report),
            )
            for report in REPORTS.values()
        ),
    )


def calls_per_day(report: Report, hours: int) -> float:
    """Return the calls of a report once its history is complete: of the newest period, and of cohorts that grow."""
    return (FETCHES_PER_WEEK[hours] + max(report.later - 1, 0)) / 7


def series(report: Report) -> str:
    """Return the number of series of one app, and how many more each entrance has."""
    status = replace(EVERY, reports=tuple(of for of in EVERY.reports if of.report is report))
    found = [sample.labels for family in families((report,), [status]) for sample in family.samples]
    unbounded = {field.dimension.label for field in report.fields if field.dimension and not field.dimension.is_bounded}
    by_part = [labels for labels in found if unbounded & labels.keys()]
    metrics = [
        derived
        for derived in report.derived
        for field in report.fields
        if field.wechat in derived.fields and unbounded & {*derived.labels}
    ]
    # The fixture has no lowest week, because of holidays. app_info is not counted: an app has it once.
    named = {sample.name for family in families((report,), [status]) for sample in family.samples}
    missing = [info for info in catalogue.of_report(report) if info.name not in named]
    fixed = len(found) - len(by_part) + len(missing) - 1
    return f"{fixed} + {len(metrics)} for each entrance" if metrics else str(fixed)


def entrances() -> str:
    """Return WeChat's keys of entrances with their names in Chinese and in labels."""
    names = _CHINESE_SOURCES.split()
    return table(
        ("key", "WeChat's name", "label `source`"),
        *((key, names[int(key) - 1], f"`{name}`") for key, name in SOURCE.names.items()),
    )


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
    "costs of reports": costs,
    "entrances": entrances,
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

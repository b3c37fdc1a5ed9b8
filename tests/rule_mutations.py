"""Changes of the rules, and which scenario or case must notice each; test_rule_mutations.py runs them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rule_cases import RULES_TEXT

from exporter.alerts.figures import REPORTED

OUTAGES = "Prometheus is down for six hours again and again, and still knows what was reported"
FORGOTTEN = "what was reported is forgotten after 15 days"
"""Scenarios of test_rule_mutations.py."""


@dataclass(frozen=True)
class Mutation:
    """A change that breaks the rules."""

    noticed_by: str
    before: str
    after: str
    alerts: str = ""
    """Regular expression of the alerts that are changed; all by default."""

    def mutated(self) -> str:
        """Return the changed rules."""
        blocks = re.split(r"(?m)^(?=  - (?:alert|record): )", RULES_TEXT)
        changed = [
            block.replace(self.before, self.after) if re.search(self.alerts, block.partition("\n")[0]) else block
            for block in blocks
        ]
        assert changed != blocks, self
        return "".join(changed)


def weekly(name: str) -> str:
    """Return an operand of the rules about weeks."""
    return f"max by (appid, week) (wechat_miniprogram_{name})"


def daily(name: str) -> str:
    """Return an operand of the rules about days."""
    return f"max by (appid, day) (wechat_miniprogram_{name})"


def holidays(week: str) -> str:
    """Return a clause about public holidays."""
    return f"({weekly(week + '_public_holidays')} > 0)"


def behind(operand: str) -> str:
    """Return the factor by which sessions are judged as the visitors behind them."""
    return f" * {operand.replace('visitors', 'sessions')} / {operand}"


def later(name: str) -> str:
    """Return an operand of the rule about retention."""
    return weekly(name + '_new_visitors{weeks_later="1"}')


def sizes(first: str, second: str) -> str:
    """Return the part of the standard error of two proportions that depends on the sizes of the cohorts."""
    return f"* ({first} + {second})"


NOISE = daily("daily_visitors_noise_ratio")
COHORT, BEFORE = later("weekly_cohort"), later("previous_week_cohort")
POOLED = f"({later('weekly_retained')} + {later('previous_week_retained')}) / ({COHORT} + {BEFORE})"
SIZES = sizes(f"1 / {COHORT}", f"1 / {BEFORE}")
SHARERS = daily("typical_weekday_sharers")
OF_WEEK, OF_DAYS, NO_CAUSE = "the cause of a fall of a week", "the cause of a fall of days", "no cause: "
KNOWN_TYPICAL = f"\n      unless on (appid, week)\n      {weekly('typical_week_visitors')}\n"
LOWEST = f"0.9 * {weekly('lowest_week_visitors')}"
PERIOD_END = "max by (appid, report) (wechat_miniprogram_period_end_timestamp_seconds)"
WEEK_END = PERIOD_END.replace("seconds", 'seconds{report="weekly"}')
OWN = "by its own thresholds"
FIGURES = {
    "a rise": Mutation("half of it", "      < on (appid) group_left ()", "      > on (appid) group_left ()"),
    "a rise of days": Mutation(
        "a drop from a Wednesday", "< on (appid) group_left ()", "> on (appid) group_left ()", "Daily"
    ),
    "one ratio for all apps": Mutation(
        OWN, '(wechat_miniprogram_alert_visitors_min_ratio{report="weekly"})', "(vector(0.7))"
    ),
    "the ratio of days for weeks": Mutation(OWN, 'ratio{report="weekly"}', 'ratio{report="daily"}'),
    "the ratio of weeks for days": Mutation(OWN, 'ratio{report="daily"}', 'ratio{report="weekly"}'),
    "a collapse like a drop": Mutation("half of it", " * 4 / 7", ""),
    "half of a collapse": Mutation("a fall to 300", " * 4 / 7", " * 2 / 7"),
    "a daily collapse like a drop": Mutation("a drop from a Wednesday", " * 8 / 13", ""),
    "half of a daily collapse": Mutation("two days hardly beyond chance", " * 8 / 13", " * 4 / 13"),
    "chance": Mutation("an app of twenty visitors", " > 3)", " > 2)"),
    "more than chance": Mutation("hardly chance", " > 3)", " > 3.5)"),
    "chance of three days": Mutation("three days within chance", " > 3.5)", " > 3)"),
    "more than chance of three days": Mutation("three days hardly beyond chance", " > 3.5)", " > 4)"),
    "chance of two days": Mutation("two days within chance", " > 4)", " > 3)"),
    "more than chance of two days": Mutation("two days hardly beyond chance", " > 4)", " > 5)"),
    "each session is a visitor": Mutation("fewer who come often", behind(weekly("typical_week_visitors")), ""),
    "each session is a visitor, new app": Mutation(
        "fewer who come often in a new app", behind(weekly("previous_week_visitors")), ""
    ),
    "each session of a day is a visitor": Mutation(
        "sessions of few visitors by day", behind(daily('typical_recent_visitors{days="3"}')), ""
    ),
    "averages over few": Mutation(
        "averages of few", f"{weekly('weekly_visitors')} >= 200", f"{weekly('weekly_visitors')} >= 1"
    ),
    "averages over few in the typical week": Mutation(
        "averages of few in the typical week",
        f"{weekly('typical_week_visitors')} >= 200",
        f"{weekly('typical_week_visitors')} >= 0",
    ),
    "averages over few in the previous week": Mutation(
        "averages of few in the previous week",
        f"{weekly('previous_week_visitors')} >= 200",
        f"{weekly('previous_week_visitors')} >= 0",
    ),
    "averages over very many": Mutation("averages of enough", " >= 200", " >= 1500"),
    "holidays this week": Mutation("a holiday", holidays("week"), f"({weekly('week_public_holidays')} > 9)"),
    "holidays before": Mutation(
        "after a holiday, without a typical week",
        holidays("previous_week"),
        f"({weekly('previous_week_public_holidays')} > 9)",
    ),
    "no lowest week": Mutation("hardly lower than the lowest week", LOWEST, LOWEST.replace("0.9", "9")),
    "the lowest week itself": Mutation("hardly lower than the lowest week", LOWEST, LOWEST.removeprefix("0.9 * ")),
    "far below the lowest week": Mutation("lower than the lowest week", LOWEST, LOWEST.replace("0.9", "0.85")),
    "Dropped beside a typical week": Mutation(
        "less than the previous week only", KNOWN_TYPICAL, "\n", "VisitorsDropped"
    ),
    "Collapsed against any week": Mutation("bots for one week", KNOWN_TYPICAL, "\n", "VisitorsCollapsed"),
    "days that vary": Mutation("days that vary much", ">= exp(-2 *", ">= 9 + exp(-2 *"),
    "less than the days vary": Mutation("days that vary much", ">= exp(-2 *", ">= exp(-1 *"),
    "more than the days vary": Mutation("a fall of days that vary much", ">= exp(-2 *", ">= exp(-3 *"),
    "days need not vary": Mutation("days that hardly vary", f"clamp_min({NOISE}, 0.05)", NOISE),
    "days must vary": Mutation("days lower than they vary", f"{NOISE}, 0.05", f"{NOISE}, 0.06"),
    "two days instead of three": Mutation("a drop from a Wednesday", 'days="3"', 'days="2"'),
    "three days instead of two": Mutation("a collapse from a Friday", 'days="2"', 'days="3"'),
    "an alert for each day": Mutation(
        "an event with one better day",
        "max by (appid) (\n        max by (appid, day)",
        "max by (appid, day) (\n        max by (appid, day)",
    ),
    "sums over replicas": Mutation(
        "two replicas", weekly("weekly_visitors"), weekly("weekly_visitors").replace("max", "sum", 1)
    ),
    "thresholds of replicas": Mutation(
        "two replicas",
        "max by (appid) (wechat_miniprogram_alert_visitors",
        "sum by (appid) (wechat_miniprogram_alert_visitors",
    ),
    "no waiting": Mutation("VisitorsBelowNormal fires 30 minutes", "for: 30m", "for: 5m"),
    "not kept firing": Mutation("a gap in the scrapes", "keep_firing_for: 2h", "keep_firing_for: 1m"),
    "kept firing too long": Mutation("revised upwards", "keep_firing_for: 2h", "keep_firing_for: 3h"),
    "days not kept firing": Mutation("one better day", "keep_firing_for: 36h", "keep_firing_for: 12h"),
    "only what fires now": Mutation(
        OUTAGES,
        f"or\n      last_over_time({REPORTED}",
        f"or\n      last_over_time(no{REPORTED}",
    ),
    "forgotten in an outage": Mutation(OUTAGES, "[1d]", "[1h]"),
    "never forgotten": Mutation(FORGOTTEN, " > time() - 15 * 86400", ""),
    "forgotten soon": Mutation(FORGOTTEN, " > time() - 15 * 86400", " > time() - 7 * 86400"),
    "weekly after daily": Mutation(OUTAGES, "> on (appid) max by", "< on (appid) max by"),
    "any daily alert": Mutation(OUTAGES, ', severity="critical"', ""),
    "only a daily alert about the same": Mutation(OUTAGES, '"visitors|new_visitors|sessions"', '"sessions"'),
    "a daily alert about sessions for visitors": Mutation(OUTAGES, 'figure=~"visitors"', 'figure=~".+"'),
    "reported in the week before": Mutation("for an event in the next week", " - 5 * 86400", " - 14 * 86400"),
}
"""By name, changes of the alerts about figures."""
FIGURES |= {
    "retention that rises": Mutation(
        "fewer come back", "< on (appid) group_left ()", "> on (appid) group_left ()", "Retention"
    ),
    "retention two weeks later": Mutation("RetentionDropped fires", 'weeks_later="1"', 'weeks_later="2"'),
    "retention of visitors by the ratio of weeks": Mutation(
        "RetentionDropped fires", '{report="weekly_retention"}', '{report="weekly"}', "Retention"
    ),
    "retention by chance": Mutation("fewer come back by chance", " > 3)", " > 2)", "Retention"),
    "retention beyond chance": Mutation("fewer come back, hardly by chance", " > 3)", " > 3.5)", "Retention"),
    "retention as a count": Mutation("most came back", f"\n      * (1 - {POOLED})", ""),
    "the newest cohort without chance": Mutation("a small cohort after a large one", SIZES, SIZES.replace("1", "0", 1)),
    "the previous cohort without chance": Mutation(
        "a large cohort after a small one", SIZES, sizes(f"1 / {COHORT}", f"0 / {BEFORE}")
    ),
    "a cohort of any size": Mutation("a cohort of few", f"({COHORT} >= 200)", f"({COHORT} >= 1)"),
    "a previous cohort of any size": Mutation("a previous cohort of few", f"({BEFORE} >= 200)", f"({BEFORE} >= 1)"),
    "holidays of the cohort": Mutation(
        "a cohort of a holiday week", holidays("week"), holidays("week").replace("> 0", "> 9"), "Retention"
    ),
    "holidays after the cohort": Mutation(
        "a cohort before a holiday week", holidays("following_week"), holidays("following_week").replace("> 0", "> 9")
    ),
    "shares by chance": Mutation("fewer shares by chance", " > 4)", " > 3.5)", "Shares"),
    "shares beyond chance": Mutation("fewer shares, hardly by chance", " > 4)", " > 4.5)", "Shares"),
    "each share is a sharer": Mutation(
        "fewer shares of few who share much", f" * {daily('typical_weekday_shares')} / {SHARERS}", ""
    ),
    "shares on any day": Mutation(
        "fewer shares on a holiday",
        f"({daily('day_irregular')} > 0)",
        f"({daily('day_irregular')} > 1)",
        "Shares",
    ),
    "an alert for each day of shares": Mutation(
        "SharesDropped fires",
        "max by (appid) (\n        max by (appid, day)",
        "max by (appid, day) (\n        max by (appid, day)",
        "Shares",
    ),
    "entrances of any week": Mutation(
        OF_WEEK, ',week=%q})" $labels.appid $labels.week', '})" $labels.appid', "VisitorsBelow"
    ),
    "entrances of any app": Mutation(OF_WEEK, "{appid=%q,week=%q}", "{appid!=%q,week=%q}", "VisitorsBelow"),
    "the net loss of the entrances": Mutation(OF_WEEK, "/ sum(%[2]s - %[1]s > 0)", "/ sum(%[2]s - %[1]s)"),
    "the entrance with the largest rise": Mutation(OF_WEEK, "topk(1, %[2]s - %[1]s > 0)", "topk(1, %[1]s - %[2]s)"),
    "replicas add up in a cause": Mutation(OF_WEEK, "max by (source)", "sum by (source)"),
    "retention two weeks later in a cause": Mutation(OF_WEEK, r"weeks_later=\"1\"", r"weeks_later=\"2\""),
    "entrances in two days": Mutation(
        OF_DAYS, r"source_sessions{appid=%q,day=%q,days=\"3\"}", r"source_sessions{appid=%q,day=%q,days=\"2\"}"
    ),
    "entrances of any day": Mutation(OF_DAYS, "{appid=%q,day=%q,", "{appid=%q,day!=%q,"),
    "a cause of little": Mutation(NO_CAUSE, " > 0.1 * sum(", " >= 0.1 * sum("),
    "a cause of a rise": Mutation(NO_CAUSE, " and on () (sum(%[2]s - %[1]s) > 0.1 * sum(%[2]s))", ""),
    "few new visitors as a cause": Mutation(NO_CAUSE, ' >= 200)" $labels.appid |', ' >= 1)" $labels.appid |'),
    "few new visitors before as a cause": Mutation(
        NO_CAUSE, ' >= 200)" $labels.appid $week', ' >= 1)" $labels.appid $week'
    ),
}
OPERATIONS = {
    "a cohort is late like a week": Mutation("PeriodLate fires for a cohort", "> 2 * 7 * 86400", "> 7 * 86400"),
    "a week late at Wednesday noon": Mutation("on Tuesday noon", "7 * 86400 + 36", "7 * 86400 + 60"),
    "a day late at once": Mutation("after a day that", "1 * 86400 + 36", "1 * 86400 + 12"),
    "a month late a day later": Mutation("after a month that", "+ 28800) * 86400 + 36", "+ 28800) * 86400 + 60"),
    "late per replica": Mutation(
        "on Tuesday noon", f"time() - {WEEK_END}", f"time() - {WEEK_END.replace('max', 'min')}"
    ),
    "any period will do": Mutation("no period at all", f"\n      unless on (appid, report)\n      {PERIOD_END}", ""),
    "a removed report": Mutation(
        "no period at all",
        "\n      and on (appid, report)\n      max by (appid, report) (wechat_miniprogram_fetches_total)",
        "",
    ),
    "a new report": Mutation("no period at all", "offset 36h", "offset 1h"),
    "a field that there never was": Mutation(
        "FieldMissing", weekly("previous_week_stay_per_visitor_seconds"), weekly("weekly_visitors")
    ),
    "a field of a day": Mutation("FieldMissing", daily("previous_day_visitors"), daily("previous_week_visitors")),
    "a field that is there": Mutation("FieldMissing", daily("daily_sessions"), daily("daily_stay_per_visitor_seconds")),
    "waiting is a refusal": Mutation("Refused", 'state="refused"', 'state=~"refused|pending"'),
    "a refusal for each report": Mutation(
        "Refused",
        "max by (appid) (wechat_miniprogram_fetch_state",
        "max by (appid, report) (wechat_miniprogram_fetch_state",
    ),
    "any state is spent": Mutation("QuotaSpent", 'state="quota_spent"', 'state=~"quota_spent|ok"'),
    "one failure is enough": Mutation("Failed fires after the second", "[1d])) > 1", "[1d])) > 0"),
    "failures of any report": Mutation(
        "Failed fires after the second", "and on (appid, report)\n        max", "and on (appid)\n        max"
    ),
    "failures long ago": Mutation("Failed fires after the second", "[1d]", "[10m]"),
    "half is most": Mutation("for half of the calls", "\n      > 0.5", "\n      >= 0.5"),
    "nearly all": Mutation("all endpoints", "\n      > 0.5", "\n      > 0.7"),
    "two calls are an outage": Mutation("two failing calls", " >= 3)", " >= 1)"),
    "many calls are an outage": Mutation("all endpoints", " >= 3)", " >= 6)"),
    "each endpoint alone": Mutation("all endpoints", "(sum(increase(", "(max(increase("),
    "an outage noticed late": Mutation("WeChatUnreachable fires 15", "for: 5m", "for: 30m"),
    "an outage of days": Mutation("WeChatUnreachable fires 15", "[30m]", "[6h]"),
    "an outage that ends at once": Mutation("WeChatUnreachable fires 15", "keep_firing_for: 7h", "keep_firing_for: 2h"),
    "no target that is down": Mutation("a target that is down", '"} == 0', '"} == 2'),
    "no absent target": Mutation("no target of the job", 'or\n      absent(up{job="wechat-miniprogram"})', ""),
    "a long standstill": Mutation("PollerStalled fires", "> 300", "> 3000"),
    "a short standstill": Mutation("PollerStalled fires", "> 300", "> 0 - 1"),
    "a successful reload": Mutation("ReloadFailed", "successful) == 0", "successful) >= 0"),
    "one invalid file": Mutation("ConfigFileBroken", "(job, instance, file)", "(job, instance)"),
    "a valid file": Mutation("ConfigFileBroken", "config_file_errors) > 0", "config_file_errors) >= 0"),
    "a usable store": Mutation("StoreBroken", "store_up) == 0", "store_up) >= 0"),
    "a known week": Mutation(
        "for days, too", weekly("week_public_holidays"), weekly("week_public_vacations"), "Outdated"
    ),
    "a known day": Mutation("once per report", daily("day_irregular"), daily("day_regular"), "Outdated"),
    "an unknown day": Mutation("for days, too", daily("day_end_timestamp_seconds"), daily("day_start"), "Outdated"),
}
"""By name, changes of the alerts about fetching and the exporter itself."""
MUTATIONS = FIGURES | OPERATIONS

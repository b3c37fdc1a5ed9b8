"""Configurations of the right structure with wrong values, with their exact messages."""

from __future__ import annotations

from config_bad_row import APP, bad

NO_DURATION = (
    "is not a duration; use whole numbers with the units y, w, d, h, m, s, ms, largest first, "
    "such as 90s, 15m, 1h30m or 1d"
)
NO_REPORT = "unknown report; valid reports: weekly, daily, monthly, weekly_retention, daily_sources, daily_summary"
NO_RATIO = "must be a number from 0 (no alert) to 1, such as 0.7"

BAD_VALUES = (
    # reports.
    bad(
        "reports that do not exist",
        "reports: [weekly, hourly, {M}]\napps: [{appid: wx0123456789abcdef, secret: x, reports: [daly]}]\n",
        f"config.yaml:1: reports: {NO_REPORT}",
        f"config.yaml:1: reports: {NO_REPORT}",
        f"config.yaml:2: apps[0].reports: {NO_REPORT}",
    ),
    bad(
        "reports given twice, none, or not as a list",
        "reports: [daily, daily]\napps:\n- {appid: wx0123456789abcdef, secret: '{M}', reports: []}\n"
        "- {appid: wx0123456789abcde0, secret: '{M}', reports: weekly}\n"
        "- {appid: wx0123456789abcde1, secret: '{M}', reports: [[weekly]]}\n",
        "config.yaml:1: reports: daily is listed twice",
        "config.yaml:3: apps[0].reports: is empty; list at least one report, or remove the option",
        "config.yaml:4: apps[1].reports: must be a list, not text",
        "config.yaml:5: apps[2].reports[0]: must be a single value, not a list",
    ),
    # alerts.
    bad(
        "a ratio that is none",
        "defaults:\n  alerts:\n    weekly:\n      visitors_min_ratio: {M}\n      sessions_min_ratio: 1.1\n"
        "      stay_per_visitor_min_ratio: -0.1\n      visit_depth_min_ratio:\n" + APP,
        *(
            f"config.yaml:{line}: defaults.alerts.weekly.{name}_min_ratio: {NO_RATIO}"
            for line, name in enumerate(("visitors", "sessions", "stay_per_visitor", "visit_depth"), start=4)
        ),
    ),
    bad(
        "odd ratios",
        "apps:\n- appid: wx0123456789abcdef\n  secret: x\n  alerts:\n    daily:\n      visitors_min_ratio: .\n"
        "      sessions_min_ratio: 1e-1\n      visits_min_ratio: [0.5]\n      visit_min_ratio: 0.5\n",
        f"config.yaml:6: apps[0].alerts.daily.visitors_min_ratio: {NO_RATIO}",
        f"config.yaml:7: apps[0].alerts.daily.sessions_min_ratio: {NO_RATIO}",
        "config.yaml:8: apps[0].alerts.daily.visits_min_ratio: must be a single value, not a list",
        "config.yaml:9: apps[0].alerts.daily.visit_min_ratio: unknown option; did you mean visits_min_ratio?",
    ),
    bad(
        "alerts that are no mapping, or name no report",
        "defaults: 0.5\napps:\n- {appid: wx0123456789abcdef, secret: '{M}', alerts: 0.5}\n"
        "- {appid: wx0123456789abcde0, secret: x, alerts: {visitors_min_ratio: 0.5}}\n",
        "config.yaml:1: defaults: must be a mapping, not text",
        "config.yaml:3: apps[0].alerts: must be a mapping, not text",
        "config.yaml:4: apps[1].alerts.visitors_min_ratio: unknown option; valid options: weekly, daily, "
        "weekly_retention, daily_summary",
    ),
    # fetch.
    bad(
        "no unit",
        "fetch:\n  interval: 30\n" + APP,
        "config.yaml:2: fetch.interval: has no unit; use a duration such as 90s, 15m or 6h",
    ),
    bad(
        "not a duration",
        "fetch:\n  interval: {M}\n  timeout: 1.5s\n  ready_after: 30m1h\n" + APP,
        f"config.yaml:2: fetch.interval: {NO_DURATION}",
        f"config.yaml:3: fetch.timeout: {NO_DURATION}",
        f"config.yaml:4: fetch.ready_after: {NO_DURATION}",
    ),
    bad(
        "empty durations",
        "fetch:\n  interval:\n  timeout: ''\n  ready_after: null\n" + APP,
        "config.yaml:2: fetch.interval: is empty; use a duration such as 90s, 15m or 6h",
        "config.yaml:3: fetch.timeout: is empty; use a duration such as 90s, 15m or 6h",
        "config.yaml:4: fetch.ready_after: is empty; use a duration such as 90s, 15m or 6h",
    ),
    bad("negative", "fetch:\n  timeout: -1s\n" + APP, "config.yaml:2: fetch.timeout: must not be negative"),
    bad(
        "absurdly long",
        "fetch:\n  timeout: 999999999999999y\n" + APP,
        "config.yaml:2: fetch.timeout: is longer than 292 years",
    ),
    bad(
        "zero",
        "fetch: {interval: 0s, retry_interval: 0, timeout: 0ms}\n" + APP,
        "config.yaml:1: fetch.interval: must be at least 1s",
        "config.yaml:1: fetch.retry_interval: must be at least 1s",
        "config.yaml:1: fetch.timeout: must be at least 100ms",
    ),
    bad(
        "too short",
        "fetch: {interval: 999ms, retry_interval: 500ms, timeout: 99ms}\n" + APP,
        "config.yaml:1: fetch.interval: must be at least 1s",
        "config.yaml:1: fetch.retry_interval: must be at least 1s",
        "config.yaml:1: fetch.timeout: must be at least 100ms",
    ),
    bad(
        "too long",
        "fetch: {interval: 29d, retry_interval: 5w, timeout: 301s, ready_after: 1w}\n" + APP,
        "config.yaml:1: fetch.interval: must be at most 4w",
        "config.yaml:1: fetch.retry_interval: must be at most 4w",
        "config.yaml:1: fetch.ready_after: must be below 1w",
        "config.yaml:1: fetch.timeout: must be at most 5m",
    ),
    bad(
        "retry longer than interval",
        "fetch:\n  interval: 1h\n  retry_interval: 2h\n" + APP,
        "config.yaml:3: fetch.retry_interval: must not be longer than fetch.interval",
    ),
    bad(
        "interval below the default retry",
        "fetch:\n  interval: 10m\n" + APP,
        "config.yaml:2: fetch.interval: is shorter than fetch.retry_interval (default 30m); set both",
    ),
    bad(
        "not whole numbers",
        "fetch:\n  concurrency: {M}\n  history_weeks: 8.5\n" + APP,
        "config.yaml:2: fetch.concurrency: must be a whole number from 1 to 256",
        "config.yaml:3: fetch.history_weeks: must be a whole number from 2 to 520",
    ),
    bad(
        "numbers out of range",
        "fetch:\n  concurrency: 0\n  history_weeks: 1\n" + APP,
        "config.yaml:2: fetch.concurrency: must be a whole number from 1 to 256",
        "config.yaml:3: fetch.history_weeks: must be a whole number from 2 to 520",
    ),
    bad(
        "numbers above range",
        "fetch:\n  concurrency: 257\n  history_weeks: 521\n" + APP,
        "config.yaml:2: fetch.concurrency: must be a whole number from 1 to 256",
        "config.yaml:3: fetch.history_weeks: must be a whole number from 2 to 520",
    ),
    bad(
        "numbers in other notations",
        "fetch:\n  concurrency: 0x8\n  history_weeks: 1_0\n" + APP,
        "config.yaml:2: fetch.concurrency: must be a whole number from 1 to 256",
        "config.yaml:3: fetch.history_weeks: must be a whole number from 2 to 520",
    ),
    # api.
    bad(
        "empty address",
        "api: {base_url: }\n" + APP,
        "config.yaml:1: api.base_url: is empty; remove it to use https://api.weixin.qq.com",
    ),
    bad(
        "plain http",
        "api: {base_url: 'http://{M}.example'}\n" + APP,
        "config.yaml:1: api.base_url: must start with https://; http:// is allowed for loopback only",
    ),
    bad(
        "plain http to a private address",
        "api: {base_url: 'http://10.0.0.1'}\n" + APP,
        "config.yaml:1: api.base_url: must start with https://; http:// is allowed for loopback only",
    ),
    bad(
        "plain http to what begins like loopback",
        "api: {base_url: 'http://127.0.0.1.{M}.example'}\n" + APP,
        "config.yaml:1: api.base_url: must start with https://; http:// is allowed for loopback only",
    ),
    bad(
        "another scheme",
        "api: {base_url: 'ftp://{M}'}\n" + APP,
        "config.yaml:1: api.base_url: must start with https://",
    ),
    bad("no scheme", "api: {base_url: '{M}'}\n" + APP, "config.yaml:1: api.base_url: must start with https://"),
    bad(
        "password in the address",
        "api: {base_url: 'https://user:{M}@api.weixin.qq.com'}\n" + APP,
        "config.yaml:1: api.base_url: must not contain a user name or password",
    ),
    bad(
        "path in the address",
        "api: {base_url: 'https://api.weixin.qq.com/{M}'}\n" + APP,
        "config.yaml:1: api.base_url: must not have a path, query or fragment",
    ),
    bad(
        "query in the address",
        "api: {base_url: 'https://api.weixin.qq.com?{M}'}\n" + APP,
        "config.yaml:1: api.base_url: must not have a path, query or fragment",
    ),
    bad(
        "empty fragment in the address",
        "api: {base_url: 'https://api.weixin.qq.com#'}\n" + APP,
        "config.yaml:1: api.base_url: must not have a path, query or fragment",
    ),
    bad(
        "no host",
        "api: {base_url: 'https://:8443'}\n" + APP,
        "config.yaml:1: api.base_url: has no valid host; use a URL such as https://api.weixin.qq.com",
    ),
    bad(
        "zone in the address",
        "api: {base_url: 'https://[fe80::1%25{M}]'}\n" + APP,
        "config.yaml:1: api.base_url: has no valid host; use a URL such as https://api.weixin.qq.com",
    ),
    bad(
        "bad IPv6",
        "api: {base_url: 'https://[{M}'}\n" + APP,
        "config.yaml:1: api.base_url: is not a URL such as https://api.weixin.qq.com",
    ),
    bad(
        "bad port",
        "api: {base_url: 'https://api.weixin.qq.com:{M}'}\n" + APP,
        "config.yaml:1: api.base_url: the port must be a number from 1 to 65535",
    ),
    bad(
        "port out of range",
        "api: {base_url: 'https://api.weixin.qq.com:65536'}\n" + APP,
        "config.yaml:1: api.base_url: the port must be a number from 1 to 65535",
    ),
    bad(
        "space in the address",
        "api: {base_url: 'https://api.weixin.qq.com {M}'}\n" + APP,
        "config.yaml:1: api.base_url: is not a URL: it contains spaces or characters that a URL cannot have",
    ),
)

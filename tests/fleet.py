"""Four apps, the configuration of an exporter for them, and the figures that it exposes of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness import PREFIX, Samples

from exporter.reports import WEEKLY
from exporter.wechat.simulator import Audience, SimulatedApp

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0
WEEKS = 5
APPS = tuple(
    SimulatedApp(f"wx000000000000000{number}", f"secret-of-app-number-{number}", Audience(1000 * number))
    for number in (1, 2, 3, 4)
)


def write_configuration(folder: Path, base_url: str, apps: tuple[SimulatedApp, ...] = APPS, **fetch: object) -> None:
    """Write a configuration: half of the apps in the main file, half in app files; secrets of three kinds."""
    kinds = []
    for number, app in enumerate(apps):
        match number % 3:
            case 0:
                (folder / f"secret-{number}").write_text(f"{app.secret}\n")
                (folder / f"secret-{number}").chmod(0o600)
                kinds.append({"secret_file": f"{'' if number < 2 else '../'}secret-{number}"})
            case 1:
                kinds.append({"secret_env": f"SECRET_{number}"})
            case _:
                kinds.append({"secret": app.secret})
    entries = [
        {"appid": app.appid, "name": f"App {app.appid[-1]}", **kind} for app, kind in zip(apps, kinds, strict=True)
    ]
    (folder / "apps.d").mkdir(exist_ok=True)
    (folder / "apps.d" / "more.yaml").write_text(json.dumps(entries[2:]))
    main = {
        "fetch": {"history_weeks": WEEKS, "timeout": "2s", **fetch},
        "api": {"base_url": base_url},
        "apps": entries[:2],
        "app_config_files": ["apps.d/*.yaml"] if entries[2:] else [],
    }
    (folder / "config.yaml").write_text(json.dumps(main))
    for file in ("config.yaml", "apps.d/more.yaml"):
        (folder / file).chmod(0o600)


ENVIRON = {"SECRET_1": APPS[1].secret}


def figures(samples: Samples) -> Samples:
    names = {WEEKLY.metric(field) for field in WEEKLY.fields}
    names |= {WEEKLY.comparison_metric(each, field) for field in WEEKLY.fields for each in WEEKLY.comparisons}
    names = {name.removeprefix(PREFIX) for name in names}
    return {key: value for key, value in samples.items() if key[0] in names}

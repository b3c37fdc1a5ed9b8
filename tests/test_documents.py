"""Every Markdown file of the repository: generated tables, links with their anchors, names of metrics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from doc_tables import ACCESS_METHODS, DOCUMENTS, ROOT, TABLES, written

from exporter.config.app.access_reader import (
    ACCESS_OPTIONS,
    AUTHORIZER_OPTIONS,
    CLOUD_FUNCTION_OPTIONS,
    CLOUD_HOSTING_OPTIONS,
    HTTP_FUNCTION_OPTIONS,
    TOKEN_URL_OPTIONS,
)
from exporter.metrics import catalogue
from exporter.reports import REPORTS
from exporter.wechat.simulator.faults import KINDS

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
MARKDOWN = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if not any(part == "node_modules" or part.startswith(".") for part in path.relative_to(ROOT).parts)
]
PAGES = sorted(DOCS.glob("*.md"))
CHINESE = {ROOT / "README.zh-CN.md": ROOT / "README.md"} | {
    page: DOCS / page.name.replace(".zh-CN", "") for page in DOCS.glob("*.zh-CN.md")
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """Return a document without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def headings(path: Path, level: str = "#{1,6}") -> list[str]:
    return re.findall(rf"^{level} +(.+?) *$", prose(path), re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    found: dict[str, int] = {}
    names = set()
    for heading in headings(path):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = found[slug] = found.get(slug, -1) + 1
        names.add(f"{slug}-{number}" if number else slug)
    return names


def links(path: Path) -> list[str]:
    """Return the targets of a document's links and images, those on other hosts left out."""
    text = re.sub(r"`[^`\n]*`", "", prose(path))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def is_dead(path: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = path.parent / file if file else path
    return not target.exists() or bool(anchor and anchor not in anchors(target))


@pytest.mark.parametrize("path", MARKDOWN, ids=named)
def test_links_and_anchors_exist(path: Path) -> None:
    assert [link for link in links(path) if is_dead(path, link)] == []


def test_dead_links_and_anchors_are_found() -> None:
    page = DOCS / "README.md"
    dead = ["missing.md", "metrics.md#no-such-heading", "#no-such-heading"]
    alive = ["metrics.md", "metrics.md#figures", "#states", "../README.md#install"]
    assert [link for link in dead + alive if is_dead(page, link)] == dead
    assert sum(len(links(path)) for path in MARKDOWN) > 100


def test_anchors_follow_the_rules_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b_c`, (d)\n## [Link](x.md) 2.0\n## 告警：低\n## Same\n## Same\n```\n# no heading\n```\n")
    assert anchors(page) == {"a-b_c-d", "link-20", "告警低", "same", "same-1"}


def test_pages_link_to_each_other_without_directories() -> None:
    """The exporter serves them at /docs/NAME, without the directories of the repository."""
    for page in PAGES:
        inside = [link for link in links(page) if (page.parent / link.partition("#")[0]).resolve().parent == DOCS]
        assert [link for link in inside if "/" in link.partition("#")[0]] == [], page


def test_index_links_every_page() -> None:
    linked = {link.partition("#")[0] for link in links(DOCS / "README.md")}
    assert {page.name for page in PAGES} - {"README.md"} <= linked


def test_readme_has_at_most_250_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_generated_tables_are_up_to_date(path: Path) -> None:
    assert written(path.read_text()) == path.read_text(), "make docs writes it"


@pytest.mark.parametrize("name", TABLES)
def test_each_generated_table_is_in_one_document(name: str) -> None:
    assert sum(path.read_text().count(f"<!-- {name} -->\n") for path in DOCUMENTS) == 1
    assert any(TABLES[name]() in path.read_text() for path in DOCUMENTS)


def test_named_metrics_exist() -> None:
    infos = (info for report in REPORTS.values() for info in catalogue.of_report(report))
    known = {info.name for info in (*infos, *catalogue.OF_APPS, *catalogue.OF_EXPORTER)}
    known |= {f"{name}_count" for name in known} | {f"{name}_bucket" for name in known}
    pattern = re.compile(r"wechat_miniprogram_[a-z_]*<figure>[a-z_]*")
    text = "".join(path.read_text() for path in DOCUMENTS)
    patterns = set(pattern.findall(text))
    assert [each for each in patterns if each.replace("<figure>", "visitors") not in known] == []
    names = set(re.findall(r"wechat_miniprogram_[a-z_]+[a-z]", pattern.sub("", text)))
    assert names - known == set()
    assert names


def test_operations_describes_every_fault_of_the_simulator() -> None:
    rows = (DOCS / "operations.md").read_text().partition("| kind | response |")[2]
    assert sorted(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", rows, re.MULTILINE)))) == sorted(KINDS)


def test_access_methods_table_has_every_option() -> None:
    assert {option for row in ACCESS_METHODS for option in row.split(", ")} == set(ACCESS_OPTIONS)
    inner = {
        *TOKEN_URL_OPTIONS,
        *AUTHORIZER_OPTIONS,
        *CLOUD_FUNCTION_OPTIONS,
        *HTTP_FUNCTION_OPTIONS,
        *CLOUD_HOSTING_OPTIONS,
    }
    assert [option for option in inner if f"`{option}`" not in TABLES["access methods"]()] == []


@pytest.mark.parametrize("path", CHINESE, ids=named)
def test_chinese_document_has_the_structure_of_the_english(path: Path) -> None:
    assert len(CHINESE) == 3
    assert len(headings(path, "##")) == len(headings(CHINESE[path], "##"))


@pytest.mark.parametrize("path", CHINESE, ids=named)
def test_chinese_document_names_the_options_of_the_english(path: Path) -> None:
    def options(document: Path) -> set[str]:
        return set(
            re.findall(
                r"`(?:\w+_(?:min_ratio|file|url|appid|env|hosting|function)|/datacube/\w+)`", document.read_text()
            )
        )

    assert options(CHINESE[path]) - options(path) == set()


def test_chinese_alerts_have_the_same_anchors() -> None:
    """An address of the runbook leads to the same alert in both languages."""
    assert headings(DOCS / "alerts.zh-CN.md", "###") == headings(DOCS / "alerts.md", "###")

"""The docs describe everything that exists, and nothing else."""

import argparse
import ast
import configparser
import json
import re
import shlex
import subprocess
from importlib import import_module

import pytest
import yaml
from scrapy.commands import ScrapyCommand
from scrapy.commands.list import Command as ListCommand
from scrapy.settings import Settings, default_settings
from scrapy.spiderloader import SpiderLoader

from coinspider import settings
from coinspider.daemon.api.metrics import metric_labels
from coinspider.daemon.queue import queue_schema
from coinspider.daemon.schedules.schedule import OPTIONS
from coinspider.items import FullCoin
from coinspider.store.migration import OWN_TABLES
from coinspider.store.schema import history_tables, item_table
from docs import hooks
from tests.helpers.needs import program
from tests.helpers.processes import PROJECT, project_files

PAGES = sorted((PROJECT / "docs").glob("*.md"))
DOCUMENTS = [*PAGES, *PROJECT.glob("*.md")]
TEXT = "\n".join(page.read_text() for page in PAGES)
SOURCES = sorted((PROJECT / "coinspider").rglob("*.py"))
SCRAPYD_CONF = configparser.ConfigParser(interpolation=None)
SCRAPYD_CONF.read_string((PROJECT / "scrapyd.conf").read_text())


def strings():
    """Every string constant in the code that is not a docstring or part of another string."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def is_described(name):
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", TEXT)


STRINGS = set(strings())
STATS = sorted(
    text for text in STRINGS
    if re.fullmatch(r"(pagination|coercion|postgres|ratelimit|crawl|http|history|alert)/[a-z_]+",
                    text)
)  # fmt: skip
VARIABLES = sorted(
    set(re.findall(r'(?:environ\.get\(|getenv\(|environ\[|secret\()"([A-Z_]+)"',
                   "\n".join(path.read_text() for path in SOURCES)))
)  # fmt: skip
OWN_SETTINGS = sorted(name for name in vars(settings) if name.isupper())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_in_the_navigation(page):
    assert f": {page.name}\n" in (PROJECT / "mkdocs.yml").read_text()


@pytest.mark.parametrize("name", OWN_SETTINGS)
def test_setting_is_described_in_the_tables(name):
    found = [
        (group, setting)
        for group in hooks.groups()
        for setting in group.settings
        if setting.name == name
    ]
    assert len(found) == 1, "settings.py assigns it once, on a line of its own"
    [(group, setting)] = found
    assert setting.comment or group.comment or hasattr(default_settings, name)


@pytest.mark.parametrize("variable", VARIABLES)
def test_environment_variable_is_described(variable):
    told = {setting.variable for group in hooks.groups() for setting in group.settings}
    assert variable in told or is_described(variable)


@pytest.mark.parametrize("stat", STATS)
def test_stat_is_described(stat):
    assert is_described(stat)


@pytest.mark.parametrize("metric", metric_labels())
def test_metric_is_described(metric):
    assert is_described(metric) or is_described(metric.removeprefix("coinspider_crawl_"))


def command(name):
    return import_module(f"coinspider.commands.{name}").Command()


def options(of):
    parser = argparse.ArgumentParser(conflict_handler="resolve")
    of.settings = Settings()
    of.add_options(parser)
    return {
        option
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    }


COMMANDS = sorted(
    path.stem for path in (PROJECT / "coinspider/commands").glob("*.py") if path.stem != "__init__"
)
SCRAPYS = options(ListCommand()) | {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_described_with_its_options(name):
    assert re.search(rf"scrapy {name}\b", TEXT)
    # Scrapy documents the options of its own commands.
    base = next(c for c in type(command(name)).__mro__ if c.__module__.startswith("scrapy."))
    inherited = SCRAPYS if base is ScrapyCommand else options(base())
    assert not [o for o in options(command(name)) - inherited - SCRAPYS if not is_described(o)]


SPIDERS = SpiderLoader(Settings({"SPIDER_MODULES": settings.SPIDER_MODULES}))


@pytest.mark.parametrize("name", sorted(SPIDERS.list()))
def test_spider_is_described_with_its_arguments(name):
    assert is_described(name)
    declared = getattr(SPIDERS.load(name), "arguments_class", None)
    assert not [f for f in (declared.__struct_fields__ if declared else ())
                if f"`{f}`" not in TEXT]  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_option_of_a_schedule_is_described(option):
    assert f"`{option}`" in (PROJECT / "docs/schedules.md").read_text()


@pytest.mark.parametrize("path", sorted(SCRAPYD_CONF["services"]))
def test_everything_that_scrapyd_serves_is_described(path):
    assert re.search(rf"[/`]{re.escape(path)}\b", TEXT)


FILES = r"[\w./*-]+\.(?:py|md|html|css|conf|service|toml|yml|yaml|txt|tmpl|cfg|json)"


def tables():
    """All that a crawl or scrapyd makes."""
    item_tables = [item_table(FullCoin), *history_tables(FullCoin)]
    queue = re.findall(r"CREATE TABLE (procrastinate_\w+)", queue_schema())
    return {table.name for table in (*OWN_TABLES, *item_tables)} | set(queue)


@pytest.mark.parametrize("table", sorted(tables()))
def test_growth_of_each_table_is_described(table):
    text = (PROJECT / "docs/tables.md").read_text()
    growth = text.partition("## What grows")[2].partition("\n## ")[0]
    assert re.search(rf"^\|[^|]*`{table}`", growth, re.MULTILINE)


def named_files():
    for document in DOCUMENTS:
        if document.name == "CHANGELOG.md":
            continue  # it also names files that no longer exist
        for name in re.findall(rf"`({FILES})`", document.read_text()):
            yield pytest.param(name, id=f"{document.name}:{name}")


OF_USERS = {"scrapyd.local.conf"}


@pytest.mark.parametrize("name", list(named_files()))
def test_named_file_exists(name):
    # Names such as /crawls.json are endpoints.
    is_endpoint = name.strip("/") in SCRAPYD_CONF["services"] or name.endswith(".json")
    places = (PROJECT, PROJECT / "coinspider", PROJECT / "docs")
    assert name in OF_USERS or is_endpoint or any((place / name).exists() for place in places)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_link_leads_to_a_file(document):
    for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", document.read_text()):
        assert (document.parent / link).exists(), link


def blocks(*languages):
    for document in DOCUMENTS:
        found = re.findall(r"^```(\w+)\n(.*?)^```", document.read_text(), re.M | re.S)
        for number, (language, text) in enumerate(found):
            if language in languages:
                yield pytest.param(text, id=f"{document.name}-{number}")


def calls():
    """The commands in shell blocks, split into words."""
    for block in blocks("sh", "bash", "console"):
        text = block.values[0].replace("\\\n", " ")
        for line in text.splitlines():
            for part in re.split(r"&&|\|\||[|;]", re.sub(r"(^|\s)#.*", "", line)):
                yield block.id, part


def words(name):
    for place, part in calls():
        match = re.search(rf"(?:^|[\s/]){name}\s+(.*)", part)
        if match:
            yield pytest.param(shlex.split(match[1]), id=f"{place}: {part.strip()}")


@pytest.mark.parametrize("text", list(blocks("sh", "bash", "console")))
def test_block_for_a_shell_parses(text):
    command = [program("bash"), "-n"]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    assert not done.stderr


@pytest.mark.parametrize("arguments", list(words("scrapy")))
def test_command_in_the_docs_exists_with_its_options(arguments):
    name = arguments[0]
    own = name in COMMANDS
    module = f"coinspider.commands.{name}" if own else f"scrapy.commands.{name}"
    known = options(import_module(module).Command()) | SCRAPYS
    used = {word.split("=")[0] for word in arguments if word.startswith("--")}
    assert used <= known
    if name == "crawl" and arguments[1] not in ("SPIDER", "markets", "things"):
        assert arguments[1] in SPIDERS.list()


@pytest.mark.parametrize("arguments", list(words("make")))
def test_make_has_the_target(arguments):
    targets = re.findall(r"^([\w$()/-]+):", (PROJECT / "Makefile").read_text(), re.M)
    [target] = [word.replace(".venv", "$(VENV)") for word in arguments if "=" not in word] or [
        "help"
    ]
    assert target in targets


@pytest.mark.parametrize("text", list(blocks("python")))
def test_python_in_the_docs_compiles(text):
    compile(text, "docs", "exec")


@pytest.mark.parametrize("text", list(blocks("ini", "yaml", "json")))
def test_configuration_in_the_docs_parses(text):
    parsers = (configparser.ConfigParser().read_string, yaml.safe_load, json.loads)
    problems = []
    for parse in parsers:
        try:
            parse(text)
        except (configparser.Error, yaml.YAMLError, ValueError) as problem:
            problems.append(problem)
    assert len(problems) < len(parsers), problems


def test_no_file_names_the_host_of_a_package_registry():
    """A mirror may be what a machine has: pip and npm know where to look."""
    hosts = [f"{name}.{end}" for name, end in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "com"), ("npmjs", "org"),
        ("deb.debian", "org"),
    )]  # fmt: skip
    texts = {name: (PROJECT / name).read_bytes() for name in project_files()}
    assert texts
    assert [name for name, text in texts.items() if any(h.encode() in text for h in hosts)] == []

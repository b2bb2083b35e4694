"""The help of every command is enough to begin with, and no argument is ignored."""

import argparse
import shlex
from pathlib import Path
from unittest.mock import Mock

import psycopg
import pytest
from scrapy.cmdline import _get_commands_dict
from scrapy.commands import ScrapyHelpFormatter
from scrapy.exceptions import UsageError
from scrapy.utils.project import get_project_settings

from coinspider import installation
from coinspider.crawl.command import one_line_errors
from coinspider.errors import DatabaseError
from coinspider.store.connection import plain_errors
from coinspider.store.transfer import dump

SETTINGS = get_project_settings()
COMMANDS = {
    name: command
    for name, command in _get_commands_dict(SETTINGS, inproject=True).items()
    if type(command).__module__.startswith("coinspider.")
}


@pytest.mark.parametrize(
    ("folder", "called", "name"),
    [
        ("/home/me/project", "/lib/coinspider/daemon/__main__.py", "scrapy"),
        ("/home/me/project", "/bin/coinspider", "coinspider"),
        (None, "/lib/coinspider/daemon/__main__.py", "coinspider"),
        ("/data/demo", "/lib/coinspider/daemon/__main__.py", "coinspider"),
    ],
    ids=["project", "program", "nowhere", "demo of the program"],
)
def test_program_is_called_as_it_has_the_commands(monkeypatch, folder, called, name):
    monkeypatch.setattr(installation, "project_folder", lambda: folder and Path(folder))
    monkeypatch.setattr(installation, "_platform", lambda: Mock(user_data_path=Path("/data")))
    monkeypatch.setattr("sys.argv", [called])
    assert installation.program_name() == name


def parser_of(name):
    """As Scrapy makes it."""
    command = COMMANDS[name]
    command.settings = SETTINGS.copy()
    parser = argparse.ArgumentParser(
        formatter_class=ScrapyHelpFormatter, usage=f"scrapy {name} {command.syntax()}",
        conflict_handler="resolve", description=command.long_desc(),
    )  # fmt: skip
    command.add_options(parser)
    return parser


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_that_can_be_typed(name):
    parser = parser_of(name)
    text = parser.format_help()
    examples = text.partition("Examples\n========\n")[2].partition("\n\n")[0].splitlines()
    assert examples
    for example in examples:
        words = shlex.split(example)
        while "=" in words[0]:  # a variable
            del words[0]
        assert Path(words[0]).name == "scrapy"
        own = parser if words[1] == name else parser_of(words[1])
        given = words[2 : words.index(">")] if ">" in words else words[2:]
        left = own.parse_known_args(given)[1]
        assert name == "psql" or not [word for word in left if word.startswith("-")]
    assert "(default: None)" not in text


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"psql"}))
def test_unknown_option_is_named(name):
    """By all commands alike, before anything is asked for or written; psql names its own."""
    parser, command = parser_of(name), COMMANDS[name]
    opts, args = parser.parse_known_args(["--no-such-option=1"])

    def start():
        command.process_options(args, opts)
        command.run(args, opts)

    with pytest.raises(UsageError, match=r"^no option --no-such-option: (there are|did you)"):
        start()


def test_missing_template_gives_a_status(capsys):
    parser, command = parser_of("genspider"), COMMANDS["genspider"]
    opts, args = parser.parse_known_args(["-t", "nope", "things", "api.example"])
    command.run(args, opts)
    assert command.exitcode == 1
    assert "Unable to find template: nope" in capsys.readouterr().out


@pytest.mark.parametrize("coins", ["0", "-3", "x", "1.5"])
def test_demo_needs_a_coin(coins, capsys):
    with pytest.raises(SystemExit):
        parser_of("demo").parse_known_args(["--coins", coins])
    assert f"{coins} is not a whole number from 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            psycopg.errors.InsufficientPrivilege("permission denied for table crawl"),
            "permission denied for table crawl: GRANT the right to the user of DATABASE_URL",
        ),
        (
            psycopg.OperationalError("server closed\nthe connection"),
            "the database can't be asked: server closed the connection",
        ),
    ],
    ids=["rights", "away"],
)
def test_error_of_the_database_is_one_line_without_the_usage(error, line, capsys):
    with pytest.raises(SystemExit, match="2"), one_line_errors(), plain_errors():
        raise error
    assert capsys.readouterr().err == f"coinspider: {line}\n"


def test_ctrl_c_ends_a_command_without_a_traceback(capsys):
    with pytest.raises(SystemExit, match="130"), one_line_errors():
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""


def test_failed_dump_leaves_no_file_that_looks_like_one(tmp_path):
    file = tmp_path / "coins.dump"
    with pytest.raises(DatabaseError):
        dump("postgresql://me@127.0.0.1:1/coins", file)
    assert not file.exists()


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"psql"}))
def test_value_of_two_dashes_is_kept_by_all_commands(name):
    """``argparse`` makes an empty list of it."""
    opts, _ = parser_of(name).parse_known_args(["--profile=--"])
    assert opts.profile == "--"


def test_value_of_two_dashes_is_checked_as_others_are(capsys):
    with pytest.raises(SystemExit):
        parser_of("coins").parse_known_args(["--limit=--"])
    assert "-- is neither a number nor all" in capsys.readouterr().err

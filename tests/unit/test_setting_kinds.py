"""Each setting is read as people write it, or named in one line."""

import re

import pytest
from scrapy.settings import Settings

from coinspider import settings as project_settings
from coinspider.errors import ConfigurationError
from coinspider.setting_kinds import FLAG, KINDS, NO, YES, check_settings, checked, from_environment
from tests.helpers.processes import PROJECT

FLAGS = [name for name, kind in KINDS.items() if kind is FLAG]


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("text", [*YES, *NO, "Yes", "OFF", " on ", True, False])
def test_flag_is_read_as_people_write_it(name, text):
    settings = Settings({name: text})
    check_settings(settings)
    assert settings.getbool(name) is (str(text).strip().lower() in YES)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("text", ["perhaps", "-1", "nan", "1e999", "٣", "0x1", "1 2"])
def test_what_can_not_be_is_one_line_that_names_the_setting(name, text):
    with pytest.raises(ConfigurationError) as error:
        check_settings(Settings({name: text}))
    assert str(error.value) == f"{name}={text} is not {KINDS[name].allowed}"


@pytest.mark.parametrize("name", KINDS)
def test_default_is_allowed(name):
    value = getattr(project_settings, name, None)
    assert value is None or checked(name, value) == value


def test_environment_is_read_by_the_same_kinds(monkeypatch, capsys):
    for text, value in (("'no'", False), ("", True), ('"ON"', True)):
        monkeypatch.setenv("POSTGRES_ENABLED", text)
        assert from_environment("POSTGRES_ENABLED", True) is value
    monkeypatch.setenv("POSTGRES_ENABLED", "perhaps")
    with pytest.raises(SystemExit, match="2"):
        from_environment("POSTGRES_ENABLED", True)
    assert capsys.readouterr().err == "coinspider: POSTGRES_ENABLED=perhaps is not yes or no\n"


def test_every_setting_of_the_project_that_has_a_number_or_a_flag_has_a_kind():
    text = (PROJECT / "coinspider/settings.py").read_text()
    numbers = re.findall(r"(?m)^([A-Z_]+) = (?:[\d_.]+|True|False)\b", text)
    of_scrapy = {
        "AUTOTHROTTLE_ENABLED", "AUTOTHROTTLE_START_DELAY", "AUTOTHROTTLE_TARGET_CONCURRENCY",
        "CONCURRENT_ITEMS", "DOWNLOAD_DELAY_JITTER", "DOWNLOAD_WARNSIZE", "METAREFRESH_ENABLED",
        "REDIRECT_ENABLED", "REFERER_ENABLED", "SCRAPER_SLOT_MAX_ACTIVE_SIZE", "URLLENGTH_LIMIT",
    }  # fmt: skip
    assert {*numbers} - of_scrapy <= KINDS.keys()

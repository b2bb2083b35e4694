"""Secrets from files."""

import os

import pytest

from coinspider.secrets import forget, secret


@pytest.mark.parametrize(
    ("text", "value"),
    [("key", "key"), ("key\n", "key"), ("key\r\n", "key"), (" k y \n", " k y "), ("", "")],
)
def test_secret_is_the_files_content_without_its_last_newline(tmp_path, monkeypatch, text, value):
    (tmp_path / "secret").write_bytes(text.encode())
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.delenv("KEY", raising=False)
    assert secret("KEY") == value
    monkeypatch.setenv("KEY", "")
    assert secret("KEY") == value


def test_forgotten_secret_is_not_passed_to_other_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", "secret")
    monkeypatch.setenv("OTHER_FILE", str(tmp_path / "secret"))
    forget("KEY", "OTHER", "THIRD")
    assert not {"KEY", "OTHER_FILE"} & os.environ.keys()


def test_the_variable_itself_takes_precedence(monkeypatch):
    monkeypatch.setenv("KEY", "mine")
    monkeypatch.setenv("KEY_FILE", "/none")
    assert secret("KEY") == "mine"


@pytest.mark.parametrize("text", ["'CG-1'", '"CG-1"', " CG-1 "])
def test_quotes_that_a_file_of_variables_leaves_are_no_part_of_it(monkeypatch, text):
    monkeypatch.setenv("TEST_KEY", text)
    assert secret("TEST_KEY") == "CG-1"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_file_that_can_not_be_read_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, content):
    path = tmp_path / "secret"
    if content:
        path.write_bytes(content)
    monkeypatch.setenv("KEY_FILE", str(path))
    monkeypatch.delenv("KEY", raising=False)
    with pytest.raises(SystemExit) as caught:
        secret("KEY")
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"coinspider: KEY_FILE={path} can't be read: ")

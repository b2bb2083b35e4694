"""A ``.env`` file with secrets that other users can read."""

import pytest

from coinspider.secrets import warn_of_open_file


@pytest.mark.parametrize(
    ("text", "mode", "warned"),
    [
        ("COINGECKO_API_KEY=abc", 0o644, True),
        ("# mine\nexport DATABASE_URL = 'postgresql://u:p@h/d'", 0o640, True),
        ("DATABASE_URL=host=db password=p", 0o644, True),
        ("DATABASE_URL=postgresql://u@h:5432/d\nCOINGECKO_PLAN=pro", 0o644, False),
        ("SCRAPYD_PASSWORD=x", 0o604, True),
        ("SCRAPYD_PASSWORD=x", 0o600, False),
        ("API_TOKEN=\nCOINGECKO_PLAN=demo\n", 0o644, False),
    ],
)
def test_secrets_that_others_can_read_cause_a_warning(tmp_path, capsys, text, mode, warned):
    path = tmp_path / ".env"
    path.write_text(text)
    path.chmod(mode)
    warn_of_open_file(path)
    printed = capsys.readouterr().err
    assert (f"chmod 600 {path}" in printed) is warned
    assert "abc" not in printed


def test_missing_file_causes_no_warning(tmp_path, capsys):
    warn_of_open_file(tmp_path / ".env")
    assert capsys.readouterr().err == ""

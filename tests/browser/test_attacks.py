"""What a page of another site can do to a scrapyd through a visitor's browser."""

from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

import pytest
import requests

from tests.helpers.browser import OPTIONS, chromium, click
from tests.helpers.http_server import Handler, Server, running
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

pytestmark = pytest.mark.needs("chromium")
UPLOADS = CONFIGURATION.replace("egg_upload        = no", "egg_upload = yes")
ME = ("me", "s3cret")
# The foreign page has a form, and scripts that send requests.
FORM = """
<form method="post" enctype="multipart/form-data" action="{url}/addversion.json">
<input name="project" value="evil"><input name="version" value="1"></form>
<script>
const data = new DataTransfer(), file = document.createElement("input");
file.type = "file"; file.name = "egg";
data.items.add(new File(["PK"], "evil.egg")); file.files = data.files;
document.forms[0].append(file);
document.forms[0].submit();
</script>
"""
FETCHES = """
async url => {
  const tried = {};
  for (const [name, path, options] of [
    ["read", "/listjobs.json", {}],
    ["send", "/schedule.json", {method: "POST", body: new URLSearchParams({project: "evil"})}],
    ["json", "/cancel.json", {method: "POST", headers: {"Content-Type": "application/json"}}],
    ["credentials", "/listjobs.json", {credentials: "include"}],
  ])
    tried[name] = await fetch(url + path, options).then(a => a.text(), e => "refused");
  return tried;
}
"""
FRAME = '<iframe src="{url}/jobs" onload="document.title = \'loaded\'"></iframe>'


@contextmanager
def foreign_site():
    """A web server whose pages the test writes, in ``pages``."""
    pages = {}

    class Pages(Handler):
        def do_GET(self):
            body = pages.get(self.path, "<title>evil</title>").encode()
            self.send(200, body, {"Content-Type": "text/html"})

    with running(Server(Pages)) as server:
        server.pages = pages
        yield server


@pytest.fixture(scope="module")
def evil():
    with foreign_site() as server:
        yield server


@pytest.fixture(scope="module", params=[False, True], ids=["no password", "password"])
def daemon(request, server_url):
    configuration = UPLOADS if request.param else CONFIGURATION
    login = {"SCRAPYD_USERNAME": "me", "SCRAPYD_PASSWORD": "s3cret"} if request.param else {}
    with ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory(prefix="coinspider-"))
        daemon = Scrapyd(directory, configuration, DATABASE_URL=server_url, **login)
        stack.callback(daemon.start().end)
        daemon.auth = ME if request.param else None
        yield daemon


@pytest.fixture(scope="module")
def browser():
    # An attacker's name that resolves to this machine, as after DNS rebinding.
    OPTIONS.append("--host-resolver-rules=MAP evil.example 127.0.0.1")
    try:
        with chromium() as started:
            yield started
    finally:
        OPTIONS.pop()


@pytest.fixture
def visitor(browser, daemon):
    """A visitor who has scrapyd open, and is logged in if it has a password."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{daemon.url}/jobs")
    if daemon.auth:
        page.get_by_label("Name").fill(ME[0])
        page.get_by_label("Password").fill(ME[1])
        click(page.get_by_role("button"))
    assert page.get_by_role("heading", name="Jobs").is_visible()
    yield context
    context.close()


def projects(daemon):
    answer = requests.get(f"{daemon.url}/listprojects.json", auth=daemon.auth, timeout=120)
    return answer.json()["projects"]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
def test_form_of_a_foreign_page_uploads_nothing(visitor, daemon, evil, name):
    evil.pages["/form"] = FORM.format(url=daemon.url)
    page = visitor.new_page()
    with page.expect_response("**/addversion.json") as caught:
        page.goto(f"{evil.url.replace('127.0.0.1', name)}/form")
    assert caught.value.status == 403
    assert "evil" not in projects(daemon)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
def test_script_of_a_foreign_page_reads_and_sends_nothing(visitor, daemon, evil, name):
    page = visitor.new_page()
    page.goto(evil.url.replace("127.0.0.1", name))
    tried = page.evaluate(FETCHES, daemon.url)
    assert tried == dict.fromkeys(("read", "send", "json", "credentials"), "refused")


def test_rebound_name_reads_nothing(visitor, daemon):
    page = visitor.new_page()
    answer = page.goto(f"http://evil.example:{daemon.port}/listjobs.json")
    assert answer.status == 400
    assert "pending" not in answer.text()


def test_page_is_not_framed(visitor, daemon, evil):
    evil.pages["/frame"] = FRAME.format(url=daemon.url)
    page = visitor.new_page()
    with page.expect_response(f"{daemon.url}/jobs") as caught:
        page.goto(f"{evil.url}/frame")
    assert caught.value.status in (401, 403)
    assert [frame.url for frame in page.frames if "jobs" in frame.url] == []


def test_link_from_a_foreign_page_works_and_keeps_the_login(visitor, daemon, evil):
    evil.pages["/link"] = f'<a href="{daemon.url}/jobs">jobs</a>'
    page = visitor.new_page()
    page.goto(f"{evil.url.replace('127.0.0.1', 'localhost')}/link")
    click(page.get_by_role("link"))
    page.get_by_role("heading", name="Jobs").wait_for()


def test_button_on_its_own_page_works(visitor, daemon):
    job = requests.post(
        f"{daemon.url}/schedule.json", auth=daemon.auth, timeout=120,
        data={"project": "coinspider", "spider": "coins", "vs_currency": "eur"},
    )  # fmt: skip
    assert job.json()["status"] == "ok"
    page = visitor.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{daemon.url}/jobs")
    click(page.get_by_role("button", name="Cancel").first)
    assert page.get_by_text("It was told to stop").is_visible()
    assert "/jobs?done=cancel" in page.url

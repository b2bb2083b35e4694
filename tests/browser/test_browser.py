"""The pages as a person with a browser finds them: one that runs no script, unless told so."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.helpers.browser import CHROMIUM, chromium
from tests.helpers.site import CHARTED, SCRIPT

pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="no Chromium is installed: apt-get install chromium"
)
PAGES = ["coins?limit=10", "coins?columns=all&limit=10", f"coin?id={CHARTED}", "crawls", "rejected"]
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser, site):
    """Opens a page of the site in a new window: ``visit("coins", color_scheme="dark")``."""
    contexts = []

    def open_page(path, url=site.url, **options):
        options = {"java_script_enabled": False, "bypass_csp": False} | options
        context = browser.new_context(base_url=url, **options)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def column(page, heading, region="Coins"):
    """The texts of a column of the table in a region."""
    table = page.get_by_role("region", name=region, exact=True)
    headings = [text.strip("▲▼ \xa0") for text in table.locator("thead th").all_inner_texts()]
    cells = table.locator(f"tbody tr > :nth-child({headings.index(heading) + 1})")
    return cells.all_inner_texts()


def number(page):
    """How many coins the page says there are."""
    return int(re.match(r"[\d,]+", page.get_by_role("status").inner_text())[0].replace(",", ""))


def test_17000_coins_are_paged(visit):
    page = visit("coins")
    assert number(page) == 16_999
    first = column(page, "Market cap rank")
    assert len(first) == 50
    assert first[:8] == ["1", "2", "3", "4", "5", "7", "8", "9"], "the sixth is delisted"
    page.get_by_role("link", name="Next").click()
    assert page.get_by_text("Page 2 of 340").is_visible()
    second = column(page, "Market cap rank")
    assert int(second[0]) == int(first[-1]) + 1
    page.get_by_role("link", name="Previous").click()
    assert column(page, "Market cap rank") == first


def test_search_by_the_keyboard_alone(visit):
    page = visit("coins")
    page.keyboard.press("Tab")
    assert page.get_by_role("link", name="To the content").is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("COIN-0000007")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search=COIN-0000007"))
    assert number(page) == 1
    assert page.get_by_label("Search").input_value() == "COIN-0000007"
    page.get_by_role("rowheader").get_by_role("link").click()
    assert page.get_by_text(CHARTED, exact=True).is_visible()


def test_any_column_is_sorted_by_its_heading_and_back(visit):
    page = visit("coins?search=a")
    heading = page.get_by_role("columnheader", name="Current price")
    for direction, sign in (("ascending", ""), ("descending", "-")):
        heading.get_by_role("link").click()
        assert heading.get_attribute("aria-sort") == direction
        assert f"sort={sign}current_price" in page.url
        assert page.get_by_label("Search").input_value() == "a", "what was chosen is kept"
        exact = page.locator("tbody tr > :nth-child(4) data").evaluate_all
        values = [float(text) for text in exact("all => all.map(one => one.value)")]
        assert values == sorted(values, reverse=bool(sign))
        assert len(values) == 50
    page.get_by_label("Sort by").select_option(label="Name")
    page.get_by_label("greatest first").uncheck()
    page.get_by_role("button", name="Show").click()
    assert page.get_by_role("columnheader", name="Name").get_attribute("aria-sort") == "ascending"


def test_currency_and_delisted_coins_are_chosen_in_the_form(visit):
    page = visit("coins")
    page.get_by_label("Status").select_option("delisted")
    page.get_by_role("button", name="Show").click()
    assert number(page) == 1
    assert column(page, "Delisted at") == ["2025-02-03 00:00:00"]
    page.get_by_label("Currency").select_option("eur")
    page.get_by_label("Status").select_option("all")
    page.get_by_role("button", name="Show").click()
    assert column(page, "Name") == [SCRIPT]
    assert column(page, "Current price") == ["0.0₁₇1"], "no magnitude is hidden"


def test_coin_has_its_price_drawn_and_all_its_fields(visit):
    page = visit(f"coin?id={CHARTED}")
    chart = page.get_by_role("img", name="Price in usd")
    box = chart.locator("polyline").bounding_box()
    assert box["width"] > 400
    assert box["height"] > 100
    assert len(chart.locator("polyline").get_attribute("points").split()) >= 30
    assert page.locator("dt").count() == 28
    page.get_by_role("link", name="30 days").click()
    assert page.get_by_role("link", name="30 days").get_attribute("aria-current") == "true"


def test_hostile_names_are_text_even_where_scripts_may_run(visit):
    for path in ("coins?currency=eur&columns=all", "coin?id=hostile&currency=eur", "rejected"):
        page = visit(path, java_script_enabled=True)
        page.wait_for_timeout(50)
        assert "coinspider" in page.title()
        assert page.locator("script, img, main b").count() == 0
        assert page.locator("a[href^=javascript]").count() == 0
    assert visit("coin?id=hostile&currency=eur").get_by_role("heading", name=SCRIPT).is_visible()


def test_crawls_are_a_chart_and_a_table_with_the_schedules(visit):
    page = visit("crawls")
    assert page.get_by_role("img", name="Seconds that each of 3 runs took").is_visible()
    assert page.locator("svg rect").count() == 3
    assert page.locator("svg .period").bounding_box()["width"] > 400
    assert column(page, "Outcome", "Runs") == ["complete"] * 3
    assert column(page, "Records", "Runs") == ["17000", "2", "17000"]
    schedule = page.get_by_role("region", name="Schedules")
    assert schedule.get_by_text("every 0:03:00").is_visible()
    page.get_by_role("region", name="Runs").get_by_role("link", name="1", exact=True).click()
    assert page.get_by_role("heading", name="Rejected records of crawl 2").is_visible()
    assert page.get_by_text('{"id": "<b>bold</b>"}').is_visible()
    assert page.get_by_role("heading", name="Object missing required field symbol").is_visible()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible(visit, path, scheme):
    # What looks at it is a script, and sees what a reader without one does.
    page = visit(path, color_scheme=scheme, java_script_enabled=True, bypass_csp=True)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()


def test_dark_is_dark(visit):
    lightness = {
        scheme: visit("coins", color_scheme=scheme, java_script_enabled=True).evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        )
        for scheme in ("light", "dark")
    }
    assert max(lightness["dark"]) < 60
    assert min(lightness["light"]) > 200


@pytest.mark.parametrize("path", PAGES)
def test_page_fits_a_telephone(visit, path):
    page = visit(path, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 16
    for text in page.locator("svg text").all():
        assert text.bounding_box()["height"] >= 12


def test_password_is_asked_for_and_leads_back_to_the_page(visit, scrapyd, site):
    daemon = scrapyd(SCRAPYD_USERNAME="me", SCRAPYD_PASSWORD="s3cret",
                     DATABASE_URL=site.database_url)  # fmt: skip
    page = visit("coins?limit=10", daemon.url)
    for given, alerts in (("wrong", ["Not logged in: wrong name or password."]), ("s3cret", [])):
        page.get_by_label("Name").fill("me")
        page.get_by_label("Password").fill(given)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state()
        assert page.get_by_role("alert").all_inner_texts() == alerts
    assert page.url.endswith("/coins?limit=10")
    assert number(page) == 16_999
    page.get_by_role("link", name="Crawls").click()
    assert page.get_by_role("heading", name="Schedules").is_visible()

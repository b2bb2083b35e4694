"""The pages in a browser, with and without JavaScript."""

import re
from contextlib import contextmanager

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from coinspider.daemon.views.cells import SHOWN
from coinspider.daemon.views.view import render
from coinspider.sandbox.served_coins import coin_id
from tests.helpers.browser import (
    PATIENCE,
    bare_machine,
    chromium,
    click,
    launch,
    layout_problems,
)
from tests.helpers.site import CHARTED, SCRIPT

pytestmark = pytest.mark.needs("chromium")
PAGES = {
    "overview": "",
    "coins": "coins?limit=10",
    "all columns": "coins?columns=all&limit=10",
    "filtered": "coins?search=zzzz&rank_max=9&watch=coin-0000001",
    "coin": f"coin?id={CHARTED}",
    "candles": f"coin?id={CHARTED}&range=1d&candles=1",
    "compared": f"coin?id={CHARTED}&range=1d&compare=coin-0000008",
    "hostile": "coin?id=hostile&currency=eur",
    "crawls": "crawls",
    "tables": "table/",
    "table": "table/full_coin?search=coin-00000&where=market_cap_rank%20%3E%203",
    "rejected": "rejected",
    "nothing rejected": "rejected?crawl=1",
    "jobs": "jobs",
    "logs": "logs/coinspider/coins/",
    "error": "coins?sort=price",
}
THIRD = coin_id(2)
UNWATCHED = re.compile("^Watch (?!list)")
PHONE = {"viewport": {"width": 375, "height": 700}, "is_mobile": True, "has_touch": True}
# Letters wider than those of most machines.
WIDE = "* { font-family: 'DejaVu Sans', sans-serif !important; letter-spacing: .04em; }"
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser, site):
    """Open a page of the site in a new window: ``visit("coins", color_scheme="dark")``."""
    contexts = []

    def open_page(path, url=site.url, **options):
        options = {"java_script_enabled": False, "bypass_csp": False} | options
        context = browser.new_context(base_url=url, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def column(page, heading, region="Coins"):
    """The texts in a column of a region's table."""
    table = page.get_by_role("region", name=region, exact=True)
    headings = [text.partition("\xa0")[0].removesuffix(" USD").removesuffix(" EUR")
                for text in table.locator("thead th").all_inner_texts()]  # fmt: skip
    cells = table.locator(f"tbody tr > :nth-child({headings.index(heading) + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


def number(page):
    """The number of coins that the page shows."""
    return int(re.search(r"([\d,]+) coins", page.get_by_role("status").inner_text())[1]
               .replace(",", ""))  # fmt: skip


def test_17000_coins_are_paged(visit):
    page = visit("coins")
    assert number(page) == 16_999
    assert page.get_by_role("status").inner_text() == "1–50 of 16,999 coins"
    first = column(page, "#")
    assert len(first) == 50
    assert first[:8] == ["1", "2", "3", "4", "5", "7", "8", "9"], "the sixth is delisted"
    for where in ("above", "below"):
        assert page.get_by_role("navigation", name=f"Paging {where}").is_visible()
    click(page.get_by_role("link", name="Next").first)
    assert page.get_by_text("Page 2 of 340").first.is_visible()
    second = column(page, "#")
    assert int(second[0]) == int(first[-1]) + 1
    click(page.get_by_role("link", name="Previous").last)
    assert column(page, "#") == first
    click(page.get_by_role("link", name="Last").first)
    assert page.get_by_text("Page 340 of 340").first.is_visible()


def test_search_with_the_keyboard_alone(visit):
    page = visit("coins")
    page.keyboard.press("Tab")
    assert page.get_by_role("link", name="To the content").is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("COIN-0000007")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search=COIN-0000007"))
    assert number(page) == 1
    assert page.get_by_label("Search", exact=True).input_value() == "COIN-0000007"
    click(page.get_by_role("rowheader").get_by_role("link"))
    assert page.get_by_text(CHARTED, exact=True).is_visible()


def test_first_click_on_a_number_column_sorts_the_greatest_first(visit):
    page = visit("coins?search=a")
    heading = page.get_by_role("columnheader", name="Price")
    for direction, sign in (("descending", "-"), ("ascending", "")):
        click(heading.get_by_role("link"))
        assert heading.get_attribute("aria-sort") == direction
        assert f"sort={sign}current_price" in page.url
        assert page.get_by_label("Search", exact=True).input_value() == "a", (
            "what was chosen is kept"
        )
        exact = page.locator("tbody tr > :nth-child(4) data").evaluate_all
        values = [float(text) for text in exact("all => all.map(one => one.value)")]
        assert values == sorted(values, reverse=bool(sign))
        assert len(values) == 50
    click(page.get_by_role("columnheader", name="Coin").get_by_role("link"))
    assert page.get_by_role("columnheader", name="Coin").get_attribute("aria-sort") == "ascending"


def test_short_amounts_show_all_digits_on_hover(visit):
    page = visit("coins?columns=name,market_cap")
    cell = page.locator("tbody tr td data").first
    assert re.fullmatch(r"[\d.]+(e\d+| [TBM])?", cell.inner_text())
    digits = cell.get_attribute("title")
    assert re.fullmatch(r"\d{1,3}(,\d{3}){3,}", digits)
    page.get_by_role("link", name="Next").first.focus()
    page.keyboard.press("Tab")
    page.get_by_role("rowheader").get_by_role("link").first.focus()
    shown = cell.evaluate("one => getComputedStyle(one, '::after').content")
    assert shown == f'"{digits}"', "and to who comes by the keyboard"


def test_filters_and_columns_are_chosen_in_the_form_and_kept_in_the_address(visit):
    page = visit("coins")
    click(page.get_by_text("Filters and columns"))
    page.get_by_label("Rank up to").fill("30")
    wanted = ("Coin", "Price", "All-time high")
    usual = page.locator("fieldset input:checked").evaluate_all("all => all.map(one => one.value)")
    assert usual == SHOWN
    for box in page.locator("fieldset label").all():
        box.locator("input").set_checked(box.inner_text().strip() in wanted)
    click(page.get_by_role("button", name="Show"))
    headings = page.locator("thead th").all_inner_texts()
    assert [text for text in headings if text != "Watched"] == [
        "Coin",
        "Price USD",
        "All-time high",
    ]
    assert number(page) <= 30
    click(page.get_by_role("columnheader", name="All-time high").get_by_role("link"))
    assert "rank_max=30" in page.url
    assert number(page) <= 30


def test_coins_are_found_while_one_types(visit):
    page = visit("coins", java_script_enabled=True)
    page.keyboard.press("/")
    page.keyboard.type("coin-0000007")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert page.url.endswith("coins?search=coin-0000007")
    assert page.locator("#search").input_value() == "coin-0000007"


def test_lists_are_a_click_away(visit):
    page = visit("coins")
    for name, query in (("Gainers", "sort=-price_change_"), ("Losers", "sort=price_change_"),
                        ("New", "new=7"), ("Watch list", "watched=1")):  # fmt: skip
        click(page.get_by_role("navigation", name="Lists").get_by_role("link", name=name))
        assert query in page.url
        [current] = page.locator("nav[aria-label=Lists] [aria-current]").all_inner_texts()
        assert current == name


def test_watch_list_is_kept(visit):
    page = visit("coins?limit=25")
    names = column(page, "#")
    for place in (1, 2):
        click(page.get_by_role("link", name=UNWATCHED).nth(place))
    click(page.get_by_role("link", name="Crawls").first)
    click(page.get_by_role("link", name="Coins", exact=True).first)
    click(page.get_by_role("link", name="Watch list (2)"))
    assert number(page) == 2
    assert set(column(page, "#")) < set(names)
    page.reload()
    assert number(page) == 2
    click(page.locator("tbody th a").first)
    click(page.get_by_role("link", name=re.compile("^No longer watch")))
    expect(page.get_by_role("link", name=UNWATCHED)).to_be_visible()
    click(page.get_by_role("link", name="Coins", exact=True).first)
    click(page.get_by_role("link", name="Watch list (1)"))
    assert number(page) == 1
    click(page.get_by_role("link", name="All coins"))
    assert number(page) == 16_999


def test_currency_and_delisted_coins_are_chosen_in_the_form(visit):
    page = visit("coins")
    click(page.get_by_text("Filters and columns"))
    page.locator("#listed").select_option("delisted")
    click(page.get_by_role("button", name="Show"))
    assert number(page) == 1
    assert page.locator("tbody time[datetime^='2025-02-03']").count() == 1
    click(page.get_by_text("Filters and columns"))
    page.locator("#currency").select_option("eur")
    page.locator("#listed").select_option("all")
    click(page.get_by_role("button", name="Show"))
    assert column(page, "Coin")[0].startswith(SCRIPT) or SCRIPT in column(page, "Coin")[0]
    assert column(page, "Price") == ["0.0₁₇1"], "no magnitude is hidden"


def test_empty_result_says_why_and_what_to_do(visit):
    page = visit("coins?search=zzzz&rank_max=9")
    assert page.get_by_text("No coin in usd has all of this:").is_visible()
    assert page.locator(".notice li").all_inner_texts() == [
        "search zzzz: 8 without it", "rank up to 9: 0 without it", "listed: 0 without it",
    ]  # fmt: skip
    click(page.get_by_role("link", name="Show all coins"))
    assert number(page) == 16_999


def test_coin_has_a_price_chart_and_all_its_fields(visit):
    page = visit(f"coin?id={CHARTED}&range=1d")
    chart = page.get_by_role("img", name=re.compile("in usd, 1d, from"))
    box = chart.locator("polyline").bounding_box()
    assert box["width"] > 400
    assert box["height"] > 100
    assert len(chart.locator("polyline").get_attribute("points").split()) >= 50
    assert chart.locator("text").count() >= 6, "axes of value and of time"
    for group in ("Market usd", "Supply", "About"):
        assert page.get_by_role("heading", name=group, exact=True).is_visible()
    click(page.get_by_role("link", name="30d"))
    assert page.get_by_role("link", name="30d").get_attribute("aria-current") == "true"
    click(page.get_by_role("link", name="Log scale"))
    click(page.get_by_role("link", name="Candles", exact=True))
    assert "log=1" in page.url
    assert "candles=1" in page.url


def test_chart_shows_values_for_the_pointer_and_the_keyboard(visit):
    page = visit(f"coin?id={CHARTED}&range=1d", java_script_enabled=True)
    output, chart = page.locator("figcaption output"), page.locator("[data-chart]")
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(output).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d UTC: \S+$"))
    chart.focus()
    page.keyboard.press("Home")
    first = output.inner_text()
    page.keyboard.press("ArrowRight")
    second = output.inner_text()
    assert first.partition(": ")[0] < second.partition(": ")[0]


def test_hostile_names_are_text_even_if_scripts_may_run(visit):
    for path in ("coins?currency=eur&columns=all", "coin?id=hostile&currency=eur", "rejected"):
        page = visit(path, java_script_enabled=True)
        page.wait_for_timeout(50)
        assert "coinspider" in page.title()
        assert page.locator("main script, img, main b").count() == 0
        assert page.locator("a[href^=javascript]").count() == 0
    page = visit("coin?id=hostile&currency=eur")
    assert SCRIPT in page.get_by_role("heading", level=1).inner_text()


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_page_violates_no_rule_of_its_policy(browser, site, path):
    context = browser.new_context(base_url=site.url)
    context.set_default_timeout(PATIENCE)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not
            request.url.startswith(site.url) else None)  # fmt: skip
    page.goto(f"/{path}")
    page.wait_for_load_state("networkidle")
    context.close()
    assert [text for text in said if "status of 400" not in text] == []


@contextmanager
def ended_crawl(site):
    """Another crawl has ended, as far as the pages know; the price of the third coin is new."""
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        price = "UPDATE full_coin SET current_price = current_price + %s WHERE coin_id = %s"
        connection.execute(price, [1, THIRD])
        [crawl] = connection.execute(
            "INSERT INTO crawl (spider, url, vs_currency, started_at, ended_at, outcome)"
            " VALUES ('coins', 'u', 'usd', now(), now(), 'complete') RETURNING id"
        ).fetchone()
        yield
        connection.execute(price, [-1, THIRD])
        connection.execute("DELETE FROM crawl WHERE id = %s", [crawl])


def test_page_refreshes_itself_and_keeps_its_place(visit, site):
    page = visit("coins?limit=100", java_script_enabled=True)
    page.wait_for_load_state("networkidle")
    price = page.locator("tbody tr").nth(2).locator("data").nth(1)
    before = price.get_attribute("value")
    click(page.get_by_text("Filters and columns"))
    page.get_by_label("24h volume from").fill("half a wo")
    page.locator("tbody a .name").nth(20).evaluate("one => one.closest('a').focus()")
    page.evaluate("window.scrollTo(0, 900); window.same = true")
    with ended_crawl(site):
        expect(price).not_to_have_attribute("value", before)
        focused = "document.activeElement === document.querySelectorAll('tbody th a')[20]"
        assert page.evaluate(focused), "of the keyboard"
        assert page.get_by_label("24h volume from").input_value() == "half a wo"
        assert page.get_by_label("Rank up to").is_visible()
        assert page.evaluate("window.scrollY") == 900
        page.get_by_role("link", name=UNWATCHED).nth(30).dispatch_event("click")
        expect(page.get_by_role("link", name="Watch list (1)")).to_be_visible()
        assert page.evaluate("window.scrollY") == pytest.approx(900, abs=60)
    assert page.evaluate("window.same"), "it was not loaded again"


def test_page_says_when_scrapyd_is_away_and_goes_on_with_the_value_it_told(visit):
    page = visit(f"coin?id={CHARTED}&range=1d&compare=nobody", java_script_enabled=True)
    page.locator("[data-chart]").focus()
    page.keyboard.press("Home")
    told = page.locator("figcaption output").inner_text()
    page.route("**/crawls.json*", lambda route: route.abort())
    expect(page.get_by_text("No answer since")).to_be_visible()
    page.unroute("**/crawls.json*")
    expect(page.get_by_text("No answer since")).to_be_hidden()
    assert page.locator("figcaption output").inner_text() == told, "the value is still told"
    page.get_by_label("Compare with").clear()
    page.get_by_label("Compare with").press_sequentially("coin-0000008")
    expect(page.locator("datalist option")).to_have_attribute("value", "coin-0000008")


def test_page_without_data_waits_for_the_first(browser, site):
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    body = render("error.html", section="coins", status=503, message="The database is away.")
    page.route("**/coins", lambda route: route.fulfill(status=503, body=body), times=2)
    page.goto("/coins")
    assert page.get_by_role("alert").inner_text() == "The database is away."
    expect(page.get_by_text("of 16,999 coins")).to_be_visible()
    context.close()


def test_crawls_are_charts_and_a_table_with_the_schedules(visit):
    page = visit("crawls")
    assert page.get_by_role("img", name=re.compile("^1 run: 1 complete; ")).count() == 1
    assert column(page, "Outcome", "Runs") == ["complete"] * 2
    assert [text.split(",")[1] for text in column(page, "What happened", "Runs")] == [
        " 2 records", " 17",
    ]  # fmt: skip
    schedule = page.get_by_role("region", name="Schedules")
    assert schedule.get_by_text("every 30 d").is_visible()
    click(page.get_by_role("link", name="see the 1 rejected"))
    assert page.get_by_role("heading", name="Rejected records of crawl 2").is_visible()
    click(page.get_by_role("link", name="Object missing required field symbol"))
    assert page.locator("summary").get_by_text('{"id": "<b>bold</b>"}').is_visible()
    assert page.locator("pre").is_hidden()


def test_buttons_of_a_browser_pause_and_resume(visit, site):
    page = visit("crawls")
    click(page.get_by_role("button", name="Pause coins"))
    assert page.get_by_text("paused", exact=True).is_visible()
    assert site.daemon.schedule()["paused"]
    click(page.get_by_role("button", name="Resume coins"))
    assert not site.daemon.schedule()["paused"]


def test_dark_is_dark(visit):
    lightness = {
        scheme: visit("coins", color_scheme=scheme, java_script_enabled=True).evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        )
        for scheme in ("light", "dark")
    }
    assert max(lightness["dark"]) < 60
    assert min(lightness["light"]) > 200


@pytest.fixture(scope="module")
def machines(browser, site, tmp_path_factory):
    """A window for each kind of machine, by its description."""
    bare = launch(browser.browser_type, **bare_machine(tmp_path_factory.mktemp("fonts")))
    kinds = {
        "with JavaScript": (browser, True), "without JavaScript": (browser, False),
        "with one font": (bare, False),
    }  # fmt: skip
    contexts = {
        kind: machine.new_context(base_url=site.url, java_script_enabled=scripts, bypass_csp=True)
        for kind, (machine, scripts) in kinds.items()
    }
    for context in contexts.values():
        context.set_default_timeout(PATIENCE)
    yield {kind: context.new_page() for kind, context in contexts.items()}
    for context in contexts.values():
        context.close()
    bare.close()


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_page_looks_right_on_every_machine(machines, path):
    """At each width: nothing runs over another, is cut off, is tiny, or hides the focus."""
    found = []
    for kind, page in machines.items():
        page.goto(f"/{path}")
        found += layout_problems(page, kind)
    page = machines["with JavaScript"]
    found += accessibility_problems(page)
    page.add_style_tag(content=WIDE)
    found += layout_problems(page, "with wide letters")
    assert found == []


def test_crawls_of_each_outcome_look_right(machines, site):
    insert = """
        INSERT INTO crawl (spider, job, url, vs_currency, started_at, ended_at, outcome, message,
                           page_count, record_count, rejected_count, refused_count)
        SELECT repeat('spider', 9), repeat('name', 20) || '.20260304T120000.123', 'u', 'usd',
               now() - interval '1 h', CASE WHEN outcome <> '' THEN now() END,
               nullif(outcome, ''), repeat('longword', 50) || repeat(' <b>words</b>', 50),
               68, 17000, 16999, 3
        FROM unnest(%s::text[]) AS outcome
    """
    outcomes = ["", "failed", "died", "exhausted", "skipped", "interrupted"]
    found = []
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        connection.execute(insert, [outcomes])
        try:
            for kind, page in machines.items():
                page.goto("/crawls")
                found += layout_problems(page, kind)
            page = machines["with JavaScript"]
            found += accessibility_problems(page)
            shown = page.locator(".runs .outcome").all_inner_texts()
        finally:
            connection.execute("DELETE FROM crawl WHERE url = 'u'")
    assert found == []
    assert shown[:6] == [outcome or "running" for outcome in reversed(outcomes)]


def accessibility_problems(page):
    """axe is itself a script; it sees what a reader without JavaScript sees."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found = []
    # The dark page differs only in its colours, the narrow one in its layout.
    for scheme, width, rules in (
        ("light", 1280, {"runOnly": RULES}),
        ("dark", 1280, {"runOnly": ["color-contrast"]}),
        ("light", 375, {"runOnly": ["color-contrast", "target-size"]}),
    ):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        for violation in Axe().run(page, options=rules).response["violations"]:
            targets = [node["html"][:100] for node in violation["nodes"][:3]]
            found.append(f"{scheme} {width}: {violation['id']}: {targets}")
    return found


def test_what_looks_wrong_is_found(machines):
    page = machines["with JavaScript"]
    page.set_content("<p>a</p>")
    assert layout_problems(page) == []
    page.set_content(
        "<div style='width:90rem'>wide</div><p style='font-size:8px'>small</p><i>over</i>"
        "<a href=a style='position:absolute;left:360px'>outside</a>"
        "<b style='position:absolute;left:10px;top:40px'>this</b>"
        "<button style='outline:0;position:fixed;top:40px;left:9px'>hidden focus</button>"
        "<a href=b style='font-size:12px'>1</a><a href=c style='font-size:12px'>2</a>"
    )
    found = "\n".join([*layout_problems(page), *accessibility_problems(page)])
    for problem in (
        "375 : the page is 14", '"small" is tiny', '"outside" is cut off at',
        '"this" runs over "hidden focus"', '"hidden focus" does not show that it has the focus',
        "target-size", "html-has-lang",
    ):  # fmt: skip
        assert problem in found


def test_price_is_on_the_first_screen_of_a_telephone(visit):
    page = visit("coins", **PHONE)
    first = page.locator("tbody tr").first
    price = first.locator("td.number:visible").first.bounding_box()
    assert price["y"] + price["height"] < 700
    assert price["x"] + price["width"] <= 375
    assert first.locator(":visible", has_text="%").first.is_visible()
    page.set_viewport_size({"width": 768, "height": 1024})
    assert page.locator("thead th:visible").all_inner_texts()[1:] == [
        "#\xa0▲", "Coin", "Price USD", "24h", "7d", "Market cap", "Last 7 days",
    ]  # fmt: skip


def test_page_can_be_printed_and_shown_with_few_colours(visit):
    page = visit("coins?limit=100", color_scheme="dark", viewport={"width": 700, "height": 800},
                 java_script_enabled=True)  # fmt: skip
    page.emulate_media(media="print")
    assert not any(one.is_visible() for one in page.locator("header, form, .paging").all())
    region = page.get_by_role("region", name="Coins")
    assert region.evaluate("one => getComputedStyle(one).overflowY") == "visible", "all rows"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    page.emulate_media(media="screen", forced_colors="active")
    current = page.locator("header [aria-current]")
    assert current.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"


def test_header_stays_visible_while_scrolling(visit):
    page = visit("coins?limit=100", viewport={"width": 1280, "height": 800},
                 java_script_enabled=True)  # fmt: skip
    page.evaluate("window.scrollTo(0, 2000)")
    assert page.locator("thead th").nth(3).bounding_box()["y"] == pytest.approx(0, abs=2)


def check_watched_elsewhere(page):
    page.get_by_label("Name").fill("me")
    page.get_by_label("Password").fill("s3cret")
    click(page.get_by_role("button", name="Log in"))
    expect(page.get_by_role("heading", name="Watch list")).to_be_visible()
    page.evaluate("window.same = true")
    click(page.get_by_role("button", name="No longer watch"))
    expect(page.get_by_text("The watch list is empty")).to_be_visible()
    assert page.evaluate("window.same"), "it was not loaded again"


def test_password_is_asked_for_and_leads_back_to_the_page(visit, scrapyd, site):
    daemon = scrapyd(SCRAPYD_USERNAME="me", SCRAPYD_PASSWORD="s3cret",
                     DATABASE_URL=site.database_url)  # fmt: skip
    page = visit("coins?limit=10", daemon.url)
    assert layout_problems(page) == []
    for given, alerts in (("wrong", ["Not logged in: wrong name or password."]), ("s3cret", [])):
        page.get_by_label("Name").fill("me")
        page.get_by_label("Password").fill(given)
        click(page.get_by_role("button", name="Log in"))
        page.wait_for_load_state()
        assert page.get_by_role("alert").all_inner_texts() == alerts
    assert page.url.endswith("/coins?limit=10")
    assert number(page) == 16_999
    click(page.get_by_role("button", name=UNWATCHED).first)
    expect(page.get_by_role("link", name="Watch list (1)")).to_be_visible()
    assert layout_problems(page) == []
    check_watched_elsewhere(visit("coins?watched=1", daemon.url, java_script_enabled=True))
    click(page.get_by_role("link", name="Crawls"))
    assert page.get_by_role("heading", name="Schedules").is_visible()
    assert layout_problems(page) == []
    click(page.get_by_role("button", name="Log out"))
    assert page.get_by_role("heading", name="Log in").is_visible()
    page.goto("/crawls")
    assert page.get_by_role("heading", name="Log in").is_visible()

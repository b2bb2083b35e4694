"""The pages that the loaders read, written in advance so that making them costs no loader time."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from coinspider.sandbox.served_coins import made_up_coin

FOLDER = Path(".scrapy/benchmarks").absolute()
PER_PAGE = 250


def make_pages(coins: int, tick: int = 0) -> Path:
    """A folder of ``coins`` coins, ``PER_PAGE`` to a file; at each tick a third of them changes.

    Files of an earlier run are used again.
    """
    folder = FOLDER / f"{coins}-{tick}"
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        pages = range(1, -(-coins // PER_PAGE) + 1)
        list(pool.map(partial(_make_page, folder, coins, tick), pages, chunksize=8))
    return folder


def _make_page(folder: Path, coins: int, tick: int, page: int) -> None:
    path = folder / str(page)
    if not path.exists():
        numbers = range((page - 1) * PER_PAGE, min(page * PER_PAGE, coins))
        path.write_text(f"[{','.join(made_up_coin(number, 'usd', tick) for number in numbers)}]")

"""``scrapy genspider`` with another template: ``-t paginated``."""

import argparse
from pathlib import Path

from scrapy.commands.genspider import Command as GenspiderCommand
from scrapy.exceptions import UsageError

TEMPLATES = Path(__file__).parent.parent / "templates/spiders"


class Command(GenspiderCommand):
    """Adds this project's templates to Scrapy's own."""

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        try:
            super().run(args, opts)
        except OSError as error:
            raise UsageError(
                f"{error.filename} can't be written: {error.strerror}", print_help=False
            ) from None

    def _find_template(self, template: str) -> Path | None:
        own = TEMPLATES / f"{template}.tmpl"
        return own if own.exists() else super()._find_template(template)

    def _list_templates(self) -> None:
        super()._list_templates()
        for path in sorted(TEMPLATES.glob("*.tmpl")):
            print(f"  {path.stem}")

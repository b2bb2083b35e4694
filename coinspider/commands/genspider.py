"""``scrapy genspider`` with another template: ``-t paginated``."""

import argparse
from pathlib import Path
from typing import Any

from scrapy.commands.genspider import Command as GenspiderCommand

from coinspider.crawl.command import WrongUsageError, reject_options, set_up
from coinspider.installation import program, project_folder

ARGUMENTS = "genspider -t paginated things api.example"
TEMPLATES = Path(__file__).parent.parent / "templates/spiders"


class Command(GenspiderCommand):
    """Adds this project's templates to Scrapy's own."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        set_up(parser, (f"scrapy {ARGUMENTS}",))
        super().add_options(parser)
        self.parser = parser

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        reject_options(self.parser, args)
        if len(args) != 2 and not (opts.list or opts.dump):
            raise WrongUsageError(f"give a name and a domain: {program()} {ARGUMENTS}")
        if not project_folder():
            raise WrongUsageError(
                "a spider is written into a project, and there is none here: scrapy startproject"
                " things, see docs/how-to.md"
            )
        # Without a spider Scrapy says why, but exits with status 0.
        self.exitcode = 0 if opts.list or opts.dump else 1
        try:
            super().run(args, opts)
        except OSError as error:
            raise WrongUsageError(f"{error.filename} can't be written: {error.strerror}") from None

    def _genspider(self, *args: Any, **kwargs: Any) -> Any:
        self.exitcode = 0
        return super()._genspider(*args, **kwargs)

    def _find_template(self, template: str) -> Path | None:
        own = TEMPLATES / f"{template}.tmpl"
        return own if own.exists() else super()._find_template(template)

    def _list_templates(self) -> None:
        super()._list_templates()
        for path in sorted(TEMPLATES.glob("*.tmpl")):
            print(f"  {path.stem}")

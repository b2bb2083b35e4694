"""``scrapy genspider`` with one more template: ``-t paginated``."""

from pathlib import Path

from scrapy.commands.genspider import Command as GenspiderCommand

TEMPLATES = Path(__file__).parent.parent / "templates/spiders"


class Command(GenspiderCommand):
    """Knows this project's templates beside Scrapy's own."""

    def _find_template(self, template: str) -> Path | None:
        own = TEMPLATES / f"{template}.tmpl"
        return own if own.exists() else super()._find_template(template)

    def _list_templates(self) -> None:
        super()._list_templates()
        for path in sorted(TEMPLATES.glob("*.tmpl")):
            print(f"  {path.stem}")

"""Eggs for scrapyd."""

import io
import zipfile


def egg(**files):
    """An egg of the given files, as in ``spy__settings_py="..."``."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("EGG-INFO/entry_points.txt", "[scrapy]\nsettings = spy.settings\n")
        archive.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 1.1\nName: spy\nVersion: 1\n")
        archive.writestr("spy/__init__.py", "")
        archive.writestr("spy/spiders/__init__.py", "")
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_py", ".py"), text)
    return {"egg": ("spy.egg", body.getvalue())}

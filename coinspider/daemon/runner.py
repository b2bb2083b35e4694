"""scrapyd's runner, out of the reach of the terminal's Ctrl-C.

That one would reach the crawl beside scrapyd, whose own signal would then be its second: at a
second one Scrapy ends at once, with what it has in hand lost.
"""

import os
import warnings

# scrapyd's import of pkg_resources, in the log of each job.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

from scrapyd.runner import main  # noqa: E402

if __name__ == "__main__":
    if hasattr(os, "setsid"):
        os.setsid()
    main()

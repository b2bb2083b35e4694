"""``/jobs`` of a fleet: what runs on any node."""

from datetime import datetime
from html import escape
from typing import Any

from scrapyd.website import no_microseconds

from coinspider.daemon import database
from coinspider.daemon.fleet.runs import running_runs


class FleetJobsMixin:
    """For scrapyd's table of jobs, which otherwise shows only this node's processes."""

    def prepare_running(self) -> str:
        table: Any = self
        with database.connection() as connection:
            runs = running_runs(connection)
        return "\n".join(
            table.prepare_row(
                {
                    "Project": escape(run.project),
                    "Spider": escape(run.spider),
                    "Job": escape(run.job),
                    "PID": f"{run.pid} on {escape(run.node)}",
                    "Start": no_microseconds(run.start_time),
                    "Runtime": no_microseconds(datetime.now() - run.start_time),  # noqa: DTZ005
                    "Log": table.html_log_url(run),
                    "Cancel": table.cancel_button(run.project, run.job),
                }
            )
            for run in runs
        )

"""scrapyd's own endpoints for jobs, on all nodes of a fleet at once."""

from collections.abc import Mapping
from typing import Any

from scrapyd import webservice
from scrapyd.webservice import param

from coinspider.daemon import database
from coinspider.daemon.fleet import nodes
from coinspider.daemon.fleet.fleet import fleet
from coinspider.daemon.fleet.runs import Run, running_runs


def _running(project: str | None) -> list[Run]:
    with database.connection() as connection:
        return [run for run in running_runs(connection) if project in (None, run.project)]


class ListJobs(webservice.ListJobs):
    """``GET``: as scrapyd's, each job with its ``node``."""

    @param("project", required=False)
    def render_GET(self, txrequest: Any, project: str | None) -> dict[str, Any]:
        if project is not None:
            txrequest.args[b"project"] = [project.encode()]
        answer: dict[str, Any] = super().render_GET(txrequest)
        answer["running"] = [
            {
                "id": run.job,
                "project": run.project,
                "spider": run.spider,
                "pid": run.pid,
                "start_time": str(run.start_time),
                "log_url": f"/logs/{run.project}/{run.spider}/{run.job}.log",
                "items_url": None,
                "node": run.node,
            }
            for run in _running(project)
        ]
        return answer


class Status(webservice.Status):
    """``GET``: the state of a job, whichever node runs it."""

    @param("job")
    @param("project", required=False)
    def render_GET(self, txrequest: Any, job: str, project: str | None) -> dict[str, Any]:
        if any(run.job == job for run in _running(project)):
            return {"currstate": "running"}
        txrequest.args |= _encoded({"job": job, "project": project})
        answer: dict[str, Any] = super().render_GET(txrequest)
        return answer


class Cancel(webservice.Cancel):
    """``POST``: ends a job, whichever node runs it; that takes a few seconds on another one."""

    @param("project")
    @param("job")
    def render_POST(self, txrequest: Any, project: str, job: str) -> dict[str, Any]:
        txrequest.args |= _encoded({"job": job, "project": project})
        answer: dict[str, Any] = super().render_POST(txrequest)
        if answer["prevstate"] == "running":
            fleet().jobs.cancelled.add(job)
        elif not answer["prevstate"] and fleet().client.abort(project, job):
            return {"prevstate": "running"}
        return answer


class DaemonStatus(webservice.DaemonStatus):
    """``GET``: the jobs of all nodes, and the nodes that are alive."""

    def render_GET(self, txrequest: Any) -> dict[str, Any]:
        answer: dict[str, Any] = super().render_GET(txrequest)
        with database.connection() as connection:
            found = nodes.list_nodes(connection)
        alive = [node | {"started_at": str(node["started_at"])} for node in found]
        return answer | {"running": len(_running(None)), "nodes": alive}


def _encoded(arguments: Mapping[str, str | None]) -> dict[bytes, list[bytes]]:
    return {
        name.encode(): [value.encode()] for name, value in arguments.items() if value is not None
    }

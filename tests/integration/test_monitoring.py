"""The files for Prometheus and Grafana in deploy/ match what ``/metrics`` has."""

import json
import re
import subprocess

import pytest
import yaml

from coinspider.daemon.api.metrics import metric_labels
from tests.helpers.processes import PROJECT

RULES = PROJECT / "deploy/prometheus-alerts.yml"
DASHBOARD = json.loads((PROJECT / "deploy/grafana-dashboard.json").read_text())
# Labels that Prometheus itself adds to each series.
PROMETHEUS_LABELS = {"instance", "job"}
needs_promtool = pytest.mark.needs("promtool")


def rules():
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def texts(node):
    """Each expression of the dashboard, and each legend together with its expression."""
    for panel in node["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]
    for variable in node["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"], ""


EXPRESSIONS = [
    *((rule["expr"], rule["annotations"]["summary"]) for rule in rules()), *texts(DASHBOARD)
]  # fmt: skip


@pytest.mark.parametrize(("expression", "text"), EXPRESSIONS)
def test_metrics_and_labels_exist(expression, text):
    named = set(re.findall(r"\bcoinspider_\w+", expression))
    assert named <= metric_labels().keys()
    labels = PROMETHEUS_LABELS.union(*(metric_labels()[name] for name in named))
    for matchers in re.findall(r"\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= labels
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", grouped)) <= labels
    assert set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text)) <= labels
    assert named or "up{" in expression


def test_rules_about_time_ignore_crawls_that_no_schedule_repeats():
    for rule in rules():
        assert "coinspider_crawl_age" not in rule["expr"]
        assert "coinspider_crawl_success" not in rule["expr"]


def promtool(*command):
    done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@needs_promtool
def test_rules_are_valid_and_alert_when_they_should():
    for command in (["check", "rules", RULES], ["test", "rules", RULES.with_suffix(".test.yml")]):
        promtool(*command)


def test_every_rule_is_tested_with_and_without_an_alert():
    tested = {(case["alertname"], bool(case["exp_alerts"]))
              for test in yaml.safe_load(RULES.with_suffix(".test.yml").read_text())["tests"]
              for case in test["alert_rule_test"]}  # fmt: skip
    assert tested == {(rule["alert"], fires) for rule in rules() for fires in (True, False)}


@needs_promtool
def test_prometheus_can_read_what_the_dashboard_asks(tmp_path):
    expressions = [
        expression for expression, _ in texts(DASHBOARD) if "label_values" not in expression
    ]
    recorded = [
        {"record": f"a{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(expressions)} rules found" in done.stdout


@pytest.mark.parametrize("name", ["grafana-dashboard", "grafana-prices"])
def test_panels_do_not_overlap_and_have_distinct_ids(name):
    dashboard = json.loads((PROJECT / f"deploy/{name}.json").read_text())
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert "id" not in dashboard  # Grafana assigns one

"""``deploy/compose.fleet.yaml`` fits ``compose.yaml``, and the image.

The file was also validated with the schema of the Compose Specification, which no package has.
"""

import configparser

import pytest
import yaml

from tests.helpers.processes import PROJECT

FLEET = yaml.safe_load((PROJECT / "deploy/compose.fleet.yaml").read_text())
ONE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES = FLEET["services"]
NODES = {name: service for name, service in SERVICES.items() if name != "postgresql"}
OWN = {"hostname", "ports", "volumes"}
# What may differ from the scrapyd in compose.yaml.
DIFFERENT = {*OWN, "build", "image", "configs"}


def without(service, keys):
    return {key: value for key, value in service.items() if key not in keys}


def test_three_nodes_differ_only_in_name_port_and_volume():
    assert len(NODES) == 3
    first, *others = (without(node, OWN) for node in NODES.values())
    assert all(other == first for other in others)
    for key in OWN:
        assert len({str(node[key]) for node in NODES.values()}) == 3


def test_node_is_as_restricted_as_the_one_in_compose_yaml():
    [one] = [service for name, service in ONE["services"].items() if name != "postgresql"]
    for node in NODES.values():
        assert without(node, DIFFERENT) == without(one, DIFFERENT)
    assert SERVICES["postgresql"] == ONE["services"]["postgresql"]


@pytest.mark.parametrize("kind", ["secrets", "volumes", "configs"])
def test_everything_that_a_service_names_is_defined(kind):
    used = set()
    for service in SERVICES.values():
        for entry in service.get(kind, []):
            used.add(entry["source"] if isinstance(entry, dict) else entry.partition(":")[0])
    assert used == FLEET[kind].keys()


def test_nodes_know_their_names():
    class Config:
        cp = configparser.ConfigParser()

        def get(self, option, default):
            return self.cp.get("scrapyd", option, fallback=default)

    config = Config()
    config.cp.read_string(FLEET["configs"]["node"]["content"])
    assert config.get("hosts_allowed", "").split() == [*NODES]

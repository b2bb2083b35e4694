"""The manifest for Kubernetes has the form that its API requires."""

import re

import kubernetes_validate
import pytest
import yaml

from coinspider.daemon.launcher import STOP_TIMEOUT
from tests.helpers.processes import PROJECT

CONTAINERFILE = (PROJECT / "Containerfile").read_text()
VERSIONS = ("1.30", "1.37")
DOCUMENTS = list(yaml.safe_load_all((PROJECT / "deploy/kubernetes.yaml").read_text()))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
def test_manifest_is_valid(document, version):
    kubernetes_validate.validate(document, version, strict=True)


def test_pod_mounts_what_the_image_reads_and_writes():
    """Otherwise it would be a scrapyd with a queue of its own."""
    [deployment] = [d for d in DOCUMENTS if d["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    folder, volume = (
        re.search(rf"^{word} (\S+)$", CONTAINERFILE, re.M)[1] for word in ("WORKDIR", "VOLUME")
    )
    assert places > {f"{folder}/scrapyd.local.conf", volume}
    assert pod["terminationGracePeriodSeconds"] > STOP_TIMEOUT

"""The manifest for Kubernetes has the shape that its API takes."""

import kubernetes_validate
import pytest
import yaml

from tests.helpers.processes import PROJECT

VERSIONS = ("1.30", "1.37")
DOCUMENTS = list(yaml.safe_load_all((PROJECT / "deploy/kubernetes.yaml").read_text()))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
def test_manifest_is_valid(document, version):
    kubernetes_validate.validate(document, version, strict=True)

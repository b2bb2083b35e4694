"""What a user's spider imports from ``coinspider``."""

import ast
from pathlib import Path

import pytest

import coinspider


@pytest.mark.parametrize("name", coinspider.__all__)
def test_public_name_is_found(name):
    assert getattr(coinspider, name)
    assert name in dir(coinspider)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(coinspider.__file__).read_text())
    declared = {
        (node.module, alias.name)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == {(place, name) for name, place in coinspider._PLACE_OF.items()}


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'coinspider' has no attribute 'PaginatedSpidr'"):
        _ = coinspider.PaginatedSpidr

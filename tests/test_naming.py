"""Names that hold numbers sort as people count."""

from neurocine.naming import natural


def test_numbers_sort_by_value() -> None:
    names = ["test10", "test2", "2b", "b", "10", "test2_11", "test2_9", ""]
    assert sorted(names, key=natural) == ["", "2b", "10", "b", "test2", "test2_9", "test2_11", "test10"]


def test_superscripts_are_no_numbers() -> None:
    assert natural("256²") == ["", 256, "²"]

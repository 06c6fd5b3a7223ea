"""Movies and text states of the tests of ridge regression."""

TRAIN, TEST, TOKENS = ["seg1", "seg2"], ["test1", "test2"], 3

"""The one exception that bad input raises, and the exit codes of the programs."""

from pathlib import Path

EXIT_BAD_INPUT = 2
EXIT_TRY_AGAIN = 75  # sysexits.h EX_TEMPFAIL: state is saved, the same command resumes from there


class InputError(Exception):
    """Bad input: which file or key, what was found, what was expected, what to do.

    Parameters
    ----------
    where : the file, config key or argument at fault
    found : what was found there
    expected : what a good input holds
    todo : what the user can do about it
    """

    def __init__(self, where: str | Path, found: str, expected: str, todo: str) -> None:
        self.where, self.found, self.expected, self.todo = str(where), found, expected, todo
        super().__init__(f"{where}: found {found}; expected {expected}. {todo}")


class InputErrors(InputError):
    """Several problems of the same kind, told together, so that one round of corrections is enough.

    Parameters
    ----------
    title : what was being checked, as a sentence without its full stop
    problems : at least one
    """

    def __init__(self, title: str, problems: list[InputError]) -> None:
        self.problems = problems
        first = problems[0]
        super().__init__(first.where, first.found, first.expected, first.todo)
        lines = [f"{title}:", *(f"- {problem}" for problem in problems)]
        self.args = ("\n".join(lines),)

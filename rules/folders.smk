"""Two folders: the checkout, with programs and all else that comes with the workflow, and the study, where Snakemake works.

They are the same, unless Snakemake is told ``--directory``, or another workflow uses this one as a module. Included first.
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

try:
    CHECKOUT = Path(workflow.current_basedir).resolve().parent
except TypeError:
    raise WorkflowError(
        f"{workflow.current_basedir}: found a workflow that is read from the net; expected a checkout, for programs and "
        "settings lie beside the rules. Clone the repository and name the Snakefile in the clone."
    ) from None

# The library of this checkout, whichever one is installed. The programs beside it must not hide packages of the same
# name (tabulate), so their folder stays at the end.
LIBRARY = str(CHECKOUT / "workflow_scripts")
sys.path.insert(0, LIBRARY)
import neurocine

sys.path.remove(LIBRARY)
sys.path.append(LIBRARY)
# Shells call programs by "$NEUROCINE/name.py": in the text of a rule, or in its params, the folder would be a reason to
# run everything again once the checkout has moved.
os.environ.update(NEUROCINE=LIBRARY)


def of_checkout(path):
    """A file of the study's folder, if it is there, else the one that comes with the workflow."""
    own = CHECKOUT / path
    return str(own) if own.exists() and not Path(path).exists() else path

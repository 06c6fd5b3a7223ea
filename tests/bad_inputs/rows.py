"""The table of bad inputs: what is wrong, the command that meets it, and what it must say.

A row changes one thing of a good set of files. ``make`` gets the folder of the row, which holds copies of
them, and returns the arguments that differ from those of `bad_inputs.table.COMMANDS`.
"""

from bad_inputs.animator_rows import decoder_rows, motion_rows, synonym_rows
from bad_inputs.config_rows import config_rows
from bad_inputs.data_set_rows import data_set_rows
from bad_inputs.file_rows import arrays_rows, caption_list_rows, caption_rows, model_rows, movie_rows
from bad_inputs.run_rows import cifti_rows, run_rows

ROWS = [
    *cifti_rows(),
    *run_rows(),
    *data_set_rows(),
    *arrays_rows(),
    *movie_rows(),
    *caption_rows(),
    *caption_list_rows(),
    *model_rows(),
    *config_rows(),
    *decoder_rows(),
    *motion_rows(),
    *synonym_rows(),
]

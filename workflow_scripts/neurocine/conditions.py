"""Names of the conditions whose clips are scored, by what makes them."""

FMRI_CONDITIONS = ("fmri", "shifted", "shuffled", "mean", "noise")  # a subject's decoder
CAPTION_CONDITIONS = ("caption", "training_caption")  # the video prior
BASELINE_CONDITIONS = ("static", "blurred")  # no network

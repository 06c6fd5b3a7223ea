"""fMRI: CIFTI files, visual areas, cleaning of runs, and the samples that models learn from."""

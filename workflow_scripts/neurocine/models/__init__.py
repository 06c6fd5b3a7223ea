"""Networks: the fMRI encoder, the video diffusion network and their saving."""

"""Ridge regression, the method to beat: features of clips by a linear map from fMRI, and clips from them."""

"""The linear SVM of scikit-learn, faster where there are fewer images than features."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from sklearn.svm import LinearSVC

_SMALLEST_EIGENVALUE = 1e-7
"""Eigenvalues below this fraction of the largest one are rounding errors."""


class RowSpaceSVC(LinearSVC):  # type: ignore[misc]
    """A `LinearSVC` that is fitted in the space that the images span.

    The weights of a linear SVM are a weighted sum of the images. So N images of D features are
    rotated into at most N coordinates, with all of their inner products, and with them every step
    of the solver, as they were. Its work is proportional to the number of coordinates.
    """

    dual: bool | str
    coef_: npt.NDArray[Any]

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any]) -> RowSpaceSVC:  # noqa: N803
        """Fit to features (N, D) and labels (N,)."""
        if len(X) >= X.shape[1]:
            super().fit(X, y)
            return self
        values, vectors = eigh((X @ X.T).astype(np.float64), overwrite_a=True)
        is_spanned = values > _SMALLEST_EIGENVALUE * values[-1]
        lengths, vectors = np.sqrt(values[is_spanned]), vectors[:, is_spanned]
        chosen, self.dual = self.dual, True  # as it is for fewer images than features
        try:
            super().fit(vectors * lengths, y)
        finally:
            self.dual = chosen
        self.coef_ = (self.coef_ / lengths) @ vectors.T @ X
        self.n_features_in_ = X.shape[1]
        return self

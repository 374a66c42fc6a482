"""Types of the numpy arrays that packages exchange."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TokenIds = npt.NDArray[np.int32]  # token ids of a tokenizer
ExampleIds = npt.NDArray[np.int64]  # positions in a training set
Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

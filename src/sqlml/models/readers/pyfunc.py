"""Any other flavour, through MLflow's own loader: the artifact's code runs, so it must be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sqlml.models.fitted import Fitted


def load(folder: Path, options: Mapping[str, Any], *, trusted: bool, model: str) -> Fitted:
    """Read a `python_function` model; it takes data frames and answers whatever its signature says."""
    # Only here, since it takes seconds to import.
    from sqlml.models.registry import load_pyfunc

    predict_frame = load_pyfunc(folder)

    def predict(rows: pd.DataFrame) -> Any:
        return predict_frame(rows)

    return Fitted(library="python_function", kind="other", predict=predict, takes_matrix=False)

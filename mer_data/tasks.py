"""Classification tasks on the sentiment label in [-3, 3] (method: sign, or rounded value)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import MerDataError

TaskName = Literal["binary", "seven"]
LABEL_RANGE = (-3.0, 3.0)


@dataclass(frozen=True)
class Task:
    """A task: its name and its class names in the order of the class index."""

    name: TaskName
    classes: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.classes)

    def class_of(self, labels: NDArray[np.floating]) -> NDArray[np.int64]:
        """Class index (N,) of real labels (N,).

        ``binary``: negative (<0), neutral (=0), positive (>0). ``seven``: half-to-even rounding of the
        label clipped to [-3, 3], plus 3. Always from the real number, never from a stored class string.
        """
        values = np.asarray(labels, dtype=np.float64)
        if self.name == "binary":
            return (np.sign(values) + 1).astype(np.int64)
        return (np.rint(np.clip(values, *LABEL_RANGE)) + 3).astype(np.int64)


TASKS: dict[str, Task] = {
    "binary": Task("binary", ("negative", "neutral", "positive")),
    "seven": Task("seven", ("-3", "-2", "-1", "0", "1", "2", "3")),
}


def get_task(name: str) -> Task:
    """The task called ``name``; an unknown name lists the known ones."""
    if name not in TASKS:
        raise MerDataError("unknown task", found=repr(name), expected=" or ".join(get_args(TaskName)))
    return TASKS[name]

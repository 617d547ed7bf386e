"""Looking at our files: ``summarise`` gives JSON values, ``describe`` makes lines for people of them."""

from mer_data.inspect.lines import describe, time_line
from mer_data.inspect.summary import summarise, summarise_utterance

__all__ = ["describe", "summarise", "summarise_utterance", "time_line"]

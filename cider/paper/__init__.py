"""The paper's tables as data, the runs that they need, and our rows beside the published ones."""

import shutil
from pathlib import Path

import pytest
from reproduction_tables import write_tables

from cider.paper.plan import make_plan
from cider.paper.run import Watch, reproduce
from cider.paper.tables import load_table

SEEDS = (1, 2)


@pytest.fixture(scope="session")
def tiny_home(tiny_home, tmp_path_factory) -> Path:
    """The tiny workspace with a vocabulary of seven classes; read it only."""
    from mer_data.splits import SplitManifest
    from mer_data.statistics.vocabulary import counterfactual_vocabulary
    from mer_data.store.choose import choose_store
    from mer_data.tasks import get_task
    from mer_data.workspace import Workspace

    home = tmp_path_factory.mktemp("with_seven") / "home"
    shutil.copytree(tiny_home, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(home))
        workspace = Workspace("sample")
        store, split = choose_store(workspace, "unaligned"), workspace.split_path("standard")
        counterfactual_vocabulary(store, SplitManifest.load(split), get_task("seven")).save(
            workspace.vocabulary_path(store.path, split, "seven")
        )
    return home


@pytest.fixture(scope="session")
def tables(tmp_path_factory) -> Path:
    """Small tables; read them only."""
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="session")
def plan(tables):
    """Table 1 with two seeds."""
    return make_plan(load_table("table1", tables), seeds=SEEDS)


@pytest.fixture(scope="session")
def reproduced(tiny_home, plan, tmp_path_factory):
    """The runs of table 1, trained and predicted: their folder, the measurements, and what was told."""
    parent, told = tmp_path_factory.mktemp("reproduced") / "runs", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(tiny_home))
        found = reproduce(plan, parent, Watch(told.append))
    return parent, found, told

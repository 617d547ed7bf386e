import sys

import pytest
from torch import nn

from cider.models.registry import MODELS, find_model
from cider.models.settings import BackboneSettings
from mer_data.errors import RecipeError


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_registered_model_is_found_and_has_settings_with_defaults(name):
    model = find_model(name)
    assert issubclass(model, nn.Module)
    settings = model.Settings()
    assert isinstance(settings, BackboneSettings)
    assert model.Settings.model_validate(settings.model_dump(mode="json")) == settings


def test_a_model_of_an_installed_package_is_found_by_its_place(tmp_path, monkeypatch):
    source = "from cider.models.text_only import TextOnly\nclass Mine(TextOnly):\n    pass\nother = 3\n"
    (tmp_path / "my_models.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])  # where installations come
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    assert find_model("my_models:Mine").__name__ == "Mine"
    monkeypatch.setitem(MODELS, "mine", "my_models:Mine")
    assert find_model("mine") is find_model("my_models:Mine")
    with pytest.raises(
        RecipeError, match="'my_models:other' has no settings: expected a class attribute Set"
    ):
        find_model("my_models:other")
    with pytest.raises(RecipeError, match="cannot import model 'my_models:Yours'"):
        find_model("my_models:Yours")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dlff", "no model 'dlff': expected cider, .*early_fusion, .*text_only or module:class of your own"),
        ("", "no model ''"),
        ("nowhere_at_all:X", "'nowhere_at_all:X' is in no installed package.*--code nowhere_at_all.py"),
        ("cider.nope:X", "cannot import model 'cider.nope:X' .No module named 'cider.nope'"),
        (":X", "cannot import model ':X'"),
        ("..relative:X", "cannot import model"),
    ],
)
def test_an_unknown_model_is_told_in_one_line(name, message):
    with pytest.raises(RecipeError, match=message):
        find_model(name)

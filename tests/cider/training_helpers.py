"""What the tests of training share: a trainer on the tiny workspace, and what it left."""

import torch

from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training.trainer import Trainer
from mer_data.torch_data.batches import make_loader

#: The precision of numbers that are compared closely; by default a processor chooses.
FLOAT32 = "training.mixed_precision='no'"
#: Weights that cannot be mistaken for each other.
UNEQUAL_LOSSES = ("loss.alpha_reconstruction=0.7", "loss.beta_attention=0.02", "loss.gamma_joint=0.3")


def make_trainer(recipe, folder):
    experiment, run = Experiment.open(recipe), RunFolder(folder)
    run.start(experiment)
    return Trainer(experiment, run), experiment, run


def fit(recipe, folder):
    """Train; the result, the log without its durations, and the weights kept."""
    trainer, _, run = make_trainer(recipe, folder)
    result = trainer.fit()
    run.load_weights(trainer.model)
    return result, log_of(folder), snapshot(trainer.model)


def log_of(folder):
    """The log without what differs between equal trainings."""
    return [
        {key: value for key, value in epoch.items() if key != "seconds"}
        for epoch in RunFolder(folder).read_log()
    ]


def files_of(folder):
    """Bytes of every file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def snapshot(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def train_batch(experiment, size=8):
    """The first training utterances, among them the one that has neither words nor frames."""
    return next(iter(make_loader(experiment.store, experiment.rows["train"], batch_size=size)))


def without_dropout(model):
    """Switch it off, but for the tri attention's, which is no module: set model.attention_dropout=0."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

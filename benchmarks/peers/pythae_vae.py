"""pythae's VAE: its estimate of the log-likelihood and its trainer."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

from benchmarks.peers import by_hand
from benchmarks.setting import LR, Setting


class Encoder(BaseEncoder):  # type: ignore[misc]
    """pythae reads the log-variance."""

    def __init__(self, net: by_hand.VAE) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.net.encoder(x.flatten(1))
        scale = nn.functional.softplus(self.net.raw(h) + 0.5413)
        return ModelOutput(embedding=self.net.loc(h), log_covariance=2 * scale.log())


class Decoder(BaseDecoder):  # type: ignore[misc]
    """pythae's Bernoulli is scored on probabilities."""

    def __init__(self, net: by_hand.VAE) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.net.out(self.net.decoder(z)).sigmoid().view(-1, 1, 28, 28))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def model(setting: Setting, net: by_hand.VAE) -> VAE:
    """The hand-written network in pythae's VAE."""
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=setting.latent_dim, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(net), decoder=Decoder(net))


def log_likelihood(pair: VAE, x: Tensor, samples: int, batch: int) -> float:
    """`get_nll`, in nats; in spite of its name it gives the mean log-likelihood."""
    pair.eval()
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        return float(pair.get_nll(x.view(-1, 1, 28, 28), n_samples=samples, batch_size=batch))


def train(pair: VAE, images: Tensor, epochs: int, batch: int) -> None:
    """Its trainer, on binarized images (it has no draw at every access)."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, _silence():
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            per_device_train_batch_size=batch,
            learning_rate=LR,
            optimizer_cls="Adam",
            no_cuda=True,
        )
        data = BaseDataset(images, torch.zeros(len(images)))
        BaseTrainer(model=pair, train_dataset=data, training_config=config).train()
    logging.disable(logging.NOTSET)

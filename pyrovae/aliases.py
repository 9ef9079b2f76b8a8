"""What other programs call what pyrovae has: asked for the one, an error names the other."""

from collections.abc import Iterable

SYNONYMS: dict[str, tuple[str, ...]] = {
    # commands
    "train": ("fit",),
    "learn": ("fit",),
    "run": ("fit",),
    "resume": ("fit",),
    "plot": ("sample", "reconstruct"),
    "draw": ("sample",),
    "generate": ("sample",),
    "ls": ("runs", "models"),
    "list": ("runs", "models"),
    "show": ("inspect",),
    "info": ("inspect",),
    "score": ("evaluate", "loglik"),
    "test": ("evaluate", "loglik"),
    "eval": ("evaluate",),
    "likelihood": ("loglik",),
    "nll": ("loglik",),
    "embed": ("encode",),
    "latents": ("encode",),
    "decode": ("reconstruct",),
    "datasets": ("data",),
    # models, guides, data, objectives, likelihoods
    "autoencoder": ("vae",),
    "conditional": ("cvae",),
    "m2": ("ssvae",),
    "text": ("textvae", "pydoc"),
    "ladder": ("hvae",),
    "meanfield": ("diagonal",),
    "autonormal": ("diagonal",),
    "multivariatenormal": ("full",),
    "autolowrankmultivariatenormal": ("lowrank",),
    "maf": ("iaf",),
    "realnvp": ("coupling",),
    "nsf": ("spline",),
    "fashionmnist": ("fashion",),
    "cifar": ("cifar10",),
    "gaussian": ("normal", "standard"),
    "mse": ("normal",),
    "binary": ("bernoulli",),
    "crossentropy": ("bce", "bernoulli"),
    "vampprior": ("vamp",),
    # options
    "learningrate": ("lr",),
    "rate": ("lr",),
    "batch": ("batch_size",),
    "bs": ("batch_size",),
    "nepochs": ("epochs",),
    "numepochs": ("epochs",),
    "maxepochs": ("epochs",),
    "output": ("out",),
    "outputdir": ("out",),
    "outdir": ("out",),
    "o": ("out",),
    "latent": ("latent_dim",),
    "latentsize": ("latent_dim",),
    "zdim": ("latent_dim",),
    "nlatent": ("latent_dim",),
    "hiddendim": ("hidden",),
    "hiddensize": ("hidden",),
    "dataset": ("data",),
    "input": ("data",),
    "encoder": ("guide",),
    "posterior": ("guide",),
    "loss": ("objective",),
    "numsamples": ("samples", "number"),
    "nsamples": ("samples", "number"),
    "k": ("samples", "particles"),
    "numparticles": ("particles",),
    "gpu": ("device",),
    "cuda": ("device",),
    "randomseed": ("seed",),
    "numworkers": ("workers",),
    "klweight": ("beta",),
    "annealing": ("kl_warmup",),
    "warmup": ("kl_warmup",),
    "earlystopping": ("patience",),
    "gradclip": ("clip",),
    "force": ("overwrite",),
    "verbose": ("quiet", "debug"),
}
"""A name without dashes, underscores and capitals -> what stands for it here, the best first: of commands, names and
options, those that there are where the name was not found."""


def bare(name: str) -> str:
    """`learningrate` of `learning-rate`, `learning_rate` and `Learning-Rate`, whatever dashes stand before it."""
    return "".join(letter for letter in name.lower() if letter not in "-_ ")


def meant(name: str, known: Iterable[str]) -> list[str]:
    """Those of `known` that are the same name in other letters, or else a synonym of it."""
    names = {bare(each): each for each in known}
    if bare(name) in names:
        return [names[bare(name)]]
    return [names[bare(each)] for each in SYNONYMS.get(bare(name), ()) if bare(each) in names]

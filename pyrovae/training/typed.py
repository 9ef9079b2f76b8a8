"""Types of the options of `fit` and `compare`, for editors and type checkers; printed by .ci/settings from the Configs.

What an option may be is said and held where it is defined; here stand its type, its line of help and its default.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class CompareSettings(TypedDict, total=False):
    """Options of `pyrovae.compare`, by name: of training (`pyrovae.options.TrainConfig`), of the data
    (`pyrovae.data.DataConfig`) and of the models that have them.

    Attributes:
        epochs: passes over the training data [default: about 3,000 steps, at least 10]; passes over the training
            data (textvae) [default: 20]
        batch_size: data a step [default: 128, or all where there are fewer]; data a step (textvae) [default: 32]
        microbatch: data at once, at most; the gradients of a step are added up [default: all; fewer where memory
            runs out]
        max_memory: memory that the fit may take, such as 8GB: of a GPU; of a CPU about, with smaller microbatches
            [default: None]
        lr: learning rate [default: 0.002], (textvae) [default: 0.003]
        schedule: of the learning rate [default: 'cosine']
        optimizer: fused where torch can [default: 'adam']
        momentum: of optimizer rmsprop [default: 0.0]
        adam_eps: epsilon of the optimizer [default: 1e-08]
        weight_decay: of the optimizer [default: 0.0]
        clip: largest global norm of the gradient; 0 does not clip [default: 0.0], (textvae) [default: 5.0]
        beta: weight of the KL term; the printed ELBO is never weighted [default: 1.0]
        kl_warmup: epochs over which the KL weight grows to beta [default: 0.0], (textvae) [default: 10.0]
        kl_start: share of beta at which the KL warm-up starts [default: 0.0]
        kl_cycles: times that the KL warm-up runs: equal cycles of training, each starting anew [default: 1]
        free_bits: nats a latent dimension that cost nothing [default: 0.0]
        free_nats: nats of all latents together that cost nothing [default: 0.0]
        kl: the KL term of the drawn z, or in closed form for the latents that have one [default: 'sampled']
        objective: what is maximised; renyi:alpha=0.5 is renyi with alpha 0.5 [default: 'elbo']
        alpha: order of objective renyi: 0 is the bound of iwae, towards 1 the ELBO [default: None]
        particles: draws of z a datum and step: averaged by elbo and stl, K of the bounds [default: 1]
        aggressive: steps of the guide before each of the model, at most, until the guide keeps up; 0: both at once
            [default: 0]
        patience: stop after so many epochs without a better held-out ELBO; 0 never [default: 0]
        precision: of matrix products while training; the rest, and all scores, are in float32 [default: '32']
        compile: compile the training steps; compile=False runs eager Pyro [default: where it is won back]
        score_samples: importance samples of the log-likelihood at the end [default: 200], (textvae) [default: 50]
        score_limit: test data of the log-likelihood at the end, at most, evenly spaced [default: 1000]
        max_skipped: stop after so many steps in a row whose loss or gradients are not finite [default: 50]
        checkpoint_every: steps between checkpoints, or seconds with an s; 0: only where training stops [default:
            '60s']
        device: auto, cpu, cuda, cuda:1 or mps; auto: a GPU when there is one [default: 'auto']
        data_root: folder that holds the data sets [default: data]
        download: fetch missing files into the data root [default: False]
        binarize: pixels to 0/1: drawn at every access, drawn once, > 0.5, not; auto: dynamic for gray sets
            [default: 'auto']
        held_out: cut from train for a split that the data lack: a fraction, or a count from 1 on [default: 0.1]
        data_seed: seed of the splits, of limit_train and of valid/test pixels [default: 0]
        limit_train: train on this many data only, drawn by data_seed [default: None]
        layout: axes of arrays: image makes (N, H, W) and (N, H, W, C) to (N, C, H, W), given leaves them [default:
            given for a pair of your own, else image]
        pixels: whole numbers 0 to 255 are pixels, divided by 255: those of uint8 and of images, in every field;
            pixels=False: none are [default: those of the images x]
        standardize: a built-in pair takes vectors in units of their training deviation around their training mean;
            log p and outputs keep the units of the data [default: vectors beyond [0, 1]]
        image_size: resize images to this height and width [default: None]
        stream: read training data (a folder of images, a .npy) from disk while training [default: where they would
            take more than half of the free memory]
        workers: processes that read them; 0 reads in the one that trains [default: one a core, at most 4]
        vocab: what a token of text is; char suits text without blanks (Chinese, SMILES) [default: 'word']
        vocab_size: most tokens in the vocabulary, with the special four [default: 10000]
        min_count: leave out words or merges that occur fewer times in train [default: 1]
        max_length: drop training sentences of more tokens, <eos> counted; valid and test keep all [default: 60]
        likelihood: p(x|z); auto: Bernoulli for binary data, else Normal; bce: Bernoulli's formula on grayscale,
            which is no likelihood (cvae, hvae, iaf, ssvae, vae) [default: 'auto']
        scale: scale of a Normal: one learned, fixed at sigma, or one a pixel (cvae, hvae, iaf, ssvae, vae)
            [default: 'learned']
        sigma: where the scale of a Normal starts, or stays (cvae, hvae, iaf, ssvae, vae) [default: 0.5]
        output_bias: where the decoder's output starts: at the mean of the training data, or at 0 (cvae, hvae, iaf,
            ssvae, vae) [default: 'mean']
        net: fully connected or convolutional networks (cvae, hvae, ssvae, vae) [default: 'mlp']
        hidden: widths of the fully connected layers (cvae, hvae, ssvae, vae) [default: (200, 200)]; dimensions of
            the GRU states (textvae) [default: 128]
        channels: channels of the layers of net conv (cvae, hvae, ssvae, vae) [default: (32, 64)]
        activation: between the layers; gated: layers (W x + b) * sigmoid(V x + c) (cvae, hvae, ssvae, vae)
            [default: 'tanh']
        latent_dim: dimensions of z (cvae, vae) [default: 20], (iaf) [default: 32], (ssvae) [default: 50], (textvae)
            [default: 16]; dimensions of z1 and of z2 (hvae) [default: (100, 50)]
        condition: y: the field y of the data (a label or a real vector), or the given quadrants of x (cvae)
            [default: 'label']
        quadrants: how many quadrants are given (cvae) [default: 1]
        embedding: dimensions of a learned label embedding; not given: one-hot (cvae) [default: None]; dimensions of
            a word embedding (textvae) [default: 128]
        prior: p(z|y) from a network of y, or N(0, I) (cvae) [default: 'conditional']; p(z): N(0, I); the guide's
            mixture over pseudo-inputs (VampPrior); or a flow on N(0, I) (hvae, iaf, vae) [default: 'standard']
        skip: the decoder reads y beside z; skip=False: z alone (cvae) [default: True]
        z: z=False: p(x|y) from a network of y alone, to compare with (cvae) [default: True]; z=False: the same
            decoder without z, a language model (textvae) [default: True]
        pseudo_inputs: components of prior vamp (hvae, iaf, vae) [default: 500]
        prior_steps: couplings of prior flow (hvae, iaf, vae) [default: 4]
        prior_hidden: width of the layers of prior flow (hvae, iaf, vae) [default: 64]
        hidden2: widths of the layers between z1 and z2; hidden: between x and z1 (hvae) [default: (100, 100)]
        widths: feature maps of the stages, each halving x (iaf) [default: (16, 32)]
        context: dimensions of the encoder's h, which every step of the flow reads (iaf) [default: 256]
        labels: training labels that are kept, equally over the classes [default: all] (ssvae)
        label_seed: of the draw of these labels (ssvae) [default: 0]
        labelled_share: labelled rows are repeated to be this share of training [default: each once] (ssvae)
        label_weight: of the mean of -log q(y|x) over labelled data, beside the mean loss a datum (ssvae) [default:
            0.1]
        word_dropout: share of the decoder's input words replaced by <unk> (textvae) [default: 0.25]
        tied: one matrix for the decoder's input and output words (textvae) [default: True]
    """

    epochs: int | None
    batch_size: int | None
    microbatch: int | None
    max_memory: str | None
    lr: float
    schedule: Literal["constant", "cosine", "linear", "iwae"]
    optimizer: Literal["adam", "adamw", "adamax", "rmsprop"]
    momentum: float
    adam_eps: float
    weight_decay: float
    clip: float
    beta: float
    kl_warmup: float
    kl_start: float
    kl_cycles: int
    free_bits: float
    free_nats: float
    kl: Literal["sampled", "analytic"]
    objective: str
    alpha: float | None
    particles: int
    aggressive: int
    patience: int
    precision: Literal["32", "tf32", "bf16"]
    compile: bool | None
    score_samples: int
    score_limit: int
    max_skipped: int
    checkpoint_every: str
    device: str
    data_root: str | Path | None
    download: bool
    binarize: Literal["auto", "dynamic", "static", "threshold", "none"]
    held_out: float
    data_seed: int
    limit_train: int | None
    layout: Literal["image", "given"] | None
    pixels: bool | None
    standardize: bool | None
    image_size: int | None
    stream: bool | None
    workers: int | None
    vocab: Literal["word", "subword", "char"]
    vocab_size: int
    min_count: int
    max_length: int
    likelihood: str
    scale: Literal["learned", "fixed", "pixel"]
    sigma: float
    output_bias: Literal["mean", "zero"]
    net: Literal["mlp", "conv"]
    hidden: Sequence[int] | int
    channels: Sequence[int]
    activation: Literal["tanh", "relu", "softplus", "elu", "gated"]
    latent_dim: int | Sequence[int]
    condition: Literal["label", "quadrants"]
    quadrants: Literal[1, 2, 3]
    embedding: int | None
    prior: str
    skip: bool
    z: bool
    pseudo_inputs: int
    prior_steps: int
    prior_hidden: int
    hidden2: Sequence[int]
    widths: Sequence[int]
    context: int
    labels: int | None
    label_seed: int
    labelled_share: float | None
    label_weight: float
    word_dropout: float
    tied: bool


class FitSettings(CompareSettings, total=False):
    """Options of `pyrovae.fit`, by name: those of `CompareSettings`, and the seed of the one fit.

    Attributes:
        seed: of the weights, the shuffling and the noise [default: 0]
    """

    seed: int

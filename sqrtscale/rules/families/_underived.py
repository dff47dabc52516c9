"""Optimizers for which the square-root rule is not derived: named, with what is known, and never given a number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Underived:
    """name: what users type; label: what they read; known: what is known, in one sentence; source: of that."""

    name: str
    label: str
    known: str
    source: str

    @property
    def allowed(self) -> str:
        """The rest of the sentence of a FieldError."""
        return f"has no derived rule ({self.known}; {self.source}): tune it at the target batch, or give another"


UNDERIVED: dict[str, Underived] = {underived.name: underived for underived in (
    Underived("adamax", "Adamax", "its denominator is a maximum over recent gradients, which falls more slowly than the noise "
              "when a step covers more samples: simulated at kappa = 8 it moves 14 to 26% too far",
              "our simulation, docs/experiments.md"),
    Underived("lion", "Lion", "it takes the sign of the update, and its users report that the usual laws do not fit",
              "Chen et al. 2023, arXiv 2302.06675; Compagnoni et al. 2024 derive an SDE for the sign method"),
    Underived("signsgd", "SignSGD", "an SDE exists, with its own rule, for the sign without momentum",
              "Compagnoni et al. 2024, arXiv 2411.15958"),
    Underived("muon", "Muon", "sqrt scaling of lr is in use, by its authors' own word an assumption that was not studied",
              "nanochat, scripts/base_train.py"),
    Underived("adafactor", "Adafactor", "its second moment is factored and its step is relative to the weights' size",
              "Shazeer & Stern 2018, arXiv 1804.04235"),
    Underived("sophia", "Sophia", "its denominator is a clipped estimate of curvature, not of noise",
              "Liu et al. 2023, arXiv 2305.14342"),
    Underived("lamb", "LAMB", "its trust ratio rescales every layer; its authors use the square root on lr",
              "You et al. 2020, arXiv 1904.00962"),
    Underived("lars", "LARS", "its trust ratio rescales every layer", "You et al. 2017, arXiv 1708.03888"),
    Underived("adadelta", "Adadelta", "its step is measured by its own earlier steps", "Zeiler 2012, arXiv 1212.5701"),
    Underived("adagrad", "Adagrad", "its second moment is a sum that never forgets, so there is no stationary noise level",
              "Duchi et al. 2011"),
    Underived("shampoo", "Shampoo", "its preconditioner is a matrix root; the paper treats coordinates one by one",
              "Gupta et al. 2018, arXiv 1802.09568"),
    Underived("soap", "SOAP", "Adam in a rotating basis; nobody has derived its SDE", "Vyas et al. 2024, arXiv 2409.11321"),
    Underived("adabelief", "AdaBelief", "its second moment is centred on m; nobody has derived its SDE",
              "Zhuang et al. 2020, arXiv 2010.07468"),
    Underived("schedulefree", "Schedule-Free", "its average over all iterates has no fixed memory",
              "Defazio et al. 2024, arXiv 2405.15682"),
    Underived("galore", "GaLore", "Adam on a low-rank projection of the gradient that changes during training",
              "Zhao et al. 2024, arXiv 2403.03507"),
    Underived("apollo", "APOLLO", "its second moment is of a random projection, one scale a channel or tensor",
              "Zhu et al. 2024, arXiv 2412.05270"),
    Underived("badam", "BAdam", "it trains one block of the weights at a time, each with a state of its own",
              "Luo et al. 2024, arXiv 2404.02827"),
    Underived("adammini", "Adam-mini", "its second moment is one number a block, so coordinates are not normalised one by one",
              "Zhang et al. 2024, arXiv 2406.16793"),
    Underived("adalomo", "AdaLOMO", "it steps in the backward pass with a factored second moment",
              "Lv et al. 2023, arXiv 2310.10195"),
    Underived("lomo", "LOMO", "it steps in the backward pass, without moments", "Lv et al. 2023, arXiv 2306.09782"),
    Underived("came", "CAME", "its second moment is factored and weighted by a confidence", "Luo et al. 2023, arXiv 2307.02047"),
    Underived("adan", "Adan", "its moments hold differences of gradients", "Xie et al. 2022, arXiv 2208.06677"),
    Underived("ademamix", "AdEMAMix", "it mixes two first moments by schedules of their own",
              "Pagliardini et al. 2024, arXiv 2409.03137"),
    Underived("dadapt", "D-Adaptation", "it sets its own lr while it runs", "Defazio & Mishchenko 2023, arXiv 2301.07733"),
    Underived("stableadamw", "StableAdamW", "it clips each tensor's update by its own size",
              "Wortsman et al. 2023, arXiv 2304.13013"),
    Underived("dion", "Dion", "its update is orthogonalised, as Muon's", "Ahn et al. 2025, arXiv 2504.05295"),
    Underived("prodigy", "Prodigy", "it sets its own lr while it runs", "Mishchenko & Defazio 2023, arXiv 2306.06101"),
)}

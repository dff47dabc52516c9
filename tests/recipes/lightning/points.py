"""A LightningModule with its DataModule, as users have them."""

import torch
from lightning import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Classifier(LightningModule):
    def __init__(self, width=12, lr=3e-3):
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Dropout(0.1), nn.Linear(width, 3))

    def training_step(self, batch, batch_idx):
        inputs, kinds = batch
        loss = nn.functional.cross_entropy(self.layers(inputs), kinds)
        self.log("train_loss", loss, prog_bar=True)
        return {"loss": loss}

    def validation_step(self, batch, batch_idx):
        inputs, kinds = batch
        logits = self.layers(inputs)
        self.log_dict({"val_loss": nn.functional.cross_entropy(logits, kinds),
                       "val/acc": (logits.argmax(1) == kinds).float().mean()})

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), self.hparams.lr, betas=(0.8, 0.95), weight_decay=0.02)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 100)}


class Points(LightningDataModule):
    def __init__(self, count=400):
        super().__init__()
        self.count = count

    def setup(self, stage):
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(self.count, 6, generator=generator)
        kinds = (inputs[:, :3] + 0.3 * torch.randn(self.count, 3, generator=generator)).argmax(1)
        self.train, self.held = random_split(TensorDataset(inputs, kinds), [self.count - 80, 80])

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=16, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.held, batch_size=64)

"""Run by torchrun (see test_trainer): trains a run, and once more from its middle; each process keeps the weights it ends with."""

import os
import shutil
import sys
import time
from pathlib import Path

from lightning_fabric import Fabric
from safetensors.torch import save_file

from training import trainer
from training.config import TrainingConfig

RANK = int(os.environ["RANK"])
config, folder = TrainingConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2])
trainer.LOG_EVERY = 1
launch = Fabric.launch


def late(fabric: Fabric) -> None:
    """All but the first process come to the folder when its settings are there already."""
    launch(fabric)
    while RANK and not (folder / "whole" / "config.json").exists():
        time.sleep(0.02)


def copy(done: int, _figures: object) -> None:
    if done == 3:  # the newest checkpoint is of step 2
        shutil.copytree(folder / "whole", folder / "resumed")


Fabric.launch = late
for name, resume in (("whole", False), ("resumed", True)):
    net = trainer.train(config, folder / name, resume=resume, report=copy if name == "whole" else None).net
    save_file(net.state_dict(), folder / f"{name}-{RANK}.safetensors")

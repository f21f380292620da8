"""Pickled and GGUF weights to a transformers folder of safetensors, once for each digest."""

import io
import logging
import pickle
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.errors import ParameterError
from tasks.artifacts.digest import commit, sync
from tasks.artifacts.lock import locked
from tasks.model.files import FIELD, PICKLE, SAFETENSORS, first_line, weight_files, weights_digest

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


def convert_pickles(folder: Path, *, cache: Path) -> Path:
    """A folder like this one with safetensors in place of pickles, which are read as tensors and nothing else.

    Raises ParameterError for a pickle that holds more: reading it would run its code.
    """

    def write(target: Path) -> None:
        from safetensors.torch import save_file

        tensors: dict[str, torch.Tensor] = {}
        for path in weight_files(folder).paths:
            tensors |= _read_pickle(path)
        whole = {name: tensor.clone() for name, tensor in tensors.items()}  # a tied matrix shares its memory
        save_file(whole, target / SAFETENSORS, metadata={"format": "pt"})
        for path in folder.iterdir():
            if path.suffix in (".json", ".jinja") and not path.name.startswith(PICKLE):
                shutil.copyfile(path, target / path.name)

    return _made_once(cache / f"tensors-{weights_digest(folder)[:16]}", write)


def convert_gguf(path: Path, *, cache: Path) -> Path:
    """The model of a GGUF file, de-quantized to float32, with its tokenizer where transformers can read it."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    known: Any = GGUF_SUPPORTED_ARCHITECTURES

    def write(target: Path) -> None:
        try:
            _write_gguf(path, target)
        except ParameterError:
            raise
        except ImportError:
            raise ParameterError(f"{FIELD}: {path}: reading GGUF needs the package gguf; pip install gguf") from None
        except (ValueError, KeyError, NotImplementedError, RuntimeError) as error:
            names = ", ".join(sorted(set(known) - {"general", "tokenizer"}))
            raise ParameterError(
                f"{FIELD}: {path} cannot be converted ({first_line(error)}); transformers reads GGUF files of "
                f"{names}. Take the original weights otherwise"
            ) from None

    return _made_once(cache / f"gguf-{weights_digest(path)[:16]}", write)


def _write_gguf(path: Path, target: Path) -> None:
    import torch
    from transformers import AutoConfig, GgufConfig

    from tasks.model.build import model_class
    from tasks.model.loading import check_complete, tell_left_out
    from tasks.model.quiet import quiet_transformers

    with quiet_transformers():
        config: Any = AutoConfig.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
        if head_dim := _head_dim(path):  # transformers 5.24 leaves it at the default of the class
            config.head_dim = head_dim
        with redirect_stderr(io.StringIO()):  # the bar of de-quantizing has no switch
            model, found = model_class(config).from_pretrained(
                path.parent,
                gguf_file=path.name,
                config=config,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
                local_files_only=True,
                ignore_mismatched_sizes=True,  # told below, all of them at once
                output_loading_info=True,
            )
        check_complete(found, path, type(model).__name__)
        tell_left_out(found, path, type(model).__name__)
        plain = model_class(config).from_config(config, dtype=torch.float32)  # the loaded one counts as quantized
        plain.load_state_dict(model.state_dict())
        plain.save_pretrained(target)
        _write_tokenizer(path, target)


def _head_dim(path: Path) -> int | None:
    """The width of a head where the file states it."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    architecture = fields["general.architecture"].contents()
    stated = fields.get(f"{architecture}.attention.key_length")
    return None if stated is None else int(stated.contents())


def _write_tokenizer(path: Path, target: Path) -> None:
    from transformers import AutoTokenizer

    kind: Any = AutoTokenizer
    try:
        kind.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True).save_pretrained(target)
    except (ValueError, KeyError, NotImplementedError, OSError) as error:
        log.warning(
            "%s: its tokenizer cannot be read (%s); whether yours matches is judged by special tokens alone",
            path,
            first_line(error),
        )


def _read_pickle(path: Path) -> dict[str, "torch.Tensor"]:
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ParameterError(
            f"{FIELD}: {path} is a pickle that holds more than tensors or is damaged, and reading it could run any "
            f"code ({first_line(error)[:120]}); take {SAFETENSORS}, or convert it where you trust it"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ParameterError(f"{FIELD}: {path} is not a dictionary of tensors; take {SAFETENSORS}")
    return found


def _made_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """A folder that is whole or not there, made by one process however many want it."""
    draft = folder.with_name(f"{folder.name}.partial")
    with locked(folder.with_name(f"{folder.name}.lock")):
        if folder.exists():
            return folder
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        write(draft)
        for path in draft.iterdir():
            sync(path)
        commit(draft, folder)
    return folder

"""One side of bench_decode.py in a process of its own: tokens a second of greedy decoding, one text at a time.

    python tests/bench/decode_sides.py KIND FOLDER THREADS PROMPTS.json NEW

KIND is torch (transformers, eager, with its cache), ours (tasks/serving) or genai (onnxruntime-genai's Generator).
Prints one JSON object: tokens, and the tokens a second of each prompt after the first.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

Decode = Callable[[list[int], int], list[int]]


def main() -> None:
    kind, folder, threads, prompts, new = sys.argv[1:6]
    decode = SIDES[kind](Path(folder), int(threads))
    rows = json.loads(Path(prompts).read_text())
    made, speeds = [decode(rows[0], int(new))], []
    for row in rows:
        began = time.perf_counter()
        made.append(decode(row, int(new)))
        speeds.append(len(made[-1]) / (time.perf_counter() - began))
    print(json.dumps({"tokens": made[1:], "speeds": speeds}))


def torch_side(folder: Path, threads: int) -> Decode:
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.eval()

    @torch.inference_mode()
    def decode(prompt: list[int], new: int) -> list[int]:
        tokens, cache, made = torch.tensor([prompt]), None, list[int]()
        for _ in range(new):
            out = model(input_ids=tokens, cache=cache, use_cache=True)
            cache = out.cache
            made.append(int(out.logits[0, -1].argmax()))
            tokens = torch.tensor([[made[-1]]])
        return made

    return decode


def our_side(folder: Path, threads: int) -> Decode:
    from tasks.serving.generator import OnnxModel, Sampling

    model = OnnxModel(folder, threads=threads)

    def decode(prompt: list[int], new: int) -> list[int]:
        return model.generate_tokens([prompt], Sampling(max_new_tokens=new, greedy=True), end_token=-1)[0]

    return decode


def genai_side(folder: Path, threads: int) -> Decode:
    import onnxruntime_genai as genai

    config = genai.Config(str(folder))
    padding = json.loads((folder / "genai_config.json").read_text())["model"]["pad_token_id"]
    options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
    config.overlay(json.dumps({"model": {"eos_token_id": padding, "decoder": {"session_options": options}}}))
    model = genai.Model(config)

    def decode(prompt: list[int], new: int) -> list[int]:
        params = genai.GeneratorParams(model)
        params.set_search_options(max_length=len(prompt) + new, do_sample=False)
        generator = genai.Generator(model, params)
        generator.append_tokens(prompt)
        while not generator.is_done():
            generator.generate_next_token()
        return [int(token) for token in generator.get_sequence(0)[len(prompt) :]]

    return decode


SIDES: dict[str, Callable[[Path, int], Decode]] = {"torch": torch_side, "ours": our_side, "genai": genai_side}

if __name__ == "__main__":
    main()

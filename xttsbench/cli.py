"""The command line: options in, one call out.

Built on argparse rather than a dataclass parser: it starts in milliseconds, takes several booleans
after one option, and lets every error be one sentence. Options of settings are made from `spec.SETTINGS`.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from xttsbench import __version__
from xttsbench.presets import PRESETS
from xttsbench.settings import COMPILE_MODES, DEVICES, ENGINES, PRECISIONS, SETTINGS
from xttsbench.texts import NAMES


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence on stderr, with the nearest known option, and exit code 2."""

    words: Sequence[str] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **kwargs})

    def error(self, message: str) -> NoReturn:
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            given = message.removeprefix(prefix).split()[0]
            command = next((word for word in self.words or sys.argv[1:] if word in self.commands()), "")
            own = self.commands()[command] if command else self
            known = [o for a in own._actions for o in a.option_strings]
            near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"`{own.prog} --help` lists what there is."
            message = f"{own.prog.removeprefix('xttsbench ')} has no option {given}; {hint}"
        self.exit(2, f"xttsbench: {message}\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.words = [str(word) for word in args or ()]
        return super().parse_args(args, namespace)

    def commands(self) -> dict[str, argparse.ArgumentParser]:
        """Return the parsers of the commands, by name."""
        subs = [a for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        return dict(subs[0].choices) if subs else {}


def _bool(word: str) -> bool:
    known = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    if word.lower() not in known:
        raise argparse.ArgumentTypeError(f"{word!r} is not True or False")
    return known[word.lower()]


KINDS: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": _bool, "str": str}


def _add_settings(
    parser: argparse.ArgumentParser, *, several: bool, names: Sequence[str], otherwise: Mapping[str, Any] | None = None
) -> None:
    group = parser.add_argument_group("settings" + (", each of one value or several" if several else ""))
    for name in names:
        f = SETTINGS[name]
        meta = f.metadata
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=KINDS[str(f.type)],
            nargs="+" if several else None,
            metavar=meta["unit"].upper() if meta["unit"] not in ("-", "") else "X",
            help=f"{meta['meaning']} (default {(otherwise or {}).get(name, f.default)})".replace("%", "%%"),
        )


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model and voice")
    group.add_argument("--model", help="auto (default), nano, random, xtts_v2, or a checkpoint folder")
    group.add_argument(
        "--accept-cpml", action="store_true", help="agree to the non-commercial licence of XTTSv2's weights"
    )
    group.add_argument("--device", help=f"one of {', '.join(DEVICES)} (default auto)")
    voice = group.add_mutually_exclusive_group()
    voice.add_argument(
        "--voice", nargs="+", metavar="FILE", help="clone this voice: wav, flac, mp3 or ogg, mono or stereo, any rate"
    )
    voice.add_argument("--speaker", metavar="NAME", help="a studio voice of the checkpoint")


def parser(kind: type[Parser] = Parser) -> Parser:
    """Return the whole command line; `kind` says what becomes of an error."""
    top = kind(prog="xttsbench", description="Measure how XTTSv2 streams.")
    top.add_argument("--version", action="version", version=f"xttsbench {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    about = "\n".join(f"  {name:9} {p.about}" for name, p in PRESETS.items())
    sweep = commands.add_parser(
        "sweep", help="measure a grid of settings", description=f"Measure a grid of settings.\n\npresets:\n{about}"
    )
    start = sweep.add_argument_group("what to run")
    start.add_argument("--preset", help=f"one of {', '.join(PRESETS)} (default quick on a CPU, latency on CUDA)")
    start.add_argument("--engines", nargs="+", metavar="ENGINE", help=f"of {', '.join(ENGINES)}")
    start.add_argument("--texts", nargs="+", metavar="NAME", help=f"shipped texts, of {', '.join(NAMES)}")
    start.add_argument("--text", nargs="+", metavar="TEXT", help="your own words, each in quotes a text")
    start.add_argument("--texts-file", metavar="F", help="your own: a text a line, or JSON with name, language, text")
    start.add_argument("--languages", nargs="+", metavar="CODE", help="languages of the texts (default en)")
    start.add_argument("--repeats", type=int, metavar="N", help="timed requests a setting")
    start.add_argument("--seed", type=int, metavar="S", help="seed of repeat 0; repeat r has S + r (default 0)")
    _add_model(sweep)
    build = sweep.add_argument_group("how the model is run, each of one value or several")
    build.add_argument("--precision", nargs="+", metavar="P", help=f"of {', '.join(PRECISIONS)} (default fp32)")
    build.add_argument(
        "--compile",
        nargs="+",
        metavar="MODE",
        help=f"torch.compile of the vocoder (seamless: of its token step): {', '.join(COMPILE_MODES)}",
    )
    build.add_argument("--threads", nargs="+", type=int, metavar="N", help="CPU threads of torch (0: its own choice)")
    build.add_argument(
        "--deepspeed", action="store_true", help="run the GPT of stock through DeepSpeed, where installed"
    )
    run = sweep.add_argument_group("the run")
    run.add_argument("--out", metavar="DIR", help="folder of the run (default results/<date>-<preset>-<model>)")
    run.add_argument("--resume", metavar="RUN", help="go on with a run that was broken off")
    run.add_argument("--like", metavar="RUN", help="take everything not given here from an earlier run")
    run.add_argument("--max-seconds", type=float, metavar="S", help="begin no trial after this many seconds")
    run.add_argument("--no-stages", action="store_true", help="leave out the pass that times stages")
    run.add_argument("--no-audio", action="store_true", help="keep no audio")
    run.add_argument("--dry-run", action="store_true", help="print the trials and an estimate of time, run nothing")
    names = [n for n in SETTINGS if n != "language"]
    _add_settings(sweep, several=True, names=names)

    compare = commands.add_parser(
        "compare", help="streaming against naive chunking, whole calls and seamless, on the same texts"
    )
    compare.add_argument(
        "--engines", nargs="+", metavar="ENGINE", help=f"two or more of {', '.join(ENGINES)} (default all)"
    )
    compare.add_argument(
        "--texts",
        nargs="+",
        metavar="NAME",
        help=f"shipped texts, of {', '.join(NAMES)} (default medium)",
    )
    compare.add_argument("--text", nargs="+", metavar="TEXT", help="your own words, each in quotes a text")
    compare.add_argument("--texts-file", metavar="F", help="your own: a text a line, or JSON with name, language, text")
    compare.add_argument("--repeats", type=int, metavar="N", help="seeds a text (default 5)", default=5)
    compare.add_argument("--seed", type=int, default=0, metavar="S")
    compare.add_argument("--precision", nargs=1, metavar="P", help=f"one of {', '.join(PRECISIONS)} (default fp32)")
    compare.add_argument("--threads", nargs=1, type=int, metavar="N", help="CPU threads of torch (0: its own choice)")
    compare.add_argument("--out", metavar="DIR", help="folder of the run (default results/<date>-compare-<model>)")
    compare.add_argument("--max-seconds", type=float, metavar="S", help="begin no trial after this many seconds")
    compare.add_argument("--dry-run", action="store_true", help="print the trials and an estimate of time, run nothing")
    compare.set_defaults(resume=None, no_audio=False)
    _add_model(compare)
    _add_settings(
        compare, several=False, names=list(SETTINGS), otherwise={"enable_text_splitting": True, "join": "all three"}
    )

    show = commands.add_parser("show", help="print the table of a run")
    show.add_argument("run", metavar="RUN")

    report = commands.add_parser(
        "report", help="write a run as one page to read, hear and send; 1 if no request succeeded"
    )
    report.add_argument("run", metavar="RUN")
    report.add_argument("--html", metavar="F.html", help="write the page here (default RUN/report.html)")
    report.add_argument("--md", metavar="F.md", help="write verdict and tables as Markdown too, for a pull request")

    say = commands.add_parser("say", help="speak one text, to a file or live")
    say.add_argument("text", metavar="TEXT")
    say.add_argument("--out", metavar="F.wav", help="write the audio here")
    say.add_argument("--play", action="store_true", help="play it as it comes (needs the extra `play`)")
    say.add_argument("--engine", default="stock", help=f"one of {', '.join(ENGINES)} (default stock)")
    say.add_argument("--seed", type=int, default=0)
    _add_model(say)
    _add_settings(say, several=False, names=list(SETTINGS))

    doctor = commands.add_parser("doctor", help="say whether synthesis can work here, and what to mend")
    doctor.add_argument("--quick", action="store_true", help="check versions only, synthesise nothing")

    notebook = commands.add_parser("notebook", help="execute a notebook beside the run it shows")
    notebook.add_argument("name", metavar="NAME", help="number or name, e.g. 02 or 02_sweep")
    notebook.add_argument("--run", metavar="RUN", default="", help="the run it shows, measured if it is not there yet")
    notebook.add_argument(
        *("-p", "--parameter"),
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a name of the notebook's first cell",
    )
    notebook.add_argument("--html", action="store_true", help="write it as a page too")

    lab = commands.add_parser("lab", help="open JupyterLab on the notebooks")
    lab.add_argument("run", metavar="RUN", nargs="?", default="", help="open copies of them beside this run instead")
    lab.add_argument("--no-browser", action="store_true", help="open no browser, print the address")
    lab.add_argument("--port", type=int, metavar="N", help="port of the server (default 8888 or the next free one)")
    lab.add_argument("--allow-root", action="store_true", help="run as root, in a container say")

    params = commands.add_parser("params", help="the manual of every setting")
    params.add_argument("--model", default="nano", help="whose config.json to show (default nano)")
    params.add_argument("--markdown", action="store_true", help="as the page docs/parameters.md")

    export = commands.add_parser("export-checkpoint", help="write a model as a standard checkpoint folder")
    export.add_argument("folder", metavar="DIR")
    export.add_argument("--model", default="nano", help="nano, random, xtts_v2 or a checkpoint folder")
    export.add_argument("--accept-cpml", action="store_true")
    return top


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed words, with the words themselves as `words`: a run remembers them."""
    words = list(sys.argv[1:] if argv is None else argv)
    args: argparse.Namespace = parser().parse_args(words)
    args.words = words
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 2 for bad input, said in one sentence."""
    args = parse(argv)
    from xttsbench import commands

    try:
        return int(getattr(commands, args.command.replace("-", "_"))(args))
    except ValueError as error:
        print(f"xttsbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("xttsbench: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
    except OSError as error:
        print(
            f"xttsbench: {error.filename or 'a file'}: {error.strerror or error}; choose another place.",
            file=sys.stderr,
        )
        return 2

"""diffusers' classes that we use, without all that its packages import beside them, which takes seconds.

`from diffusers import UNet2DConditionModel` also imports every transformer and autoencoder of diffusers, and
with them transformers, peft, scipy and torch._dynamo. Here diffusers' own files are imported as always, but

- PACKAGES, whose __init__ imports all that lies in them, run it when somebody asks them for a name;
- a class or function that those files take from a module in LATER is a stand-in: it imports that module when
  it is used, and gives way to what it stands for;
- what diffusers marks for torch._dynamo is marked when that is imported;
- a pass of a UNet does not import peft to scale LoRAs by 1.

So whoever uses diffusers afterwards finds it as it always is. It is done in our own programs, before anybody
has imported diffusers, and for the version VERSION; otherwise nothing is done, and all is imported at once.
"""

import gc
import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property, wraps
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any, TypeVar

VERSION = "0.42.1"  # of diffusers, whose files the lists below follow
CLASSES = ("AutoencoderKL", "UNet2DConditionModel", "DDIMScheduler")
PACKAGES = (
    "diffusers.quantizers",
    "diffusers.hooks",
    "diffusers.models.transformers",
    "diffusers.models.autoencoders",
    "diffusers.models.unets",
)
LATER = (
    "diffusers.quantizers",
    "diffusers.loaders.single_file_utils",
    "transformers",
    "transformers.utils.quantization_config",
    "peft.tuners.tuners_utils",
)
DYNAMO = "torch._dynamo"
T = TypeVar("T")


def import_diffusers_lightly() -> bool:
    """Import CLASSES; False when it was not done, and has to be done the usual way."""
    if "diffusers" in sys.modules or _version() != VERSION:
        return False
    before = set(sys.modules)
    try:
        with _without_collecting(), _light():
            diffusers = import_module("diffusers")
            for name in PACKAGES:
                _Package.put_off(name)
            for name in CLASSES:
                getattr(diffusers, name)
        # every pass of a UNet scales LoRAs, by 1 at least
        scaling = sys.modules["diffusers.utils.peft_utils"]
        for name in ("scale_lora_layers", "unscale_lora_layers"):
            setattr(scaling, name, _where_it_scales(getattr(scaling, name)))
    except Exception:  # whatever it is that fails, the usual way does without it
        for name in {name for name in sys.modules if name.partition(".")[0] == "diffusers"} - before:
            del sys.modules[name]
        return False
    return True


def _version() -> str | None:
    try:
        return importlib.metadata.version("diffusers")
    except importlib.metadata.PackageNotFoundError:
        return None


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Within it Python looks for no garbage, and afterwards not among what was imported, which stays."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


@contextmanager
def _light() -> Iterator[None]:
    """Within it files import stand-ins from LATER, and marks for torch._dynamo are kept for it."""
    tops = {name: find_spec(name) for name in {name.partition(".")[0] for name in LATER}}
    put: dict[str, ModuleType] = {
        name: _Later(name, tops[name.partition(".")[0]])
        for name in LATER
        if name not in (*PACKAGES, *sys.modules) and tops[name.partition(".")[0]] is not None
    }
    marked: list[Any] = []
    if DYNAMO not in sys.modules:
        put[DYNAMO] = _dynamo(marked)
    distributions = importlib.metadata.packages_distributions
    importlib.metadata.packages_distributions = _Distributions
    sys.modules.update(put)
    _Package.light = True
    try:
        yield
    finally:
        _Package.light = False
        importlib.metadata.packages_distributions = distributions
        for name, module in put.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        if marked:
            sys.meta_path.insert(0, _Marking(marked))


def _dynamo(marked: list[Any]) -> ModuleType:
    """What diffusers' files use of torch._dynamo while they are imported."""
    module = ModuleType(DYNAMO)

    def allow_in_graph(one: T) -> T:
        marked.append(one)
        return one

    def disable(*_: object, **__: object) -> Callable[[Callable[..., T]], Callable[..., T]]:
        return _disabled

    module.allow_in_graph, module.disable = allow_in_graph, disable
    return module


def _disabled(function: Callable[..., T]) -> Callable[..., T]:
    """A function that torch._dynamo leaves alone, as soon as there is a torch._dynamo."""

    @cache
    def disabled() -> Callable[..., T]:
        return import_module(DYNAMO).disable(function)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> T:
        return (disabled() if DYNAMO in sys.modules else function)(*args, **kwargs)

    return called


def _where_it_scales(function: Callable[[Any, float], None]) -> Callable[[Any, float], None]:
    """A function of peft_utils that is called only for a weight with which it does something."""

    @wraps(function)
    def called(model: Any, weight: float | None = None) -> None:
        if weight not in (None, 1.0):
            function(model, weight)

    return called


class _StandIn(type):
    """A class in the place of NAME of a module, see above."""

    def __new__(cls, module: str, name: str) -> "_StandIn":
        """TypeError for whoever makes a subclass of one: that needs the real one."""
        return super().__new__(cls, name, (), {"place": (module, name)})

    def __init__(cls, *_: object) -> None:
        super().__init__(cls)

    def stood_for(cls) -> Any:
        """The real one, which from now on is in the place of this one wherever diffusers' files have it."""
        real = getattr(import_module(cls.place[0]), cls.place[1])
        for module in [m for n, m in list(sys.modules.items()) if n.partition(".")[0] == "diffusers"]:
            for name in [name for name, value in list(vars(module).items()) if value is cls]:
                setattr(module, name, real)
        return real

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.stood_for(), name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.stood_for()(*args, **kwargs)

    def __instancecheck__(cls, one: object) -> bool:
        return cls.place[0] in sys.modules and isinstance(one, cls.stood_for())  # else there can be none

    def __subclasscheck__(cls, one: type) -> bool:
        return cls.place[0] in sys.modules and issubclass(one, cls.stood_for())


class _Later(ModuleType):
    """A module of stand-ins, for as long as the classes are imported."""

    def __init__(self, name: str, top: ModuleSpec | None) -> None:
        super().__init__(name)
        self.__spec__ = top  # diffusers asks whether there is such a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn(self.__name__, name)


class _Package(ModuleType):
    """A package that runs its __init__ when it is asked for a name that it does not have."""

    light, lock = False, RLock()

    @classmethod
    def put_off(cls, name: str) -> None:
        """Let the package of that name be one."""
        module = module_from_spec(find_spec(name))
        module.__class__ = cls
        parent, _, last = name.rpartition(".")
        sys.modules[name] = module
        setattr(sys.modules[parent], last, module)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":  # which `import *` asks for
            raise AttributeError(name)
        if _Package.light and self.__name__ in LATER:
            return _StandIn(self.__name__, name)
        with _Package.lock:
            if "ran" not in self.__spec__.__dict__:
                self.__spec__.ran = True
                self.__spec__.loader.exec_module(self)
        if name not in self.__dict__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return self.__dict__[name]


class _Distributions(Mapping[str, list[str]]):
    """importlib.metadata.packages_distributions(), which reads the list of files of all that is installed."""

    @cached_property
    def read(self) -> Mapping[str, list[str]]:
        """The same, read when it is first asked for."""
        return importlib.metadata.packages_distributions()

    def __getitem__(self, name: str) -> list[str]:
        return self.read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.read)

    def __len__(self) -> int:
        return len(self.read)


class _Marking:
    """Has torch._dynamo mark what was marked before it was there, as soon as somebody imports it."""

    def __init__(self, marked: list[Any]) -> None:
        self.marked = marked

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if name != DYNAMO:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module

        def run_and_mark(module: ModuleType) -> None:
            run(module)
            for one in self.marked:
                module.allow_in_graph(one)

        spec.loader.exec_module = run_and_mark
        return spec

"""liblbfgsd.so: where it is, its structures, and its functions with their types."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path
from typing import Any

LIBRARY = "LBFGSD_LIBRARY"
"""The environment variable that names the library to use instead of the package's."""

INSTALLED = "liblbfgsd.so.1"
"""The library's name for the dynamic loader, which chooses the build for this processor. The number
is that of the binary interface."""

EVALUATE, FINISHED = 1, 2
"""The statuses of `lbfgsd_begin` and `lbfgsd_advance`."""

MODES = {"robust": 1, "torch": 2}
LINE_SEARCHES = {
    None: 0,
    "strong_wolfe": 1,
    "more_thuente": 2,
    "hager_zhang": 3,
    "backtracking": 4,
}
DTYPES = {None: 0, "float64": 1, "float32": 2, "bfloat16": 3}

_INT32, _INT64, _DOUBLE, _SIZE = ctypes.c_int32, ctypes.c_int64, ctypes.c_double, ctypes.c_size_t
_ADDRESS = ctypes.c_void_p


class OptionsStruct(ctypes.Structure):
    """lbfgsd_options"""

    _fields_ = [
        ("size", _SIZE),
        *((name, _INT32) for name in ("mode", "line_search", "history_dtype", "reuse_evaluation")),
        *((name, _INT64) for name in ("max_iter", "max_eval", "history_size")),
        *((name, _DOUBLE) for name in ("lr", "tolerance_grad", "tolerance_grad_relative")),
        *((name, _DOUBLE) for name in ("tolerance_change", "tolerance_loss_relative", "noise")),
    ]


OPTIONS = frozenset(field[0] for field in OptionsStruct._fields_)
"""The names of the options that are numbers."""


class ErrorStruct(ctypes.Structure):
    """lbfgsd_error"""

    _fields_ = [("code", _INT32), ("text", ctypes.c_char * 252)]


class ResultStruct(ctypes.Structure):
    """lbfgsd_result"""

    _fields_ = [
        ("size", _SIZE),
        *((name, _INT32) for name in ("reason", "converged")),
        *((name, _INT64) for name in ("iterations", "evaluations")),
        *((name, _INT64) for name in ("total_iterations", "total_evaluations")),
        *((name, _DOUBLE) for name in ("loss_before", "loss", "gradient_norm_inf")),
        ("projected_gradient_norm_inf", _DOUBLE),
        ("active_bounds", _INT64),
        ("best_loss", _DOUBLE),
        ("failed_search_trials", _INT64),
        *((f"failed_search_{name}", _DOUBLE) for name in ("loss_change", "loss_noise", "slope")),
        ("failed_search_direction_norm_inf", _DOUBLE),
        *((f"failed_search_step_length_{end}", _DOUBLE) for end in ("lower", "upper")),
    ]


class ActiveBoundStruct(ctypes.Structure):
    """lbfgsd_active_bound"""

    _fields_ = [("index", _SIZE), ("side", _INT64), ("multiplier", _DOUBLE)]


class TorchStateStruct(ctypes.Structure):
    """lbfgsd_torch_state"""

    _fields_ = [
        ("size", _SIZE),
        *((name, _INT64) for name in ("func_evals", "n_iter")),
        *((name, _ADDRESS) for name in ("d", "prev_flat_grad", "old_dirs", "old_stps")),
        ("pair_count", _SIZE),
        *((name, _DOUBLE) for name in ("t", "h_diag", "prev_loss")),
        ("al", _ADDRESS),
        ("al_count", _SIZE),
    ]


_POINTER, _ERROR = _ADDRESS, ctypes.POINTER(ErrorStruct)
_OPTIONS, _COUNT = ctypes.POINTER(OptionsStruct), ctypes.POINTER(_SIZE)

_OF_BOTH_PRECISIONS = ("lbfgsd_create", "lbfgsd_advance_to", "lbfgsd_set_x")
"""Those of the functions below that have a form in float32 too."""

# Arguments before the error, which all of these have last.
_STATUS_FUNCTIONS: dict[str, list[Any]] = {
    "lbfgsd_create": [ctypes.POINTER(_POINTER), _SIZE, _POINTER, _OPTIONS],
    "lbfgsd_set_options": [_POINTER, _OPTIONS],
    "lbfgsd_set_bounds": [_POINTER, _POINTER, _POINTER],
    "lbfgsd_set_l1": [_POINTER, _POINTER],
    "lbfgsd_begin": [_POINTER, _OPTIONS],
    "lbfgsd_advance_to": [_POINTER, _DOUBLE, _POINTER, _POINTER],
    "lbfgsd_stop": [_POINTER],
    "lbfgsd_get_result": [_POINTER, ctypes.POINTER(ResultStruct)],
    "lbfgsd_get_active_bounds": [_POINTER, ctypes.POINTER(ActiveBoundStruct), _SIZE, _COUNT],
    "lbfgsd_snapshot": [_POINTER, _POINTER, _SIZE, _COUNT],
    "lbfgsd_restore": [ctypes.POINTER(_POINTER), ctypes.c_char_p, _SIZE],
    "lbfgsd_set_x": [_POINTER, _POINTER],
    "lbfgsd_load_torch_state": [_POINTER, ctypes.POINTER(TorchStateStruct)],
    "lbfgsd_coordinator_create": [ctypes.POINTER(_POINTER), _INT32, _OPTIONS],
    "lbfgsd_coordinator_begin": [_POINTER, _OPTIONS],
    "lbfgsd_coordinator_command": [_POINTER, _POINTER, _SIZE, _COUNT],
    "lbfgsd_coordinator_advance": [_POINTER, _DOUBLE, _POINTER, _SIZE],
    "lbfgsd_coordinator_stop": [_POINTER],
    "lbfgsd_coordinator_get_result": [_POINTER, ctypes.POINTER(ResultStruct)],
    "lbfgsd_coordinator_snapshot": [_POINTER, _POINTER, _SIZE, _COUNT],
    "lbfgsd_coordinator_restore": [ctypes.POINTER(_POINTER), _POINTER, _SIZE],
}


def library_path() -> Path | None:
    """The library that $LBFGSD_LIBRARY names, or else the package's, or the system's, or None."""
    return _path(os.environ.get(LIBRARY))


@functools.cache
def _path(named: str | None) -> Path | None:
    if named:
        return Path(named)
    own = Path(__file__).with_name("liblbfgsd.so")
    if own.is_file():
        return own
    return Path(INSTALLED) if _is_installed() else None


def _is_installed() -> bool:
    try:
        ctypes.CDLL(INSTALLED)
    except OSError:
        return False
    return True


@functools.cache
def load(path: Path) -> Any:
    """Loads the library."""
    library = ctypes.CDLL(str(path))
    for name, arguments in _STATUS_FUNCTIONS.items():
        for own in (name, f"{name}_f32") if name in _OF_BOTH_PRECISIONS else (name,):
            function = getattr(library, own)
            function.restype, function.argtypes = ctypes.c_int, [*arguments, _ERROR]
    library.lbfgsd_options_init.restype = ctypes.c_int
    library.lbfgsd_options_init.argtypes = [_OPTIONS, _SIZE, _INT32]
    for name in ("lbfgsd_point", "lbfgsd_x", "lbfgsd_point_f32", "lbfgsd_x_f32"):
        getattr(library, name).restype = _POINTER
        getattr(library, name).argtypes = [_POINTER]
    for name in ("lbfgsd_count", "lbfgsd_snapshot_size"):
        getattr(library, name).restype = _SIZE
        getattr(library, name).argtypes = [_POINTER]
    library.lbfgsd_get_dtype.restype = ctypes.c_int
    library.lbfgsd_get_dtype.argtypes = [_POINTER]
    library.lbfgsd_reason_name.restype = ctypes.c_char_p
    library.lbfgsd_reason_name.argtypes = [_INT32]
    for name in ("lbfgsd_destroy", "lbfgsd_coordinator_destroy"):
        getattr(library, name).restype = None
        getattr(library, name).argtypes = [_POINTER]
    for name in ("lbfgsd_coordinator_pairs", "lbfgsd_coordinator_snapshot_size"):
        getattr(library, name).restype = _SIZE
        getattr(library, name).argtypes = [_POINTER]
    return library

"""The Lua scripts, as text.  Each file's head documents its keys, arguments and answers."""

from importlib.resources import files

_LUA = files("turnline_workers.bus") / "lua"


def _read(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")


PUBLISH = _read("append") + _read("publish")
ACCEPT = _read("append") + _read("accept")
DUE = _read("due")
SAVE_STATE = _read("save_state")

"""Commands for gdb: a guest of dmus, and its driver if its debug information is DWARF (mingw's).

dmus-connect   connects to the guest of session.json, which is beside this file, and sets its breakpoints. The driver is placed, and
               its breakpoints are resolved, when the guest has mapped it and before any of it runs.
dmus-prepare   does the same without connecting, for front ends that connect by themselves.
"""

import json
import os

import gdb

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "session.json"), encoding="utf-8") as file:
    SESSION = json.load(file)


def argument(register):
    """Returns an argument of the function at whose first instruction the guest is."""
    return int(gdb.parse_and_eval(f"${register}")) & 0xFFFFFFFFFFFFFFFF


def text_at(address, size):
    try:
        return bytes(gdb.selected_inferior().read_memory(address, min(size, 256))).decode(errors="replace")
    except gdb.MemoryError:
        return "?"


def say(text):
    gdb.write(f"dmus: {text}\n")
    gdb.flush()


class ImageLoaded(gdb.Breakpoint):
    """Places the driver that the guest has just mapped, and stops in it."""

    def __init__(self):
        super().__init__("*nt_host_image_loaded", internal=True)
        self.known = False

    def stop(self):
        self.place(argument("rdi"), text_at(argument("rdx"), argument("rcx")))
        return False

    def place(self, base, name):
        if self.known:
            gdb.execute(f'remove-symbol-file "{SESSION["driver"]}"', to_string=True)
        slide = base - SESSION["image_base"]
        gdb.execute(f'add-symbol-file "{SESSION["driver"]}" -o {slide:#x}', to_string=True)
        say(f"{SESSION['driver']} is {name} of the guest, at {base:#x}")
        if SESSION["pdb"]:
            say("its debug information is a PDB, which gdb does not read: use lldb for lines and locals")
        if not self.known and SESSION["mapped"] is None and not SESSION["break_at"] and SESSION["break_on"] is None:
            entry = "DriverEntry" if gdb.lookup_global_symbol("DriverEntry") else f"*{base + SESSION['entry']:#x}"
            gdb.Breakpoint(entry)
        self.known = True


class Violation(gdb.Breakpoint):
    """Stops if the rule is the one that was asked for."""

    def __init__(self):
        super().__init__("*nt_host_violation", internal=True)

    def stop(self):
        rule = argument("rdi") & 0xFFFFFFFF
        if SESSION["break_on"] not in ("any", rule):
            return False
        function = text_at(argument("rsi"), argument("rdx"))
        what = f"rule {rule} is violated" if rule else "a bug check"
        say(f"{what} in {function}; `bt` shows the driver's call")
        return True


def prepare():
    for setting in ("pagination off", "confirm off", "breakpoint pending on", "height 0"):
        gdb.execute(f"set {setting}")
    for there, here in SESSION["source_map"]:
        gdb.execute(f"set substitute-path {there} {here}")
    gdb.execute(f'file "{SESSION["nt_host"]}"', to_string=True)
    loaded = ImageLoaded()
    if SESSION["mapped"] is not None:
        loaded.place(SESSION["mapped"], "the driver")
    if SESSION["break_on"] is not None:
        Violation()
    for place in SESSION["break_at"]:
        gdb.execute(f"break {place['file']}:{place['line']}", to_string=True)


class Prepare(gdb.Command):
    def __init__(self):
        super().__init__("dmus-prepare", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        prepare()


class Connect(gdb.Command):
    def __init__(self):
        super().__init__("dmus-connect", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        prepare()
        gdb.execute(f"target remote {SESSION['gdb']}", to_string=True)
        say("connected; `detach` lets the guest go on alone")


Prepare()
Connect()

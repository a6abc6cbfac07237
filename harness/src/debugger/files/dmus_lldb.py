"""Commands for lldb 16 or newer: a guest of dmus and its driver.

dmus-connect   connects to the guest of session.json, which is beside this file, and sets its breakpoints. The driver is placed, and
               its breakpoints are resolved, when the guest has mapped it and before any of it runs.
"""

import json
import os

import lldb

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "session.json"), encoding="utf-8") as file:
    SESSION = json.load(file)

# The triple that has lldb take the driver for a Windows image, whatever the target is.
WINDOWS = "x86_64-pc-windows-msvc"


def argument(frame, register):
    """Returns an argument of the function at whose first instruction the guest is."""
    return frame.FindRegister(register).GetValueAsUnsigned()


def text_at(frame, address, size):
    error = lldb.SBError()
    found = frame.GetThread().GetProcess().ReadMemory(address, min(size, 256), error)
    return found.decode(errors="replace") if error.Success() else "?"


def say(text):
    print(f"dmus: {text}", flush=True)


def function_of_host(target, name, callback):
    """Sets a breakpoint at the very first instruction of a function of the NT host."""
    symbols = target.GetModuleAtIndex(0).FindSymbols(name)
    if symbols.GetSize() == 0:
        raise RuntimeError(f"{SESSION['nt_host']} has no function {name}: it is another build of the NT host")
    breakpoint = target.BreakpointCreateBySBAddress(symbols.GetContextAtIndex(0).GetSymbol().GetStartAddress())
    breakpoint.SetScriptCallbackFunction(f"{__name__}.{callback}")


def connect(debugger, command, result, internal):
    """Connects to the guest, and sets the breakpoints. The guest stays where it is."""
    target = debugger.GetSelectedTarget()
    if not target.IsValid() or target.GetExecutable().GetFilename() != os.path.basename(SESSION["nt_host"]):
        target = debugger.CreateTarget(SESSION["nt_host"])
        if not target.IsValid():
            result.SetError(f"{SESSION['nt_host']} cannot be loaded")
            return
        debugger.SetSelectedTarget(target)
    for there, here in SESSION["source_map"]:
        debugger.HandleCommand(f'settings append target.source-map "{there}" "{here}"')
    was_async = debugger.GetAsync()
    debugger.SetAsync(False)
    done = lldb.SBCommandReturnObject()
    debugger.GetCommandInterpreter().HandleCommand(f"process connect {SESSION['lldb']}", done)
    debugger.SetAsync(was_async)
    if not done.Succeeded():
        result.SetError(f"the guest does not answer at {SESSION['lldb']}: {(done.GetError() or '').strip()}")
        return
    # Its lowest segment is not where its code is: the sections are not placed by themselves.
    target.SetModuleLoadAddress(target.GetModuleAtIndex(0), 0)
    try:
        function_of_host(target, "nt_host_image_loaded", "image_loaded")
        if SESSION["break_on"] is not None:
            function_of_host(target, "nt_host_violation", "violation")
    except RuntimeError as error:
        result.SetError(str(error))
        return
    if SESSION["mapped"] is not None:
        place_driver(target, SESSION["mapped"], "the driver")
    for place in SESSION["break_at"]:
        target.BreakpointCreateByLocation(place["file"], place["line"])
    say("connected; `process detach` lets the guest go on alone, and leaving lldb without it ends the guest")


def image_loaded(frame, location, internal):
    """Places the driver that the guest has just mapped, and stops in it."""
    target = frame.GetThread().GetProcess().GetTarget()
    return place_driver(target, argument(frame, "rdi"), text_at(frame, argument(frame, "rdx"), argument(frame, "rcx")))


def place_driver(target, base, name):
    """Places the driver. Returns whether the guest stays where it is, because that failed."""
    module = target.FindModule(lldb.SBFileSpec(SESSION["driver"]))
    known = module.IsValid()
    if not known:
        module = target.AddModule(SESSION["driver"], WINDOWS, None)
    if not module.IsValid():
        say(f"{SESSION['driver']} cannot be loaded; the guest has mapped it at {base:#x}")
        return True
    error = target.SetModuleLoadAddress(module, base - SESSION["image_base"])
    if error.Fail():
        say(f"{SESSION['driver']} cannot be placed at {base:#x}: {error.GetCString()}")
        return True
    say(f"{SESSION['driver']} is {name} of the guest, at {base:#x}")
    if not known and SESSION["mapped"] is None and not SESSION["break_at"] and SESSION["break_on"] is None:
        entry = target.BreakpointCreateByName("DriverEntry", module.GetFileSpec().GetFilename())
        if entry.GetNumLocations() == 0:
            target.BreakpointDelete(entry.GetID())
            target.BreakpointCreateByAddress(base + SESSION["entry"])
    return False


def violation(frame, location, internal):
    """Stops if the rule is the one that was asked for."""
    rule = argument(frame, "rdi") & 0xFFFFFFFF
    if SESSION["break_on"] not in ("any", rule):
        return False
    function = text_at(frame, argument(frame, "rsi"), argument(frame, "rdx"))
    what = f"rule {rule} is violated" if rule else "a bug check"
    say(f"{what} in {function}; `bt` shows the driver's call")
    return True


def __lldb_init_module(debugger, internal):
    debugger.HandleCommand(f"command script add --overwrite -f {__name__}.connect dmus-connect")

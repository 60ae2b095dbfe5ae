#!/usr/bin/python3
"""weirctl's table of commands, its manual and its completions agree; so do
its default socket and weir's."""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint

WEIRCTL = os.path.join(lint.BUILD, "weirctl")
COMPLETIONS = os.path.join(lint.TOP, "contrib/completions")
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          timeout=60, **more).stdout


def options(block):
    """Of a table of options in help: both the letter and the word."""
    return {word for line in block.splitlines()
            for word in re.findall(r"^  (?:(-\w), )?(--[\w-]+)", line)
            for word in word if word}


def helped():
    """{"": weirctl's own options, "top": those of top}, and the choices of
    commands that have some."""
    page = run(WEIRCTL, "--help")
    names = re.findall(r"^  (\w+)", page.split("Commands:")[1].split("\n\n")[0],
                       re.M)
    found = {"": options(page.split("Options, also")[1])}
    choices = {}
    for name in names:
        page = run(WEIRCTL, name, "--help")
        found[name] = options(page.split("Options of weirctl:")[0])
        usage = re.search(r"^usage: weirctl \w+(?: \[OPTION\.\.\.\])? ?(\S*)",
                          page)[1]
        if "|" in usage:
            choices[name] = set(usage.split("|"))
    return found, choices


def compare(what, said, expected):
    return [f"{what}: {word} is {'missing' if word in expected else 'gone'}"
            for word in sorted(set(said) ^ set(expected))]


# ------------------------------------------------------------------ the manual


def manual_options(page):
    """The same as helped() of weirctl(8)."""
    found = {"": set()}
    intro, commands = page.split(".Sh COMMANDS")
    for line in re.findall(r"^\.It Fl .*", intro, re.M):
        found[""] |= {"-" + word for word in re.findall(r"\bFl (\S+)", line)}
    commands = commands.split(".Sh ENVIRONMENT")[0]
    for part in re.split(r"^\.It Cm ", commands, flags=re.M)[1:]:
        found.setdefault(part.split()[0], set()).update(
            "-" + word for word in re.findall(r"\bFl (-\S+)", part))
    return found


def compare_manual(page, commands):
    said = manual_options(page)
    problems = compare("weirctl.8", said, commands)
    for name in set(said) & set(commands):
        problems += compare(f"weirctl.8: {name or 'weirctl'}", said[name],
                            commands[name])
    return problems


def exits(page):
    part = page.split(".Sh EXIT STATUS")[1].split(".Sh ")[0]
    return set(re.findall(r"^\.It (\d)$", part, re.M))


# ------------------------------------------------------------- the completions


def bash(words):
    """What bash offers for the last of the words."""
    line = "weirctl " + " ".join(words)
    return set(run(
        "bash", "--norc", "-c", f"""
        . {BASH_COMPLETION}
        . {COMPLETIONS}/weirctl.bash
        COMP_LINE=$1 COMP_POINT=${{#1}} COMP_TYPE=9 COMP_KEY=9
        read -ra COMP_WORDS <<<"$1"
        [[ $1 != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _weirctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """, "bash", line).split())


def zsh(words):
    """The specifications that zsh's _arguments gets behind these words, as
    options and choices."""
    text = run("zsh", "-f", "-c", f"""
        _arguments() {{
            print -rl -- "$@"
            [[ ${{words[1]}} == -top- ]] && state=command || state=argument
        }}
        _describe() {{ print -rl -- ${{(P)4}} }}
        words=("$@")
        CURRENT=$#words
        . {COMPLETIONS}/_weirctl
        """, "zsh", *words)
    return text


def zsh_options(text):
    return set(re.findall(r"^(?:\([^)]*\))?(--?[\w-]+)\[", text, re.M))


tap = lint.Tap()
commands, choices = helped()
with open(os.path.join(lint.TOP, "doc/weirctl.8"), encoding="utf-8") as f:
    manual = f.read()
names = set(commands) - {""}
tap.check("the help names commands and options",
          [] if len(names) > 12 and "--sender" in commands["sessions"] and
          "-s" in commands[""] and len(choices) > 0 else [commands, choices])
tap.check("weirctl(8) has every command with its options",
          compare_manual(manual, commands))
codes = set(re.findall(r"COMMAND_\w+ = (\d)", lint.read("weirctl/command.h")))
tap.check("weirctl(8) has every exit code",
          compare("weirctl.8: exit", exits(manual), codes))
default = re.search(r'"control".*?fallback = ("[^"]+")',
                    lint.read("config/schema.c"), re.S)[1]
tap.check("the default socket is weir's",
          [] if f"#define CTL_SOCKET {default}" in lint.read("weirctl/ctl.h")
          else [default])
if shutil.which("bash") and os.path.exists(BASH_COMPLETION):
    tap.check("bash completes every command",
              compare("bash", bash([""]), names))
    tap.check("bash completes every option and choice", sum(
        (compare(f"bash: {name}", bash([name, "-"]),
                 commands[name] | commands[""]) for name in names),
        sum((compare(f"bash: {name}", bash([name, ""]), wanted)
             for name, wanted in choices.items()), [])))
else:
    tap.skip("bash completes", "no bash-completion")
if shutil.which("zsh"):
    text = zsh(["-top-"])
    tap.check("zsh completes every command", compare(
        "zsh", re.findall(r"^([a-z]+):", text, re.M), names))
    tap.check("zsh completes every option and choice", sum(
        (compare(f"zsh: {name}", zsh_options(zsh([name])),
                 commands[name] | commands[""]) for name in names),
        sum((compare(f"zsh: {name}", re.search(
            r"^1:what:\(([^)]*)\)", zsh([name]), re.M)[1].split(), wanted)
             for name, wanted in choices.items()), [])))
else:
    tap.skip("zsh completes", "no zsh")
tap.check("what is missing is found",
          [] if compare_manual(manual.replace("Fl -watch", "Fl -look"),
                               commands) and
          compare_manual(manual.replace(".It Cm reload", ".It Cm load"),
                         commands) and
          compare("", {"a"}, {"b"}) == [": a is gone", ": b is missing"]
          else ["they passed"])
tap.done()

"""Makes small changes to hathora_tokens.h, one at a time, and sees whether the unit tests notice.

    python3 tests/mutate/mutate.py [--mutants N] [--seed N] [--jobs N] [--room TAG] [--line N] [--list]

Each mutant is compiled by tcc into the test program of the room that was changed, then into the others, until one
fails, crashes, or takes far more time than it should: then the mutant is caught. Mutants that do not compile, and those
of which gcc -O2 makes the same object code as of the header itself, are not counted. The choice depends on the seed and
on the header alone. The last line is the score; below 90 % the exit status is 1.
"""

import argparse
import bisect
import concurrent.futures
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import threading
import time

HEADER = "hathora_tokens.h"
OUT = "build/mutate"
LEAST_PERCENT = 90
LIBRARIES = ["-lcmocka", "-lbearssl"]

# The tests of a room come first; those of a room without a program of its own name are these.
ROOM_TESTS = {"config": ["test_public"]}
# It differs from test_faults only in what of the system it uses.
SYSTEM_TESTS = {"test_faults_portable": ("sockets", "system")}

SWAPS = {
    "relation": {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    "logic": {"&&": "||", "||": "&&"},
    "arithmetic": {
        "+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "|",
        "+=": "-=", "-=": "+=", "*=": "+=", "/=": "*=", "|=": "&=", "&=": "|=", "++": "--", "--": "++",
    },
}
RETURNS = {
    "true": "false", "false": "true",
    "HTOK_IO_OK": "HTOK_IO_AGAIN", "HTOK_IO_AGAIN": "HTOK_IO_OK",
    "HTOK_IO_FAILED": "HTOK_IO_AGAIN", "HTOK_IO_CLOSED": "HTOK_IO_FAILED",
    "HTOK_OK": "HTOK_INVALID_REQUEST_ERROR",
    "HTOKI_SCAN_MORE": "HTOKI_SCAN_END", "HTOKI_SCAN_ERROR": "HTOKI_SCAN_MORE",
    "HTOKI_HTTP_MORE": "HTOKI_HTTP_END", "HTOKI_HTTP_END": "HTOKI_HTTP_MORE", "HTOKI_HTTP_HEAD": "HTOKI_HTTP_MORE",
    "HTOKI_HTTP_ERROR": "HTOKI_HTTP_MORE",
    "HTOKI_OP_MORE": "HTOKI_OP_DONE", "HTOKI_OP_ITEM": "HTOKI_OP_MORE", "HTOKI_OP_FAILED": "HTOKI_OP_MORE",
    "HTOK_REASON_NONE": "HTOK_REASON_OPTION_RANGE",
}
TOKEN = re.compile(
    r"[A-Za-z_]\w*|0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\S"
)
KEYWORDS = {"return", "break", "continue", "if", "for", "while", "do", "switch", "case", "default", "else", "static",
            "const", "goto", "typedef", "struct", "enum", "union"}
DECLARATION = re.compile(r"(unsigned|signed|volatile)\b|[A-Za-z_]\w*(\s+\**|\s*\*+\s*)[A-Za-z_]\w*")
INTEGER_FUNCTION = re.compile(r"^(static )?(int|unsigned|size_t|u?int\d+_t|unsigned char|char)\s+htoki?_")


class Mutant:
    def __init__(self, room, kind, begin, end, new, line):
        self.room, self.kind, self.begin, self.end, self.new, self.line = room, kind, begin, end, new, line
        self.verdict = None

    def apply(self, text):
        return text[: self.begin] + self.new + text[self.end :]

    def describe(self, text):
        def one_line(part):
            part = " ".join(part.split())
            return part if len(part) <= 60 else part[:57] + "..."

        start = text.rindex("\n", 0, self.begin) + 1
        source = text[start : text.index("\n", self.begin)].strip()
        change = "removed" if self.new.strip() == ";" else "became " + one_line(self.new)
        return "%s:%d: %s: %s: %s %s  |  %s" % (
            HEADER, self.line, self.room, self.kind, one_line(text[self.begin : self.end]), change, source)


def compiled_lines():
    """The lines of the header that this system compiles."""
    command = ["gcc", "-std=c99", "-E", "-DHATHORA_TOKENS_IMPLEMENTATION", "-x", "c", HEADER]
    lines, at, ours = set(), 0, False
    for row in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n"):
        marker = re.match(r'# (\d+) "([^"]*)"', row)
        if marker:
            at, ours = int(marker.group(1)), marker.group(2) == HEADER
            continue
        if ours and row.strip():
            lines.add(at)
        at += 1
    return lines


def code_of(text):
    """The text with all that is no code blank: comments, literals, preprocessor lines, what is outside of functions."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    code = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", blank, code, flags=re.M)
    compiled, inside, lines = compiled_lines(), False, []
    for number, line in enumerate(code.split("\n"), 1):
        opens = line == "{"
        keep = inside and line != "}" and number in compiled
        inside = opens or (inside and line != "}")
        lines.append(line if keep else " " * len(line))
    return "\n".join(lines)


def rooms_of(text):
    """(offset, tag) of each room of the implementation."""
    begin = text.index("#define HATHORA_TOKENS_IMPLEMENTED")
    return [(m.start(), m.group(1)) for m in re.finditer(r"^/\* >>([a-z0-9 ]+) -----", text, re.M) if m.start() > begin]


def matching(code, at):
    """The offset of the parenthesis that closes the one at at."""
    depth = 0
    for i in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    raise ValueError("unbalanced")


def candidates(text, rng):
    code, rooms, found = code_of(text), rooms_of(text), []
    line_starts = [0] + [m.end() for m in re.finditer("\n", text)]

    def add(kind, begin, end, new):
        tags = [tag for offset, tag in rooms if offset <= begin]
        line = bisect.bisect_right(line_starts, begin)
        found.append(Mutant(tags[-1] if tags else "config", kind, begin, end, new, line))

    signature = ""
    for match in TOKEN.finditer(code):
        token, begin, end = match.group(0), match.start(), match.end()
        spaced = code[begin - 1] in " \n" and code[end : end + 1] in " \n"
        for kind in SWAPS:
            if token in SWAPS[kind] and (spaced or token in ("++", "--")):
                add(kind, begin, end, SWAPS[kind][token])
        if token[0].isdigit():
            value, suffix = int(token.rstrip("uUlL"), 0), token[len(token.rstrip("uUlL")) :]
            value += rng.choice([1, -1]) if value else 1
            add("constant", begin, end, (hex(value) if token[:2] in ("0x", "0X") else str(value)) + suffix)
        elif token == "!":
            add("negation", begin, end, "")
        elif token == "if" and code[end] == " " and code[end + 1] == "(":
            close = matching(code, end + 1)
            add("negation", end + 1, close + 1, "(!" + text[end + 1 : close + 1] + ")")
        elif token == "return":
            stop = code.index(";", end)
            value = text[end + 1 : stop]
            signature = text[text.rindex("\n\n", 0, begin) :]
            signature = re.sub(r"^/\*.*?\*/\n", "", signature.lstrip("\n"), flags=re.S)
            if value in RETURNS:
                add("return", end + 1, stop, RETURNS[value])
            elif re.match(r"(static |HATHORA_TOKENS_API )?bool\b", signature):
                add("return", end + 1, stop, "!(" + value + ")")
            elif INTEGER_FUNCTION.match(signature) and value not in ("0", "1", "-1"):
                add("return", end + 1, stop, "(" + value + ") + 1")

    # Statements: calls, assignments and steps that stand at the beginning of a line.
    for match in re.finditer(r"^( +)(?=[A-Za-z_(*+-])", code, re.M):
        begin = match.end()
        before = code[:begin].rstrip()
        if not before or before[-1] not in ";{}:":
            continue
        first = re.match(r"[A-Za-z_]\w*", code[begin:])
        stop = code.find(";", begin)
        body = code[begin:stop]
        if stop < 0 or "{" in body or "}" in body or (first and first.group(0) in KEYWORDS):
            continue
        if DECLARATION.match(body) or re.match(r"\(void\)\w+$", body) or not re.search(r"[=(]|\+\+|--", body):
            continue
        add("wipe" if "htoki_wipe(" in body else "statement", begin, stop + 1, ";" + "\n" * body.count("\n"))
    return found


def choose(found, count, rng):
    """Every removal of a wipe, and as many of each room and, in it, of each kind, as far as there are so many."""
    chosen = [m for m in found if m.kind == "wipe"]
    piles = {}
    for mutant in found:
        if mutant.kind != "wipe":
            piles.setdefault(mutant.room, {}).setdefault(mutant.kind, []).append(mutant)
    queues = []
    for room in piles.values():
        kinds = list(room.values())
        for kind in kinds:
            rng.shuffle(kind)
        queue = []
        while any(kinds):
            queue += [kind.pop() for kind in kinds if kind]
        queues.append(queue[::-1])
    while len(chosen) < count and any(queues):
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
    return sorted(chosen, key=lambda m: (m.begin, m.kind))


def limits(cpu_seconds):
    def apply():
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return apply


def run(program, cpu_seconds, wall_seconds):
    """passed, failed or time. The first test that fails ends the program."""
    with subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          preexec_fn=limits(cpu_seconds)) as process:
        late = threading.Event()

        def stop():
            late.set()
            process.kill()

        timer = threading.Timer(wall_seconds, stop)
        timer.start()
        failed = False
        for line in process.stderr:
            if line.startswith(b"[  FAILED  ]"):
                failed = True
                process.kill()
                break
        process.wait()
        timer.cancel()
        if late.is_set() or (not failed and process.returncode in (-9, -24)):  # -24: SIGXCPU
            return "time"
        return "failed" if failed or process.returncode else "passed"


def compile_test(include, test, output):
    command = ["tcc", "-std=c99", "-w", "-I", include, "-I.", "-o", output, "tests/unit/%s.c" % test] + LIBRARIES
    return subprocess.run(command, capture_output=True).returncode == 0


def object_code(include, test, output):
    command = ["gcc", "-std=c99", "-w", "-O2", "-I", include, "-I.", "-c", "-o", output, "tests/unit/%s.c" % test]
    if subprocess.run(command, capture_output=True).returncode != 0:
        return None
    with open(output, "rb") as file:
        return file.read()


class Runner:
    def __init__(self, text):
        self.text, self.seconds, self.objects = text, {}, {}
        self.lock, self.local, self.workers = threading.Lock(), threading.local(), 0
        self.plain = os.path.join(OUT, "plain")
        self.write(self.plain, text)

    @staticmethod
    def write(folder, text):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, HEADER), "w", encoding="utf-8") as file:
            file.write(text)

    def measure(self, test):
        """The header itself must pass; how long that takes bounds what a mutant may take."""
        program = os.path.join(OUT, "plain", test)
        if not compile_test(self.plain, test, program):
            sys.exit("mutate: tests/unit/%s.c does not compile" % test)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if run(program, 600, 900) != "passed":
            sys.exit("mutate: %s fails without any change" % test)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds[test] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def order(self, room):
        own = ROOM_TESTS.get(room, ["test_" + room.replace(" ", "_")])
        own = [test for test in own if test in self.seconds]
        rest = [t for t in self.seconds if t not in own and room in SYSTEM_TESTS.get(t, (room,))]
        return own + sorted(rest, key=lambda t: self.seconds[t])

    def folder(self):
        if not hasattr(self.local, "folder"):
            with self.lock:
                self.workers += 1
                self.local.folder = os.path.join(OUT, "worker-%d" % self.workers)
        return self.local.folder

    def equivalent(self, mutant, test, folder):
        with self.lock:
            if test not in self.objects:
                self.objects[test] = object_code(self.plain, test, os.path.join(self.plain, test + ".o"))
        return object_code(folder, test, os.path.join(folder, "test.o")) == self.objects[test]

    def judge(self, mutant):
        folder = self.folder()
        self.write(folder, mutant.apply(self.text))
        program = os.path.join(folder, "test")
        tests = self.order(mutant.room)
        for number, test in enumerate(tests):
            if not compile_test(folder, test, program):
                mutant.verdict = "not compiled"
                return mutant
            seconds = self.seconds[test]
            outcome = run(program, int(4 * seconds) + 3, 20 * seconds + 60)
            if outcome != "passed":
                mutant.verdict = ("caught", test, outcome, number == 0)
                return mutant
        mutant.verdict = "equivalent" if self.equivalent(mutant, tests[0], folder) else "survived"
        return mutant


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutants", type=int, default=360)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--room", help="mutants of this room only")
    parser.add_argument("--line", type=int, help="all mutants of this line")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    arguments = parser.parse_args()

    os.environ["FAULTS_EVERY"] = "7"
    begun = time.time()
    rng = random.Random(arguments.seed)
    with open(HEADER, encoding="utf-8") as file:
        text = file.read()
    found = candidates(text, rng)
    if arguments.line:
        chosen = [m for m in found if m.line == arguments.line]
    else:
        chosen = choose(found, arguments.mutants, rng)
    chosen = [m for m in chosen if arguments.room in (None, m.room)]
    print("%d of %d mutants, seed %d" % (len(chosen), len(found), arguments.seed))
    if arguments.list:
        for mutant in chosen:
            print("    " + mutant.describe(text))
        return 0

    shutil.rmtree(OUT, ignore_errors=True)
    runner = Runner(text)
    for test in sorted(f[:-2] for f in os.listdir("tests/unit") if f.startswith("test_") and f.endswith(".c")):
        runner.measure(test)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for mutant in pool.map(runner.judge, chosen):
            if mutant.verdict == "survived":
                print("    survived: " + mutant.describe(text), flush=True)

    counted = [m for m in chosen if isinstance(m.verdict, tuple) or m.verdict == "survived"]
    for room in dict.fromkeys(m.room for m in counted):
        of_room = [m for m in counted if m.room == room]
        caught = [m for m in of_room if m.verdict != "survived"]
        own = [m for m in caught if m.verdict[3]]
        print("    %-14s %3d of %3d caught, %3d of them by the room's own tests" % (
            room, len(caught), len(of_room), len(own)))
    caught = [m for m in counted if m.verdict != "survived"]
    percent = 100.0 * len(caught) / len(counted) if counted else 0.0
    print("%s %.1f %% of the mutants are caught: %d of %d, %d by their time; %d did not compile, %d are equivalent; "
          "%d s" % (
              "ok" if percent >= LEAST_PERCENT else "not ok", percent, len(caught), len(counted),
              sum(1 for m in caught if m.verdict[2] == "time"),
              sum(1 for m in chosen if m.verdict == "not compiled"),
              sum(1 for m in chosen if m.verdict == "equivalent"), time.time() - begun))
    return 0 if percent >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())

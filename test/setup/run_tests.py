#!/usr/bin/python3
"""Builds, installs and tests pgenvelope, and counts what passed.

    run_tests.py [SUITE...]

Without suites, or for "all", runs all of them but the optional ones.  Servers
run as postgres when this is run as root, else as the caller, in a copy of the
tree with a short path; nothing of it is left when this ends.

Every test program reports in the Test Anything Protocol.  A test that lacks
a tool skips with the reason "needs TOOL"; PGENVELOPE_TEST_REQUIRE="all", or
a list of tools, makes such a skip a failure, but not for "-TOOL".

Logs are in build/log, with how long each program took in "durations".  The
last line is "N passed, N failed, N skipped".
"""

import base64
import concurrent.futures
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
LOG = "build/log"
PYTHON = "/usr/bin/python3"      # Debian's own, which has Debian's packages
JOBS = min(os.cpu_count() or 1, 4)   # of programs that compute
SHOWN_LINES = 60            # of a failed program's log

TAP_LINE = re.compile(
    r"^(not )?ok\b *(\d*)[ -]*(.*?) *(?:# *(skip|todo)\b *(.*))?$", re.I)
TAP_PLAN = re.compile(r"^1\.\.(\d+) *(?:# *skip\S* *(.*))?$", re.I)
REGRESS_LINE = re.compile(
    r"^(?:test +|     +)(\S+) +\.\.\. (ok|FAILED)"          # up to 15
    r"|^(not )?ok +\d+ +[-+] (\S+)")                        # from 16

ASAN_ENV = {
    "ASAN_OPTIONS": "abort_on_error=1:disable_coredump=1:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


class Stop(Exception):
    """Nothing more can be run; the message says why."""


class Outcome:
    """What came of one program, or of one suite."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add(self, other, prefix=""):
        self.passed += other.passed
        self.failed += [prefix + name for name in other.failed]
        self.skipped += [prefix + name for name in other.skipped]

    def skip(self, name, reason):
        """Records a skip, or a failure where the tool is required."""
        text = f"{name} ({reason})" if reason else name
        needs = re.match(r"needs (\S+)", reason or "")
        required = os.environ.get("PGENVELOPE_TEST_REQUIRE", "")
        required = re.split(r"[\s,]+", required)
        if needs and (needs.group(1) in required or "all" in required
                      and "-" + needs.group(1) not in required):
            self.failed.append(f"{text}, which is required")
        else:
            self.skipped.append(text)

    def line(self):
        return (f"{self.passed} passed, {len(self.failed)} failed, "
                f"{len(self.skipped)} skipped")


def read_tap(text):
    """The outcome of one program's TAP, checked against its plan."""
    out, plan, seen = Outcome(), None, 0
    for line in text.splitlines():
        match = TAP_PLAN.match(line)
        if match:
            plan = int(match.group(1))
            if plan == 0:
                out.skip("everything", match.group(2))
            continue
        match = TAP_LINE.match(line)
        if match:
            seen += 1
            bad, number, name, directive, reason = match.groups()
            name = name or f"test {number or seen}"
            if (directive or "").lower() == "skip":
                out.skip(name, reason)
            elif bad and (directive or "").lower() == "todo":
                out.skip(name, "to do: " + reason)
            elif bad:
                out.failed.append(name)
            else:
                out.passed += 1
        elif line.startswith("Bail out!"):
            out.failed.append(line)
    if plan is None:
        out.failed.append("no plan: it died, or runs no test")
    elif plan != seen:
        out.failed.append(f"planned {plan} tests, ran {seen}")
    return out


def read_regress(text):
    """The outcome of pg_regress or pg_isolation_regress."""
    out = Outcome()
    for line in text.splitlines():
        match = REGRESS_LINE.match(line)
        if not match:
            continue
        old, verdict, bad, new = match.groups()
        if verdict == "FAILED" or bad:
            out.failed.append(old or new)
        else:
            out.passed += 1
    return out


class Programs:
    """Runs programs, each in a session of its own, and can stop them all."""

    def __init__(self):
        self.running = set()
        self.lock = threading.Lock()
        self.stopping = False
        self.durations = []     # (seconds, log)

    def run(self, command, log, timeout, env=None, cwd=None):
        """Returns (exit code or None after a timeout, output)."""
        os.makedirs(os.path.dirname(log), exist_ok=True)
        started = time.monotonic()
        with open(log, "w+", encoding="utf-8", errors="replace") as file:
            with self.lock:
                if self.stopping:
                    raise Stop("interrupted")
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file,
                    stderr=subprocess.STDOUT, cwd=cwd,
                    env=dict(os.environ, **(env or {})),
                    start_new_session=True)
                self.running.add(process)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                code = None
                self.kill(process)
            finally:
                with self.lock:
                    self.running.discard(process)
                    self.durations.append((time.monotonic() - started, log))
            file.seek(0)
            return code, file.read()

    @staticmethod
    def kill(process):
        for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(process.pid, number)
                process.wait(patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def stop(self):
        with self.lock:
            self.stopping = True
            running = list(self.running)
        for process in running:
            self.kill(process)


PROGRAMS = Programs()


def show(text, lines=SHOWN_LINES):
    """Prints the end of a log, indented."""
    for line in text.rstrip().splitlines()[-lines:]:
        print("    " + line)


def judge(out, name, code, timeout, text):
    """Adds to an outcome that the program itself failed, and shows why."""
    if code is None:
        out.failed.append(f"{name}: still running after {timeout} s")
    elif code != 0 and not out.failed:
        out.failed.append(f"{name}: exit code {code}")
    if out.failed:
        print(f"  {name}:")
        show(text)
    return out


def tap(name, command, log, timeout=120, env=None, cwd=None):
    """Runs one program that speaks TAP."""
    code, text = PROGRAMS.run(command, log, timeout, env, cwd)
    return judge(read_tap(text), name, code, timeout, text)


def exits_zero(name, command, log, timeout=120):
    """Runs one program whose exit code is the test."""
    code, text = PROGRAMS.run(command, log, timeout)
    out = Outcome()
    out.passed = 1 if code == 0 else 0
    return judge(out, name, code, timeout, text)


def step(what, command, timeout=600, env=None, cwd=None):
    """Runs a command that has to succeed for anything else to make sense."""
    log = f"{LOG}/{what.replace(' ', '-')}.log"
    code, text = PROGRAMS.run(command, log, timeout, env, cwd)
    if code != 0:
        show(text)
        raise Stop(f"{what}: " + ("timeout" if code is None
                                  else f"exit code {code}"))
    return text


def make(*arguments):
    return ["make", "--no-print-directory", *arguments]


def made(variable):
    """The value of a variable of the Makefile."""
    return subprocess.run(make("-s", f"print-{variable}"), check=True,
                          stdout=subprocess.PIPE,
                          encoding="utf-8").stdout.strip()


def as_root(command):
    return command if os.geteuid() == 0 else ["sudo", *command]


class Ground:
    """A copy of the tree in a directory that the servers' user owns."""

    MODULE = "test/modules/pgenvelope_test"

    def __init__(self):
        self.user = "postgres" if os.geteuid() == 0 else None
        self.dir = None
        self.has_module = os.path.exists(self.MODULE + "/Makefile")
        self.pg_config = None
        self.reinstall = False

    def as_user(self, command):
        if self.user:
            return ["runuser", "-u", self.user, "--", *command]
        return command

    def pg(self, word):
        return subprocess.run([self.pg_config, word], check=True,
                              stdout=subprocess.PIPE,
                              encoding="utf-8").stdout.strip()

    def prepare(self):
        if self.dir:
            return
        self.pg_config = made("PG_CONFIG")
        step("build", make(f"-j{JOBS}", "all"))
        step("install", as_root(make("install",
                                     f"PG_CONFIG={self.pg_config}")))
        if self.has_module:
            step("build test module", make("-C", self.MODULE))
            step("install test module",
                 as_root(make("-C", self.MODULE, "install")))
        self.dir = tempfile.mkdtemp(prefix="pge.", dir="/tmp")
        for entry in os.listdir("."):
            if entry not in (".git", "build"):
                step("copy", ["cp", "-a", entry, self.dir])
        self.write_configuration()
        os.chmod(self.dir, 0o755)
        if self.user:
            step("copy", ["chown", "-R", self.user, self.dir])

    def write_configuration(self):
        with open("test/setup/regress.conf", encoding="utf-8") as source:
            text = source.read().replace("@DIR@", self.dir)
        with open(self.dir + "/regress.conf", "w", encoding="utf-8") as out:
            out.write(text)
        for name in ("root.key", "spare.key", "typed.key"):
            self.write_secret(name, base64.b64encode(os.urandom(32)).decode())
        with open("test/setup/session.jwks", encoding="ascii") as source:
            self.write_secret("session.jwks", source.read())

    def write_secret(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii",
                  opener=lambda p, f: os.open(p, f, 0o600)) as out:
            print(text, file=out)

    def stop_servers(self):
        """Stops what a killed test left running."""
        for pid in glob.glob(self.dir + "/**/postmaster.pid", recursive=True):
            data = os.path.dirname(pid)
            subprocess.run(
                self.as_user([self.pg("--bindir") + "/pg_ctl", "-D", data,
                              "-m", "immediate", "-w", "-t", "20", "stop"]),
                check=False, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)

    def remove(self):
        if not self.dir:
            return
        self.stop_servers()
        if self.reinstall:
            subprocess.run(as_root(make("-s", "install")), check=False,
                           stdout=subprocess.DEVNULL)
        if self.has_module:
            subprocess.run(as_root(make("-s", "-C", self.MODULE,
                                        "uninstall")),
                           check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir = None


GROUND = Ground()


# The suites.  Each returns an outcome.

def run_each(names, command_of, log_of, env=None):
    """Runs programs, some at a time; their outcomes are in order."""
    out = Outcome()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, done in zip(names, list(pool.map(
                lambda name: tap(name, command_of(name), log_of(name),
                                 env=env), names))):
            out.add(done, f"{name}: ")
    return out


def run_programs(flavor, env=None):
    """The unit programs of one flavor."""
    step(f"build unit {flavor}", make(f"-j{JOBS}", f"unit-{flavor}"))
    return run_each(made("UNIT_TESTS").split(),
                    lambda name: [f"build/{flavor}/{name}"],
                    lambda name: f"{LOG}/{flavor}-{name}.log", env)


def replay(flavor, env=None):
    """Runs every fuzz target over its corpus and the crashes found so far."""
    step(f"build replay {flavor}", make(f"-j{JOBS}", f"replay-{flavor}"))

    def command_of(name):
        return [f"build/{flavor}/replay_{name}", *filter(
            os.path.isdir, (f"test/fuzz/corpus/{name}", "test/fuzz/crashes"))]

    return run_each([name.replace("fuzz_", "", 1)
                     for name in made("FUZZERS").split()], command_of,
                    lambda name: f"{LOG}/{flavor}-replay-{name}.log", env)


def unit():
    return run_programs("plain")


def vectors():
    out = exits_zero("generate.py --check",
                     [PYTHON, "test/vectors/generate.py", "--check"],
                     f"{LOG}/generate.py.log")
    for name in ("decode.py", "jose.py"):
        out.add(tap(name, [PYTHON, f"test/vectors/{name}"],
                    f"{LOG}/{name}.log"), f"{name}: ")
    return out


def fuzz_replay():
    return replay("plain")


def asan():
    out = run_programs("asan", ASAN_ENV)
    out.add(replay("asan", ASAN_ENV), "replay ")
    return out


def pg_regress(suite, off, options, timeout=300):
    """One of the two suites of pg_regress, in an instance of its own."""
    GROUND.prepare()
    where = f"{GROUND.dir}/{suite}"
    options += (f"=--temp-instance={where} --no-locale --encoding=UTF8 "
                f"--temp-config={GROUND.dir}/regress.conf")
    code, text = PROGRAMS.run(
        GROUND.as_user(make("-C", GROUND.dir, "installcheck", "TAP_TESTS=",
                            off + "=", options)),
        f"{LOG}/{suite}.log", timeout)
    out = read_regress(text)
    if not out.passed and not out.failed:
        out.failed.append("no test was run")
    for name in ("regression.diffs", "log/postmaster.log"):
        path = f"{GROUND.dir}/{name}"
        if os.path.exists(path):
            kept = f"{LOG}/{suite}.{os.path.basename(name)}"
            shutil.copyfile(path, kept)
            if out.failed and name == "regression.diffs":
                with open(kept, encoding="utf-8", errors="replace") as file:
                    text += file.read()
            os.unlink(path)
    return judge(out, suite, code, timeout, text)


def regress():
    return pg_regress("regress", "ISOLATION", "EXTRA_REGRESS_OPTS")


def isolation():
    return pg_regress("isolation", "REGRESS", "EXTRA_ISOLATION_OPTS")


def tap_environment():
    pgxs = os.path.dirname(os.path.dirname(GROUND.pg("--pgxs")))
    return {
        "TESTDIR": GROUND.dir,
        "PATH": GROUND.pg("--bindir") + ":" + os.environ["PATH"],
        "PGPORT": "65432",
        "PG_REGRESS": pgxs + "/test/regress/pg_regress",
        "PERL5LIB": pgxs + "/test/perl:test/perl",
    }


def tap_tests():
    GROUND.prepare()
    env = tap_environment()
    out = Outcome()
    wanted = os.environ.get("PROVE_TESTS", made("PROVE_TESTS")).split()
    # A test that is made long by PGENVELOPE_SOAK needs its time.
    timeout = int(os.environ.get("PGENVELOPE_TEST_TIMEOUT", "300"))
    files = sorted(path for pattern in wanted for path in glob.glob(pattern))
    if not files:
        out.failed.append("there is no " + " ".join(wanted))
    # They wait for their servers more than they compute.
    with concurrent.futures.ThreadPoolExecutor(2 * JOBS) as pool:
        waiting = []
        for path in files:
            name = os.path.basename(path)
            waiting.append((name, pool.submit(
                tap, name, GROUND.as_user(["perl", path]),
                f"{LOG}/{name}.log", timeout, env, GROUND.dir)))
        for name, future in waiting:
            out.add(future.result(), f"{name}: ")
    keep_logs("tap")
    return out


def keep_logs(name):
    """What the Perl tests have written about themselves and their nodes."""
    shutil.rmtree(f"{LOG}/{name}", ignore_errors=True)
    if os.path.isdir(f"{GROUND.dir}/tmp_check/log"):
        shutil.copytree(f"{GROUND.dir}/tmp_check/log", f"{LOG}/{name}")


def shared_cache():
    """Where servers for the tests are kept: their user must get there."""
    cache = os.environ.get("PGENVELOPE_TEST_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
        "pgenvelope")
    path = cache
    while os.geteuid() == 0 and path != "/":
        if os.path.exists(path) and not os.stat(path).st_mode & 0o001:
            return "/var/tmp/pgenvelope-test-cache"
        path = os.path.dirname(path)
    return cache


def providers():
    """Each test of test/providers, which is a file with a #! line."""
    GROUND.prepare()
    env = dict(tap_environment(), PGENVELOPE_TEST_CACHE=shared_cache(),
               PGENVELOPE_KMS=f"{GROUND.dir}/pgenvelope-kms",
               PGENVELOPE_PKCS11=f"{GROUND.dir}/pgenvelope-pkcs11")
    wanted = os.environ.get("PROVIDER_TESTS", "").split()
    timeout = int(os.environ.get("PGENVELOPE_TEST_TIMEOUT", "600"))
    out = Outcome()
    for path in sorted(wanted or glob.glob("test/providers/*")):
        with open(path, "rb") as file:
            if file.read(2) != b"#!":
                continue
        name = os.path.basename(path)
        log = f"{LOG}/{name}.log"
        # A Python test gives up being root by itself, after installing.
        command = [PYTHON, path] if path.endswith(".py") \
            else GROUND.as_user(["perl", path])
        if path.endswith(".pl"):
            install_servers(path, env)
        out.add(tap(name, command, log, timeout, env, GROUND.dir),
                f"{name}: ")
        with open(log, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("# servers: "):
                    print(f"  {name} ran against {line[11:].strip()}",
                          flush=True)
    if out.skipped:
        out.skipped.append("the table of docs/providers.md (not all was run)")
    elif not wanted:
        out.add(tap("table.py",
                    [PYTHON, "test/providers/table.py", "--check"],
                    f"{LOG}/table.py.log"), "table.py: ")
    keep_logs("providers")
    return out


def install_servers(path, env):
    """Runs what a Perl test's "# needs: SCRIPT" lines name, before it."""
    with open(path, encoding="utf-8") as file:
        scripts = re.findall(r"^# needs: (\S+\.sh)", file.read(), re.M)
    for script in scripts:
        code, text = PROGRAMS.run([f"test/setup/{script}"],
                                  f"{LOG}/{script}.log", 600, env)
        if code != 0:
            print(f"  {script} failed:")
            show(text)


class AsanServer:
    """Debian's server with the library under ASan and UBSan.

    libasan has to be there before the server, which then hangs in
    bindtextdomain() for ever (main, set_pglocale_pgservice, a lock that is
    not initialised yet).  A second library, preloaded too, makes the calls
    for translation do nothing.  Leaks are PostgreSQL's way of life.
    """

    FLAGS = "-fsanitize=address,undefined"
    STUBS = ("char *bindtextdomain(const char *d, const char *p)"
             " {return (char *) p;}\n"
             "char *textdomain(const char *d) {return (char *) d;}\n"
             "char *bind_textdomain_codeset(const char *d, const char *c)"
             " {return (char *) c;}\n")

    def __init__(self):
        self.dir = GROUND.dir
        self.data = self.dir + "/asan"
        self.log = self.dir + "/asan.log"
        self.process = None

    def build(self):
        flags = [f"COPT={self.FLAGS} -fno-omit-frame-pointer -O1"
                 " -U_FORTIFY_SOURCE", f"SANITIZE={self.FLAGS}"]
        step("clean", make("-C", self.dir, "clean"))
        step("build asan", make(f"-j{JOBS}", "-C", self.dir, *flags, "all"))
        GROUND.reinstall = True
        step("install asan", as_root(make("-C", self.dir, *flags, "install")))
        with open(self.dir + "/nonls.c", "w", encoding="ascii") as file:
            file.write(self.STUBS)
        step("build nonls", ["gcc", "-shared", "-fPIC", "-o",
                             self.dir + "/nonls.so", self.dir + "/nonls.c"])
        step("copy", ["chown", "-R", GROUND.user, self.dir]
             if GROUND.user else ["true"])

    def start(self):
        bindir = GROUND.pg("--bindir")
        step("initdb asan", GROUND.as_user(
            [bindir + "/initdb", "-D", self.data, "-A", "trust",
             "--no-locale", "--encoding=UTF8"]))
        with open(self.data + "/postgresql.conf", "a",
                  encoding="utf-8") as conf, \
                open(self.dir + "/regress.conf", encoding="utf-8") as more:
            conf.write(more.read() + "listen_addresses = ''\n"
                       f"unix_socket_directories = '{self.dir}'\n")
        libasan = subprocess.run(
            ["gcc", "-print-file-name=libasan.so"], check=True,
            stdout=subprocess.PIPE, encoding="utf-8").stdout.strip()
        libasan = os.path.realpath(libasan)
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                GROUND.as_user(["env",
                                f"LD_PRELOAD={libasan} {self.dir}/nonls.so",
                                bindir + "/postgres", "-D", self.data]),
                stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
                env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0:"
                         "abort_on_error=1:disable_coredump=1",
                         UBSAN_OPTIONS="print_stacktrace=1"))
        for _ in range(300):
            if self.process.poll() is not None:
                break
            if subprocess.run([bindir + "/pg_isready", "-q", "-h", self.dir],
                              check=False).returncode == 0:
                return
            time.sleep(0.2)
        self.stop()
        raise Stop("the server under ASan did not start")

    def stop(self):
        """Stops the server; returns what the sanitizers had to say."""
        GROUND.stop_servers()
        PROGRAMS.kill(self.process)
        shutil.copyfile(self.log, f"{LOG}/asan-regress.server.log")
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return [line.strip() for line in file
                    if "Sanitizer:" in line or "runtime error:" in line]


def asan_regress():
    """The regress and isolation tests against such a server."""
    GROUND.prepare()
    server = AsanServer()
    server.build()
    server.start()
    out = Outcome()
    try:
        for suite, off in (("regress", "ISOLATION="),
                           ("isolation", "REGRESS=")):
            log = f"{LOG}/asan-{suite}.log"
            code, text = PROGRAMS.run(
                GROUND.as_user(make("-C", GROUND.dir, "installcheck",
                                    "TAP_TESTS=", off)),
                log, 900, {"PGHOST": GROUND.dir})
            part = read_regress(text)
            if not part.passed and not part.failed:
                part.failed.append("no test was run")
            diffs = GROUND.dir + "/regression.diffs"
            if part.failed and os.path.exists(diffs):
                with open(diffs, encoding="utf-8", errors="replace") as file:
                    text += file.read()
            out.add(judge(part, suite, code, 900, text), f"{suite}: ")
    finally:
        complaints = server.stop()
    if complaints:
        out.failed += sorted(set(complaints))
    else:
        out.passed += 1
    return out


def soak():
    """The short form of make soak; its fuzzing is what fuzz-replay runs."""
    return tap("soak", ["test/soak/soak.sh", "kills", "connections"],
               f"{LOG}/soak.log", 240, {"SOAK_SECONDS": "10"})


def quickstart():
    return tap("quickstart", ["test/quickstart/test.sh"],
               f"{LOG}/quickstart.log", 240)


def lint():
    return tap("lint", ["test/lint/lint.sh"], f"{LOG}/lint.log", 600)


SUITES = {
    "unit": unit,
    "vectors": vectors,
    "fuzz-replay": fuzz_replay,
    "asan": asan,
    "regress": regress,
    "isolation": isolation,
    "tap": tap_tests,
    "soak": soak,
    "quickstart": quickstart,
    "lint": lint,
}
OPTIONAL_SUITES = {
    "asan-regress": asan_regress,
    "providers": providers,
}


def run_suites(names, total):
    """Runs suites one after the other, a line for each."""
    suites = dict(SUITES, **OPTIONAL_SUITES)
    for name in names:
        started = time.monotonic()
        try:
            out = suites[name]()
        except Stop as stop:
            if PROGRAMS.stopping:
                raise
            out = Outcome()
            out.failed.append(str(stop))
        if not (out.passed or out.failed or out.skipped):
            out.failed.append("no test was run")
        total.add(out, f"{name}: ")
        print(f"{name:<14}{out.line():<44}"
              f"{time.monotonic() - started:6.1f} s", flush=True)


def interrupt(_number, _frame):
    """Ends what is running at once; a pool would wait for it."""
    threading.Thread(target=PROGRAMS.stop).start()
    raise KeyboardInterrupt


def main():
    names = []
    for name in sys.argv[1:] or ["all"]:
        names += list(SUITES) if name == "all" else [name]
    for name in names:
        if name not in SUITES and name not in OPTIONAL_SUITES:
            sys.exit(f"there is no suite \"{name}\"; the suites are: "
                     + " ".join([*SUITES, *OPTIONAL_SUITES]))
    os.chdir(TOP)
    os.environ["LC_ALL"] = "C.UTF-8"
    for variable in list(os.environ):
        if variable.startswith("PG") and not variable.startswith("PGENV") \
                and variable != "PG_CONFIG" or variable.startswith("MAKE") \
                or variable == "MFLAGS":
            del os.environ[variable]
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    total, started = Outcome(), time.monotonic()
    try:
        run_suites(names, total)
    except Stop as stop:
        total.failed.append(str(stop))
    except KeyboardInterrupt:
        total.failed.append("interrupted")
        PROGRAMS.stop()
    finally:
        GROUND.remove()
    for name in total.skipped:
        print(f"skipped: {name}")
    for name in total.failed:
        print(f"FAILED: {name}")
    print(f"{time.monotonic() - started:.0f} seconds; logs in {LOG}")
    os.makedirs(LOG, exist_ok=True)
    with open(f"{LOG}/durations", "w", encoding="utf-8") as file:
        for seconds, log in sorted(PROGRAMS.durations, reverse=True):
            print(f"{seconds:7.1f}  {os.path.basename(log)}", file=file)
    with open(f"{LOG}/summary", "w", encoding="utf-8") as file:
        print(total.line(), file=file)
    print(total.line(), flush=True)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())

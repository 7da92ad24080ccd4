"""The interactive client on a pseudo-terminal, as a person uses it: completion, colours, lines that go on,
its own commands, Ctrl-C. Arguments: the binary, the server's HTTP port."""
import os, pty, re, select, signal, sys, tempfile, time

binary, port = sys.argv[1:3]
home = tempfile.mkdtemp()
environment = {**os.environ, "HOME": home, "TERM": "xterm-256color"}
environment.pop("NO_COLOR", None)


class Terminal:
    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(binary, [binary, "client", "--port", port], environment)
        self.raw = ""

    def until(self, pattern, seconds=20):
        """Reads until the text without escape sequences matches; gives that text and forgets it."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.raw).replace("\r", "")
            if re.search(pattern, plain):
                self.raw = ""
                return plain
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.raw += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    break
        sys.exit(f"no {pattern!r} in {self.raw!r}")

    def type(self, text):
        os.write(self.fd, text.encode())


t = Terminal()
assert "Connected to 127.0.0.1" in t.until(r"leaves\.")
t.until(":\\) ", 5)

t.type("SELECT 40 + 2 AS answer")
t.until("answer")
t.type("\r")
assert "42" in t.until("Elapsed")

# Colours while typing.
t.type("SELECT 'text'")
deadline = time.time() + 10
while "\x1b[32m'text'" not in t.raw:
    if select.select([t.fd], [], [], 0.2)[0]:
        t.raw += os.read(t.fd, 65536).decode(errors="replace")
    assert time.time() < deadline, repr(t.raw)
t.type("\r")
t.until("Elapsed")

# An open bracket goes on in the next line.
t.type("SELECT (1 +\r")
time.sleep(0.3)
t.type("6) AS seven\r")
assert "7" in t.until("Elapsed")

# Tab completes names that only the server knows.
t.type("CREATE TABLE unusual_table (column_of_it UInt8) ENGINE = Memory\r")
t.until("Elapsed")
t.type("SELECT toStartOfFif\t")
t.until("toStartOfFifteenMinutes")
t.type("\x03")
t.until(":\\) ")

t.type("\\d unusual_table\r")
assert "column_of_it" in t.until("Elapsed")
t.type("\\x\r")
t.until("vertical")
t.type("SELECT 5 AS five\r")
assert "Row 1:" in t.until("Elapsed")
t.type("\\nothing\r")
t.until("Unknown command")
t.type("SELECT nope\r")
assert "Code: 47" in t.until("UNKNOWN_IDENTIFIER")

# Ctrl-C stops the statement, not the client.
t.type("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)\r")
time.sleep(1.5)
began = time.time()
os.kill(t.pid, signal.SIGINT)
t.until("Query was cancelled", 10)
assert time.time() - began < 3
t.type("\\x\r")
t.until("tables")
t.type("SELECT 'still here'\r")
t.until("Elapsed")
t.type("exit\r")
t.until("Bye")
os.waitpid(t.pid, 0)
assert "still here" in open(os.path.join(home, ".pumphouse_history")).read()
print("prompt: completion, colours, lines, commands, cancel, history")

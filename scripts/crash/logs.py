"""What the logs of the daemon's processes must not say."""

# What a world like this one brings about: a token endpoint whose answers are lost or spoilt, answers in pieces, a disk that is full or slow.
MAY_HAPPEN = (
    "nothing can be sent to the carrier",
    "an answer that cannot be ours, or cannot be read",
    "cannot start:",
    "the store did not close in time",
    "have taken this one for dead",
    "took this one for dead",
)


def read(folder):
    """Every line that tells of an error or a panic: [file, line]."""
    lines = []
    for file in sorted(folder.glob("*-*.log")):
        with open(file, errors="replace") as log:
            lines += [[file.name, line.rstrip()] for line in log if is_of_interest(line)]
    return lines


def is_of_interest(line):
    return " ERROR " in line or "panic" in line


def complaints(findings, lines):
    """A panic, and an error that no carrier and no disk brings about, is a mistake of ours."""
    for file, line in lines:
        expected = any(text in line for text in MAY_HAPPEN) and "panic" not in line
        if is_of_interest(line) and not expected:
            findings.problems.append(f"{file}: {line}")

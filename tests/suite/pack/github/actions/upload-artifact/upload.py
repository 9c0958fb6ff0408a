import os, re, shutil, sys

def inside(path, pattern):
    """Whether a pattern of @actions/glob takes a path: itself, or anything below a directory that it names."""
    text = re.escape(os.path.normpath(pattern)).replace(r"\*\*", "\0").replace(r"\*", "[^/]*").replace("\0", ".*")
    return re.fullmatch(text + "(/.*)?", path) is not None

env = os.environ
store, name = env["STAND_IN_ARTIFACTS"], env["INPUT_NAME"]
if not name or re.search(r'["*<>:|?\r\n\\/]', name):
    sys.exit(f"::error::the artifact name {name!r} is not valid")
lines = [line.strip() for line in env["INPUT_PATH"].splitlines() if line.strip()]
taken = [line for line in lines if not line.startswith("!")]
refused = [line[1:] for line in lines if line.startswith("!")]
found = []
for top, directories, files in os.walk("."):
    for file in files:
        path = os.path.normpath(os.path.join(top, file))
        hidden = any(part.startswith(".") for part in path.split("/"))
        if hidden and env["INPUT_HIDDEN"] != "true":
            continue
        if any(inside(path, it) for it in taken) and not any(inside(path, it) for it in refused):
            found.append(path)
if not found:
    sys.exit("::error::no files were found" if env["INPUT_EMPTY"] == "error" else 0)

def root(pattern):
    """The part before the first wildcard; of a file its directory, where it is alone."""
    parts = pattern.split("/")
    whole = [i for i, part in enumerate(parts) if "*" in part]
    return "/".join(parts[: whole[0]]) if whole else pattern

roots = [root(it) for it in taken]
if len(roots) == 1:
    base = roots[0] if os.path.isdir(roots[0]) else os.path.dirname(roots[0])
else:
    base = os.path.commonpath(roots)
target = os.path.join(store, name)
if os.path.exists(target):
    if env["INPUT_OVERWRITE"] != "true":
        sys.exit(f"::error::an artifact with the name {name} exists already")
    shutil.rmtree(target)
number = int(env.get("STAND_IN_FIRST", "1"))
while True:
    try:
        fd = os.open(os.path.join(store, f".id-{number}"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        break
    except FileExistsError:
        number += 1
os.write(fd, name.encode())
os.close(fd)
for path in found:
    to = os.path.join(target, os.path.relpath(path, base))
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copyfile(path, to)  # without its mode, as there
with open(os.path.join(store, f".of-{name}"), "w") as file:
    file.write(str(number))
with open(env["GITHUB_OUTPUT"], "a") as output:
    output.write(f"artifact-id={number}\n")

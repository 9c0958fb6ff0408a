import fnmatch, os, shutil, sys

env = os.environ
store = env["STAND_IN_ARTIFACTS"]
names = sorted(it for it in os.listdir(store) if not it.startswith("."))
if env["INPUT_IDS"]:
    wanted = []
    for number in env["INPUT_IDS"].split(","):
        current = [it for it in names if open(os.path.join(store, f".of-{it}")).read() == number.strip()]
        if not current:
            sys.exit(f"::error::no artifact has the id {number}")
        wanted += current
elif env["INPUT_NAME"]:
    if env["INPUT_NAME"] not in names:
        sys.exit(f"::error::there is no artifact {env['INPUT_NAME']}")
    wanted = [env["INPUT_NAME"]]
else:
    wanted = [it for it in names if fnmatch.fnmatchcase(it, env["INPUT_PATTERN"] or "*")]
flat = bool(env["INPUT_NAME"] or env["INPUT_IDS"]) or env["INPUT_MERGE"] == "true"
for name in wanted:
    target = env["INPUT_PATH"] if flat else os.path.join(env["INPUT_PATH"], name)
    shutil.copytree(os.path.join(store, name), target, dirs_exist_ok=True)

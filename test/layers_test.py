"""The layers of src/, held by a test: a folder includes only folders below it, and of those only the face. ARCHITECTURE.md lists what is there."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
ORDER = ["base", "model", "objects", "catalog", "mvs", "extract", "clustering", "retrieval", "pipeline", "service", "http", "main"]
# Plain types and small tools: every header is public there, unless its name says otherwise.
OPEN_FOLDERS = {"base", "model"}
FACES = {
    "objects": {"object_store.h", "local_reader.h", "counting_store.h", "s3_store.h", "caching_store.h", "fetcher.h", "powered_store.h"},
    "catalog": {"catalog.h", "sqlite_catalog.h", "versioned_cache.h"},
    "mvs": {"mvs.h", "table_check.h", "table_copy.h"},
    "extract": {"extract.h"},
    "clustering": {"clustering.h"},
    "retrieval": {"retrieval.h", "aggregate.h"},
    "pipeline": {"pipeline.h", "snapshots.h"},
    "service": {"service.h"},
    "http": {"http.h"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
TARGET = re.compile(r"\bquarry_([a-z]+)\b")
# Targets that are no layer of their own: compiler flags, the contract document, imported third parties.
NOT_LAYERS = {"flags", "library", "precompile", "api", "arrow", "parquet", "onnxruntime"}


def folders():
    return sorted(p.name for p in SRC.iterdir() if p.is_dir() and any(p.rglob("*.[ch]*")))


def sources(folder):
    return sorted(p for p in (SRC / folder).rglob("*") if p.suffix in {".h", ".cc"})


def is_face(folder, header):
    if folder in OPEN_FOLDERS:
        return "/" not in header and "internal" not in header
    return header in FACES[folder]


def fault(folder, included):
    """What is wrong with `folder` including "included" (as written); None if nothing."""
    target, _, header = included.partition("/")
    if target == folder or target == "api":
        return None if target == folder or folder in {"http", "main"} else "only http and main read the contract document"
    if target not in ORDER:
        return "includes are written from src/"
    if ORDER.index(target) > ORDER.index(folder):
        return f"{folder} stands below {target}"
    return None if is_face(target, header) else f"{header} is private to {target}"


def test_every_folder_has_its_place():
    unknown = [folder for folder in folders() if folder not in ORDER]
    assert not unknown, f"{unknown} are not in the order of layers"


def test_includes_point_down_and_only_at_faces():
    faults = []
    for folder in folders():
        for source in sources(folder):
            for included in INCLUDE.findall(source.read_text()):
                wrong = fault(folder, included)
                if wrong:
                    faults.append(f"{source.relative_to(ROOT)}: \"{included}\": {wrong}")
    assert not faults, "\n".join(faults)


def test_every_include_exists():
    missing = []
    for folder in folders():
        for source in sources(folder):
            for included in INCLUDE.findall(source.read_text()):
                base = ROOT if included.startswith("api/") else SRC
                if not (base / included).is_file():
                    missing.append(f"{source.relative_to(ROOT)}: \"{included}\"")
    assert not missing, "\n".join(missing)


def test_targets_depend_downwards():
    faults = []
    for folder in folders():
        lists = SRC / folder / "CMakeLists.txt"
        assert lists.is_file(), f"src/{folder} has no target"
        for target in TARGET.findall(lists.read_text()):
            if target in NOT_LAYERS or target == folder:
                continue
            if target not in ORDER or ORDER.index(target) > ORDER.index(folder):
                faults.append(f"src/{folder}/CMakeLists.txt: quarry_{target} stands above {folder}")
    assert not faults, "\n".join(faults)


def test_faults_are_noticed():
    assert fault("model", "http/http.h") == "model stands below http"
    assert fault("http", "catalog/sql_schema.h") == "sql_schema.h is private to catalog"
    assert fault("catalog", "model/filter_internal.h") == "filter_internal.h is private to model"
    assert fault("catalog", "sql_schema.h") == "includes are written from src/"
    assert fault("mvs", "api/embedded.h")
    assert fault("http", "api/embedded.h") is None
    assert fault("http", "http/router.h") is None
    assert fault("service", "mvs/mvs.h") is None


def architecture_folders():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    return set(re.findall(r"`?src/([a-z_]+)/`?", text))


def test_architecture_lists_the_tree():
    if not (ROOT / "ARCHITECTURE.md").exists():
        return
    listed, there = architecture_folders(), set(folders())
    assert listed == there, f"ARCHITECTURE.md lacks {sorted(there - listed)} and lists {sorted(listed - there)} too many"

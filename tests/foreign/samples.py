"""Takes the config files out of source distributions of conson-xp: FOLDER ARCHIVE...

What lies there as YAML is copied. Its tests write others: lists and dicts that their code spells out are written as those
tests do, one file each, named after archive, test and variable: `1.52.0.test_name.conson_data.yml`.
"""

import ast
import sys
import tarfile
from pathlib import Path, PurePosixPath

import yaml

HOUSE = {"homekit", "bridge", "accessories", "conson", "conbus", "devices"}


def is_house(value):
    """Whether this is a list of modules, or a mapping with a part of a house."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(row, dict) and "serial_number" in row and "name" in row for row in value)
    return isinstance(value, dict) and bool(HOUSE & value.keys()) and all(isinstance(key, str) for key in value)


def spelled_out(source):
    """Names, and the values that are written beside them."""
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                try:
                    value = ast.literal_eval(node.value)
                except ValueError:
                    continue  # Not a literal.
                if is_house(value):
                    yield f"{function.name}.{node.targets[0].id}", value


def main(folder, archives):
    """Writes what there is; the last line counts."""
    copied = written = 0
    for archive in archives:
        version = Path(archive).name.removeprefix("conson_xp-").removesuffix(".tar.gz")
        with tarfile.open(archive) as tar:
            for member in (member for member in tar.getmembers() if member.isfile()):
                path = PurePosixPath(member.name)
                if path.suffix in {".yml", ".yaml"} or path.name.endswith((".yml.example", ".yaml.example")):
                    copied += 1
                    name = f"{version}.copied_{copied}.{path.name.removesuffix('.example')}"
                    (folder / name).write_bytes(tar.extractfile(member).read())
                elif path.suffix == ".py" and "tests" in path.parts:
                    for name, value in spelled_out(tar.extractfile(member).read()):
                        written += 1
                        text = yaml.safe_dump(value, default_flow_style=False, allow_unicode=True)
                        (folder / f"{version}.{name}.yml").write_text(text, encoding="utf-8")
    print(f"{copied} copied, {written} written")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

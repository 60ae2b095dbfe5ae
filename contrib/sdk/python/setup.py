"""The build step that pyproject.toml has no words for: policy.proto becomes
weir_policy/policy.desc, the compiled description that the package loads."""

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROTO = Path(__file__).resolve().parents[3] / "proto" / "policy.proto"


class BuildProtocol(build_py):
    def run(self) -> None:
        super().run()
        target = Path(self.build_lib) / "weir_policy" / "policy.desc"
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["protoc", f"--proto_path={PROTO.parent}",
                        f"--descriptor_set_out={target}", PROTO.name],
                       check=True)


setup(cmdclass={"build_py": BuildProtocol})

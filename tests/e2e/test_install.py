"""`make install` puts everything there, `make uninstall` takes it away."""

import os
import re
import subprocess
from pathlib import Path

import pytest

BUILD = os.environ.get("top_builddir", "")
INSTALLED = """
bin/weir-policy include/weir_policy.h lib/libweir-policy.so
lib/systemd/system/weir-export-mariadb.service
libexec/weir/exporters/weir-export-mariadb
libexec/weir/exporters/weir-export-gelf
libexec/weir/exporters/weir-export-slack
libexec/weir/exporters/weir-load-redis
libexec/weir/exporters/weir_export/lines.py
lib/pkgconfig/weir-policy.pc lib/systemd/system/weir.service sbin/weir
sbin/weir-milter-bridge sbin/weir-rules sbin/weir-tlsrpt share/doc/weir/POLICY.md
share/doc/weir/policy.proto share/doc/weir/weir.conf.example
share/man/man1/weir-policy.1 share/man/man3/weir_policy.3
share/man/man5/weir.conf.5 share/man/man7/weir-policy.7
share/man/man8/weir-milter-bridge.8 share/man/man8/weir-tlsrpt.8
share/man/man8/weir.8 sbin/weirctl share/man/man8/weirctl.8
share/bash-completion/completions/weirctl share/zsh/site-functions/_weirctl
share/weir/weir.json share/weir/weir.rules.yml
share/weir/weir-policy/templates/test.sh
share/weir/weir-policy/weir_policy/policy.desc
share/weir/weir-policy/weir_policy_tool/main.py
""".split()


@pytest.mark.skipif(not (Path(BUILD) / "Makefile").exists(),
                    reason="top_builddir is no build of weir")
def test_install_and_uninstall(tmp_path):
    def make(target):
        done = subprocess.run(
            ["make", "-C", BUILD, target, f"DESTDIR={tmp_path}"], timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout[-3000:]

    makefile = (Path(BUILD) / "Makefile").read_text()
    prefix = re.search(r"^prefix = /(.*)$", makefile, re.M)[1]
    make("install")
    for name in INSTALLED:
        assert (tmp_path / prefix / name).exists(), name
    home = tmp_path / prefix / "share/weir/weir-policy"
    command = (tmp_path / prefix / "bin/weir-policy").read_text()
    assert f'HERE = Path("/{home.relative_to(tmp_path)}")' in command
    cache = home / "weir_policy_tool/__pycache__"  # when root has used it
    cache.mkdir()
    (cache / "main.cpython-311.pyc").write_bytes(b"")
    make("uninstall")
    assert [p for p in tmp_path.rglob("*") if not p.is_dir()] == []
    assert [p for p in tmp_path.rglob("weir*")] == []

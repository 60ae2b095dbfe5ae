"""A certificate authority for one test, by openssl."""

import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True,
                   timeout=30)


class Authority:
    def __init__(self, place, name="Test authority"):
        self.place, self.issued = place, 0
        self.key = place / "ca.key"
        self.file = place / "ca.pem"
        openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}",
                "-keyout", self.key, "-out", self.file)
        self.file.chmod(0o644)

    def issue(self, *names, days=2):
        """A key and its certificate for these names, in one file; days=-1:
        expired."""
        self.issued += 1
        path = self.place / f"issued{self.issued}.pem"
        key, request, crt = (path.with_suffix(end)
                             for end in (".key", ".csr", ".crt"))
        openssl("req", "-new", *KEY, "-subj", "/O=Test", "-addext",
                "subjectAltName=" + ",".join(f"DNS:{n}" for n in names),
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey",
                self.key, "-CAcreateserial", "-days", str(days),
                "-copy_extensions", "copy", "-out", crt)
        path.write_bytes(key.read_bytes() + crt.read_bytes())
        path.chmod(0o600)
        return path

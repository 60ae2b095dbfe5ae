"""An authority of a test's own, and the certificates that it issues."""

import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True,
                          capture_output=True, timeout=30, **options).stdout


class Authority:
    def __init__(self, place, name="test authority"):
        self.place = place / name.replace(" ", "-")
        self.place.mkdir()
        self.certificate = self.place / "ca.pem"
        self.key = self.place / "ca.key"
        openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}",
                "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, *others, apart=False):
        """A file with key and certificate; apart: two files."""
        path = self.place / f"{name}.pem"
        key = self.place / f"{name}.key"
        names = ",".join(f"DNS:{n}" for n in (name, *others))
        request = openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", key)
        made = openssl(
            "x509", "-req", "-days", "2", "-CA", self.certificate, "-CAkey",
            self.key, "-CAcreateserial", "-extfile", "/dev/stdin", "-in",
            self.file("request", request),
            input=f"subjectAltName={names}\n".encode())
        path.write_bytes(made if apart else key.read_bytes() + made)
        return (path, key) if apart else path

    def file(self, name, data):
        path = self.place / name
        path.write_bytes(data)
        return path

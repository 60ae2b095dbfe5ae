"""How a domain's policy is got: its id by DNS, its text by HTTPS.

Nothing of what is fetched is trusted for its size, its speed, or where it
points: redirects are not followed, and all of it has a time and a limit.
"""

import asyncio
import http.client
import io
import ssl

import dns.asyncresolver
import dns.exception
import dns.resolver

from sts_policy import Invalid, StsPolicy, parse_policy, parse_record

BODY_MAX = 64 * 1024        # RFC 8461 3.3
HEADERS_MAX = 16 * 1024


class Unavailable(Exception):
    """The policy cannot be had; `result` is RFC 8460's name for it."""

    def __init__(self, result: str, why: str) -> None:
        super().__init__(why)
        self.result = result


class _Bytes:
    """What http.client takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def read_response(data: bytes) -> bytes:
    """The body of a 200 with text/plain, whole."""
    response = http.client.HTTPResponse(_Bytes(data))  # type: ignore[arg-type]
    try:
        response.begin()
        if response.status != 200:
            raise Unavailable("sts-policy-fetch-error",
                              f"HTTP status {response.status}")
        if "Content-Type" not in response.headers or \
                response.headers.get_content_type() != "text/plain":
            raise Unavailable("sts-policy-fetch-error",
                              "it is not text/plain")
        body = response.read()
    except (http.client.HTTPException, ValueError) as error:
        raise Unavailable("sts-policy-fetch-error",
                          f"no HTTP response: {error!r}") from None
    if len(body) > BODY_MAX:
        raise Unavailable("sts-policy-fetch-error", "it is too large")
    return body


class Fetcher:
    """resolver: "192.0.2.53" or "127.0.0.1:5353"; None: the system's. ca: a
    PEM file; None: the system's. timeout: seconds, for one whole fetch."""

    def __init__(self, resolver: str | None, ca: str | None, port: int,
                 timeout: float) -> None:
        self.port, self.timeout = port, timeout
        self._resolver = dns.asyncresolver.Resolver(configure=resolver is None)
        if resolver is not None:
            address, _, number = resolver.rpartition(":")
            if not address or "]" in number or ":" in address.strip("[]") \
                    and not address.startswith("["):
                address, number = resolver, "53"
            self._resolver.nameservers = [address.strip("[]")]
            self._resolver.port = int(number)
        self._resolver.lifetime = timeout
        self._tls = ssl.create_default_context(cafile=ca)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.hostname_checks_common_name = False

    async def record(self, domain: str) -> str | None:
        """The id of the policy; None: the domain has none. Raises Unavailable
        when that cannot be known now."""
        try:
            answer = await self._resolver.resolve(f"_mta-sts.{domain}.", "TXT")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        except dns.exception.DNSException as error:
            raise Unavailable("sts-policy-fetch-error",
                              f"TXT record: {error}") from None
        return parse_record(b"".join(r.strings).decode("utf-8", "replace")
                            for r in answer)

    async def _addresses(self, host: str) -> list[str]:
        found = []
        for kind in ("A", "AAAA"):
            try:
                answer = await self._resolver.resolve(f"{host}.", kind)
            except dns.exception.DNSException:
                continue
            found += [r.address for r in answer]
        if not found:
            raise Unavailable("sts-policy-fetch-error",
                              f"{host} has no address")
        return found

    async def _get(self, host: str, address: str) -> bytes:
        reader, writer = await asyncio.open_connection(
            address, self.port, ssl=self._tls, server_hostname=host)
        try:
            writer.write(f"GET /.well-known/mta-sts.txt HTTP/1.1\r\n"
                         f"Host: {host}\r\nConnection: close\r\n"
                         f"User-Agent: weir-mta-sts/1.0\r\n"
                         f"Accept: text/plain\r\n\r\n".encode("ascii"))
            data = b""
            while more := await reader.read(65536):
                data += more
                if len(data) > BODY_MAX + HEADERS_MAX:
                    raise Unavailable("sts-policy-fetch-error",
                                      "it is too large")
            return data
        finally:
            writer.close()

    async def _first(self, host: str) -> bytes:
        error: OSError | None = None
        for address in await self._addresses(host):
            try:
                return await self._get(host, address)
            except ssl.SSLCertVerificationError as wrong:
                raise Unavailable("sts-webpki-invalid",
                                  wrong.verify_message) from None
            except OSError as failed:
                error = failed
        raise Unavailable("sts-policy-fetch-error", f"{host}: {error}")

    async def policy(self, domain: str) -> StsPolicy:
        """Raises Unavailable."""
        host = f"mta-sts.{domain}"
        try:
            async with asyncio.timeout(self.timeout):
                data = await self._first(host)
            return parse_policy(read_response(data))
        except TimeoutError:
            raise Unavailable("sts-policy-fetch-error",
                              f"{host} took too long") from None
        except Invalid as error:
            raise Unavailable("sts-policy-invalid", str(error)) from None

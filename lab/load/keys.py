"""RSA keys in bulk, for load alone: each shares its primes with others, so that none of them is secret."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_EXPONENT = 65537


def primes_for(keys: int) -> int:
    """Return how many primes make at least so many keys of two different ones each."""
    return max(2, math.ceil((1 + math.sqrt(1 + 8 * keys)) / 2))


def make_primes(count: int, bits: int, progress: Callable[[int], None] = lambda _: None) -> list[int]:
    """Return ``count`` primes for keys of ``bits`` bits; their two highest bits are set."""
    found: list[int] = []
    with ThreadPoolExecutor() as pool:
        for key in pool.map(lambda _: rsa.generate_private_key(_EXPONENT, bits), range((count + 1) // 2)):
            numbers = key.private_numbers()
            found += [numbers.p, numbers.q]
            progress(min(len(found), count))
    return found[:count]


def keys_of(primes: list[int]) -> Iterator[rsa.RSAPrivateKey]:
    """Yield a key for each pair of primes."""
    for place, p in enumerate(primes):
        for q in primes[:place]:
            yield _key(max(p, q), min(p, q))  # or strongSwan 5.9.8 errs now and then


def _key(p: int, q: int) -> rsa.RSAPrivateKey:
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1) // math.gcd(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(e=_EXPONENT, n=p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)

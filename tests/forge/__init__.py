"""The forge: SCEP messages that are well formed by default and odd wherever a test says so.

Independent of the product's codec on purpose: it writes its own DER, builds its own CMS and reads
replies with its own eyes, so that a mistake of ours cannot agree with itself. Lives here: writing
and reading octets (`asn1`, `keys`, `certificates`, `csr`, `envelope`, `message`, `reply`), foreign
judges (`openssl`), sockets (`wire`), and a running lab with its requests and outcomes (`bench`,
`table`). Does not live here: any import of `ca`, `scep_server` or `crl_publisher`.
"""

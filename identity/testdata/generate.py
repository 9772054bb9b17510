# Writes the other files in this folder, with Python and its package cryptography, so that they
# check the package from outside. The seeds are those of RFC 8032 section 7.1, tests 1 and 2.
import base64, hashlib, json
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

def private(seed): return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
def public(key): return key.public_key().public_bytes_raw()

def base58(data):
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    n, out = int.from_bytes(data, "big"), ""
    while n: n, r = divmod(n, 58); out = alphabet[r] + out
    return out

def cid(block):
    data = bytes([1, 0x71, 0x12, 32]) + hashlib.sha256(block).digest()
    return "b" + base64.b32encode(data).decode().lower().rstrip("=")

seeds = ["9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"]
key, following = map(private, seeds)
pub, commitment = public(key), hashlib.sha256(public(following)).digest()
block = (b"\xa3" + b"\x64.key" + b"\x58\x20" + pub + b"\x65.next" + b"\x58\x20" + commitment
         + b"\x67.policy" + b"\x6bidentity_v1")
id = cid(block)
kind, payload = "application/vnd.archivecache.node_v1", b"what is signed"
pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
with open("vectors.txt", "w") as f:
    for name, value in [
        ("seed", seeds[0]), ("next seed", seeds[1]), ("public", pub.hex()), ("did", "did:key:z" + base58(b"\xed\x01" + pub)),
        ("document", block.hex()), ("id", id),
        ("message", json.dumps({".policy": "identity_v1", ".key": base64.b64encode(pub).decode(),
            ".next": base64.b64encode(commitment).decode(), ".owner": id, ".ipfs_hash": id}, sort_keys=True, separators=(",", ":"))),
        ("policy", "node_v1"), ("payload", payload.hex()), ("pae", pae.hex()), ("signature", key.sign(pae).hex()),
    ]: f.write(f"{name}: {value}\n")
def b64(data): return base64.b64encode(data).decode()
raw = [bytes.fromhex(seed) for seed in seeds]
comment = "# Whoever has this can sign in its owner's name. Keep it secret.\n"
with open("secret1.key", "w", newline="\n") as f:
    f.write(f"ARCHIVECACHE-SECRET-KEY-1\n{comment}id {id}\nkey {b64(raw[0])}\nnext {b64(raw[1])}\n")
with open("secret.key", "w", newline="\n") as f:
    text = f"ARCHIVECACHE-SECRET-KEY-2\n{comment}id {id}\ndocument {b64(block)}\nkey 0 {b64(raw[0])}\nkey 1 {b64(raw[1])}\n"
    f.write(text + f"sum {b64(hashlib.sha256(text.encode()).digest())}\n")

# Public keys: what is wrong with them, or "good", and the key in hex.
p = 2**255 - 19
d = -121665 * pow(121666, -1, p) % p
def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = d * x1 * x2 * y1 * y2 % p
    return (x1*y2 + x2*y1) * pow(1 + t, -1, p) % p, (y1*y2 + x1*x2) * pow(1 - t, -1, p) % p
def times(n, point):
    out = (0, 1)
    while n: out, point, n = add(out, point) if n & 1 else out, add(point, point), n >> 1
    return out
def encode(x, y): return (y | (x & 1) << 255).to_bytes(32, "little")
def roots(y):
    square = (y*y - 1) * pow(d*y*y + 1, -1, p) % p
    x = pow(square, (p + 3) // 8, p)
    if x*x % p != square: x = x * pow(2, (p - 1) // 4, p) % p
    return (x, p - x) if x*x % p == square else ()
order = 2**252 + 27742317777372353535851937790883648493
small = set()
for y in range(2, 60):
    for x in roots(y): small |= {times(n * order, (x, y)) for n in range(8)}
assert len(small) == 8 and all(times(8, q) == (0, 1) for q in small)
lines = [("good", public(private(bytes([i]*32).hex()))) for i in range(10)]
lines += [("good", encode(x, y)) for y in range(2, 12) for x in roots(y)]
lines += [("small order", encode(*q)) for q in sorted(small)]
lines += [("small order", encode(1, 1)), ("small order", encode(1, p - 1))]
lines += [("not a point", encode(s, y)) for y in range(2, 12) if not roots(y) for s in (0, 1)]
lines += [("canonical", encode(s, y)) for y in range(p, 2**255) for s in (0, 1)]
with open("keys.txt", "w") as f:
    for what, data in lines: f.write(f"{what}: {data.hex()}\n")

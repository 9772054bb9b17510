# Writes valid.txt and invalid.txt in this folder, with Python alone, so that they check the package from outside.
import base64, json, zlib, random

def stream(data, level=6, wbits=15, strategy=0, dictionary=None):
    kw = dict(level=level, wbits=wbits, strategy=strategy)
    if dictionary is not None: kw['zdict'] = dictionary
    c = zlib.compressobj(**kw)
    return c.compress(data) + c.flush()

def canon(v):
    return json.dumps(v, sort_keys=True, separators=(',', ':'), ensure_ascii=False)

random.seed(2)
valid = []
def add(name, text, **kw):
    valid.append((name, base64.b64encode(stream(text.encode(), **kw)).decode(), canon(json.loads(text))))

ref = {".policy": "node_v1", ".ipfs_hash": "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
       ".owner": "bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae", ".signature": "A" * 86 + "==", ".sequence": 7}
add("empty object", "{}")
add("python default separators", json.dumps(ref))
add("compact and sorted", canon(ref))
add("not compressed", canon(ref), level=0)
add("level 1", canon(ref), level=1)
add("level 9", canon(ref), level=9)
add("window of 512 bytes", canon(ref), wbits=9)
add("fixed Huffman codes", canon(ref), strategy=zlib.Z_FIXED)
add("Huffman only", canon(ref), strategy=zlib.Z_HUFFMAN_ONLY)
add("escaped letters, as Python writes them", json.dumps({"name": "Zoë \U0001f98a", "Ω": [True, False, None]}))
add("nested and unsorted", '{"b":{"z":[{"y":1,"x":2}],"a":{}},"a":[[],{}]}')
add("indented", json.dumps(ref, indent=2))
add("long", json.dumps({"%x" % random.getrandbits(64): random.getrandbits(50) for _ in range(40)}))
with open("valid.txt", "w") as f:
    f.write("# name | base64 of the binary message | content in canonical spelling; written by Python's zlib and json\n")
    for v in valid: f.write(" | ".join(v) + "\n")

invalid = []
def bad(name, sentinel, reason, data): invalid.append((name, sentinel, reason, base64.b64encode(data).decode()))
good = stream(canon(ref).encode())
bad("nothing", "corrupt", "no zlib header", b"")
bad("JSON as it is", "corrupt", "no zlib header", b"{}")
bad("gzip", "corrupt", "no zlib header", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00C\xbf\xa6\xa3\x02\x00\x00\x00")
c = zlib.compressobj(wbits=-15); bad("deflate without zlib", "corrupt", "no zlib header", c.compress(b"{}") + c.flush())
bad("a byte follows", "corrupt", "1 bytes after its end", good + b"\n")
bad("a second message follows", "corrupt", "bytes after its end", good + good)
bad("no checksum", "corrupt", "cut off", good[:-4])
bad("half", "corrupt", "cut off", good[:len(good)//2])
bad("wrong checksum", "corrupt", "invalid checksum", good[:-1] + bytes([good[-1] ^ 1]))
bad("preset dictionary", "corrupt", "preset dictionary", stream(canon(ref).encode(), dictionary=b'".ipfs_hash"'))
bad("preset dictionary of no bytes", "corrupt", "preset dictionary", b"\x78\xbb\x00\x00\x00\x01" + good[2:])
bad("window too large", "corrupt", "no zlib header", b"\x88\x1c" + good[2:])
bad("reserved block type", "corrupt", "zlib", b"\x78\x9c\x07\x00\x00\x00\x00\x01")
bad("bomb", "large", "more than 8388608 bytes", stream(b" " * (9 << 20)))
for name, reason, text in [
    ("no content", "an object in braces", b""),
    ("array", "an object in braces", b"[]"),
    ("string", "an object in braces", b'"{}"'),
    ("number", "an object in braces", b"1"),
    ("two objects", "something follows", b"{}{}"),
    ("name twice", "stands twice", b'{"a":1,"a":1}'),
    ("Latin-1", "not in UTF-8", b'{"a":"\xe9"}'),
    ("UTF-16", "an object in braces", '{"a":1}'.encode("utf-16")),
    ("byte order mark", "an object in braces", b"\xef\xbb\xbf{}"),
]: bad(name, "json", reason, stream(text))
with open("invalid.txt", "w") as f:
    f.write("# name | kind of error | what the error says | base64 of the binary message\n")
    for v in invalid: f.write(" | ".join(v) + "\n")

"""
wrap/ and gcm/: the two algorithms, from published vectors and derived ones.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .format import derive, gcm_seal, wrap
from .vector import Vector

RFC_3394 = "RFC 3394 section 4.6"
RFC_KEK = bytes(range(32))
RFC_DEK = bytes.fromhex("00112233445566778899aabbccddeeff"
                        "000102030405060708090a0b0c0d0e0f")
RFC_WRAPPED = bytes.fromhex("28c9f404c4b810f4cbccb35cfb87f826"
                            "3f5786e2d80ed326cbc7f0e71a99f43b"
                            "fb988b9b7a02dd21")


def flip(data, bit):
    """data with one bit changed, counted from the first byte's highest."""
    out = bytearray(data)
    out[bit // 8] ^= 0x80 >> bit % 8
    return bytes(out)


def wrap_with_initial_value(kek, dek, initial):
    """RFC 3394 section 2.2.1 written out, for another initial value."""
    ecb = Cipher(algorithms.AES(kek), modes.ECB()).encryptor()
    a = initial
    r = [dek[i:i + 8] for i in range(0, len(dek), 8)]
    for j in range(6):
        for i in range(len(r)):
            block = ecb.update(a + r[i])
            step = len(r) * j + i + 1
            a = (int.from_bytes(block[:8], "big") ^ step).to_bytes(8, "big")
            r[i] = block[8:]
    return a + b"".join(r)


def wrap_vectors():
    def good(name, comment, kek, dek, **more):
        fields = {"kek": kek, "dek": dek, "wrapped": wrap(kek, dek), **more}
        return Vector("good_" + name, "ok", comment, fields)

    def bad(name, comment, wrapped, kek=RFC_KEK):
        return Vector("bad_" + name, "authentication", comment,
                      {"kek": kek, "wrapped": wrapped})

    assert wrap(RFC_KEK, RFC_DEK) == RFC_WRAPPED
    assert wrap_with_initial_value(RFC_KEK, RFC_DEK,
                                   b"\xa6" * 8) == RFC_WRAPPED
    yield good("rfc3394_4_6", "256 bits of key data with a 256-bit KEK",
               RFC_KEK, RFC_DEK, source=RFC_3394)
    yield good("zero", "a KEK and a DEK of zero bytes", bytes(32), bytes(32))
    yield good("ones", "a KEK and a DEK of 0xff bytes", b"\xff" * 32,
               b"\xff" * 32)
    for i in range(1, 5):
        yield good(f"derived_{i}", "a KEK and a DEK without structure",
                   derive(f"wrap kek {i}"), derive(f"wrap dek {i}"))
    yield good("dek_is_kek", "a KEK wraps itself", RFC_KEK, RFC_KEK)

    yield bad("first_bit", "the first bit is flipped", flip(RFC_WRAPPED, 0))
    yield bad("last_bit", "the last bit is flipped", flip(RFC_WRAPPED, 319))
    for block in range(1, 5):
        yield bad(f"block_{block}", f"a bit of 64-bit block {block} is "
                  "flipped", flip(RFC_WRAPPED, block * 64 + 17))
    yield bad("blocks_swapped", "the last two 64-bit blocks changed places",
              RFC_WRAPPED[:24] + RFC_WRAPPED[32:] + RFC_WRAPPED[24:32])
    yield bad("other_kek", "wrapped with another KEK", RFC_WRAPPED,
              flip(RFC_KEK, 255))
    yield bad("not_wrapped", "the DEK in clear, after the initial value",
              b"\xa6" * 8 + RFC_DEK)
    yield bad("zero_bytes", "zero bytes", bytes(40))
    yield bad("initial_value", "the initial value's last bit differs",
              wrap_with_initial_value(RFC_KEK, RFC_DEK,
                                      b"\xa6" * 7 + b"\xa7"))
    yield bad("rfc5649", "wrapped as RFC 5649 says, with its initial value",
              wrap_with_initial_value(RFC_KEK, RFC_DEK, bytes.fromhex(
                  "a65959a600000020")))


GCM_SPEC = ("McGrew and Viega, The Galois/Counter Mode of Operation, "
            "test case ")
CAVP = "NIST CAVP, gcmEncryptExtIV256, "
SPEC_KEY = "feffe9928665731c6d6a8f9467308308" * 2
SPEC_NONCE = "cafebabefacedbaddecaf888"
SPEC_PLAINTEXT = ("d9313225f88406e5a55909c5aff5269a"
                  "86a7a9531534f7da2e4c303d8a318a72"
                  "1c3c0c95956809532fcf0e2449a6b525"
                  "b16aedf5aa0de657ba637b391aafd255")
SPEC_CIPHERTEXT = ("522dc1f099567d07f47f37a32a84427d"
                   "643a8cdcbfe5c0c97598a2bd2555d1aa"
                   "8cb08e48590dbb3da7b08b1056828838"
                   "c5f61e6393ba7a0abcc9f662898015ad")
SPEC_AAD = "feedfacedeadbeeffeedfacedeadbeefabaddad2"

# name, source, key, nonce, aad, plaintext, ciphertext, tag
PUBLISHED = [
    ("spec_13", GCM_SPEC + "13", "00" * 32, "00" * 12, "", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"),
    ("spec_14", GCM_SPEC + "14", "00" * 32, "00" * 12, "", "00" * 16,
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"),
    ("spec_15", GCM_SPEC + "15", SPEC_KEY, SPEC_NONCE, "", SPEC_PLAINTEXT,
     SPEC_CIPHERTEXT, "b094dac5d93471bdec1a502270e3cc6c"),
    ("spec_16", GCM_SPEC + "16", SPEC_KEY, SPEC_NONCE, SPEC_AAD,
     SPEC_PLAINTEXT[:120], SPEC_CIPHERTEXT[:120],
     "76fc6ece0f4e1768cddf8853bb2d551b"),
    ("cavp_empty", CAVP + "PTlen 0, AADlen 0",
     "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
     "516c33929df5a3284ff463d7", "", "", "",
     "bdc1ac884d332457a1d2664f168c76f0"),
    ("cavp_aad_only", CAVP + "PTlen 0, AADlen 128",
     "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
     "d79cf22d504cc793c3fb6c8a", "b96baa8c1c75a671bfb2d08d06be5f36", "", "",
     "3e5d486aa2e30b22e040b85723a06e76"),
    ("cavp_plaintext_only", CAVP + "PTlen 128, AADlen 0",
     "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
     "0d18e06c7c725ac9e362e1ce", "", "2db5168e932556f8089a0622981d017d",
     "fa4362189661d163fcd6a56d8bf0405a", "d636ac1bbedd5cc3ee727dc2ab4a9489"),
    ("cavp_both", CAVP + "PTlen 128, AADlen 128",
     "92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b",
     "ac93a1a6145299bde902f21a", "1e0889016f67601c8ebea4943bc23ad6",
     "2d71bcfa914e4ac045b2aa60955fad24", "8995ae2e6df3dbf96fac7b7137bae67f",
     "eca5aa77d51d4a0a14d9c51e1da474ab"),
]


def gcm_fields(key, nonce, aad, plaintext, sealed):
    fields = {"key": key, "nonce": nonce, "aad": aad}
    if plaintext is not None:
        fields["plaintext"] = plaintext
    fields["ciphertext"] = sealed[:-16]
    fields["tag"] = sealed[-16:]
    return fields


def gcm_vectors():
    for name, source, *literals in PUBLISHED:
        key, nonce, aad, plaintext, ciphertext, tag = map(bytes.fromhex,
                                                          literals)
        assert gcm_seal(key, nonce, plaintext, aad) == ciphertext + tag
        yield Vector("good_" + name, "ok", "a published vector",
                     {"source": source,
                      **gcm_fields(key, nonce, aad, plaintext,
                                   ciphertext + tag)})
    for length in (1, 15, 16, 17, 255, 1000):
        key, nonce = derive("gcm key"), derive(f"gcm nonce {length}", 12)
        aad = derive(f"gcm aad {length}", length)
        plaintext = derive(f"gcm plaintext {length}", length)
        yield Vector(f"good_length_{length}", "ok",
                     f"{length} bytes of plaintext and of additional data",
                     gcm_fields(key, nonce, aad, plaintext,
                                gcm_seal(key, nonce, plaintext, aad)))

    key, nonce, aad = (bytes.fromhex(text) for text in
                       (SPEC_KEY, SPEC_NONCE, SPEC_AAD))
    sealed = gcm_seal(key, nonce, bytes.fromhex(SPEC_PLAINTEXT), aad)

    def bad(name, comment, key=key, nonce=nonce, aad=aad, sealed=sealed):
        return Vector("bad_" + name, "authentication", comment,
                      gcm_fields(key, nonce, aad, None, sealed))

    last = len(sealed) * 8 - 1
    yield bad("tag_first_bit", "the tag's first bit is flipped",
              sealed=flip(sealed, last - 127))
    yield bad("tag_last_bit", "the tag's last bit is flipped",
              sealed=flip(sealed, last))
    yield bad("tag_zero", "a tag of zero bytes",
              sealed=sealed[:-16] + bytes(16))
    yield bad("ciphertext_first_bit", "the ciphertext's first bit is flipped",
              sealed=flip(sealed, 0))
    yield bad("ciphertext_last_bit", "the ciphertext's last bit is flipped",
              sealed=flip(sealed, last - 128))
    yield bad("ciphertext_shorter", "the ciphertext lost its last byte",
              sealed=sealed[:-17] + sealed[-16:])
    yield bad("aad_bit", "a bit of the additional data is flipped",
              aad=flip(aad, 80))
    yield bad("aad_absent", "the additional data are missing", aad=b"")
    yield bad("nonce_bit", "a bit of the nonce is flipped",
              nonce=flip(nonce, 95))
    yield bad("key_bit", "a bit of the key is flipped", key=flip(key, 128))

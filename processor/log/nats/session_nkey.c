// SPDX-License-Identifier: Apache-2.0
// Signatures by nkeys: Ed25519 with a seed in base32 ("SU…": two bytes of prefix, 32 of seed, a CRC-16), and its public
// key ("U…": a byte of prefix, 32 of key, a CRC-16). libnats has nats_Sign for this, which fails as long as nothing
// else has set that library up. See session.h.
#include "processor/log/nats/session.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SEED_TEXT_SIZE 58 // base32 of SEED_SIZE bytes
#define SEED_SIZE 36
#define PUBLIC_SIZE 35

static bool decode_base32(const char *text, uint8_t *bytes) {
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0, out = 0; i < SEED_TEXT_SIZE; i++) {
        char c = text[i];
        int digit = c >= 'A' && c <= 'Z' ? c - 'A' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
        if (digit < 0)
            return false;
        bits = bits << 5 | (uint32_t)digit;
        have += 5;
        if (have >= 8 && out < SEED_SIZE) {
            have -= 8;
            bytes[out++] = (uint8_t)(bits >> have);
        }
    }
    return true;
}

// CRC-16/XMODEM.
static uint16_t checksum(const uint8_t *bytes, size_t len) {
    uint16_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc = (uint16_t)(crc ^ bytes[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

// prefix: the byte that public keys of this kind begin with.
static EVP_PKEY *read_seed(const char *seed, uint8_t *ret_prefix) {
    uint8_t bytes[SEED_SIZE];
    bool valid = strlen(seed) == SEED_TEXT_SIZE && seed[0] == 'S' && decode_base32(seed, bytes) &&
                 checksum(bytes, SEED_SIZE - 2) == (bytes[SEED_SIZE - 2] | bytes[SEED_SIZE - 1] << 8);
    EVP_PKEY *key = valid ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes + 2, 32) : NULL;
    if (key != NULL)
        *ret_prefix = (uint8_t)((bytes[0] & 7) << 5 | bytes[1] >> 3);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return key;
}

bool br_session_sign(const char *seed, struct br_slice text, uint8_t signature[BR_SESSION_SIGNATURE_SIZE]) {
    size_t len = BR_SESSION_SIGNATURE_SIZE;
    uint8_t prefix;
    EVP_PKEY *key = read_seed(seed, &prefix);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = key != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestSign(context, signature, &len, text.ptr, text.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return done;
}

bool br_session_public_nkey(const char *seed, char ret_key[BR_SESSION_NKEY_SIZE]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t bytes[PUBLIC_SIZE];
    size_t len = PUBLIC_SIZE - 3;
    EVP_PKEY *key = read_seed(seed, bytes);
    bool done = key != NULL && EVP_PKEY_get_raw_public_key(key, bytes + 1, &len) == 1;
    EVP_PKEY_free(key);
    if (!done)
        return false;
    uint16_t crc = checksum(bytes, PUBLIC_SIZE - 2);
    bytes[PUBLIC_SIZE - 2] = (uint8_t)crc;
    bytes[PUBLIC_SIZE - 1] = (uint8_t)(crc >> 8);
    for (size_t digit = 0; digit < BR_SESSION_NKEY_SIZE - 1; digit++) { // 35 bytes are 56 digits, without a rest
        size_t bit = digit * 5, at = bit / 8;
        unsigned pair = (unsigned)bytes[at] << 8 | (at + 1 < PUBLIC_SIZE ? bytes[at + 1] : 0);
        ret_key[digit] = digits[pair >> (11 - bit % 8) & 31];
    }
    ret_key[BR_SESSION_NKEY_SIZE - 1] = '\0';
    return true;
}

// SPDX-License-Identifier: Apache-2.0
// Signatures by nkeys: Ed25519 with a seed in base32 ("SU…": two bytes of prefix, 32 of seed, a CRC-16). libnats has
// nats_Sign for this, which fails as long as nothing else has set that library up. See session.h.
#include "processor/log/session.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SEED_TEXT_SIZE 58 // base32 of SEED_SIZE bytes
#define SEED_SIZE 36

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

bool br_session_sign(const char *seed, struct br_slice text, uint8_t signature[BR_SESSION_SIGNATURE_SIZE]) {
    uint8_t bytes[SEED_SIZE];
    size_t len = BR_SESSION_SIGNATURE_SIZE;
    bool valid = strlen(seed) == SEED_TEXT_SIZE && seed[0] == 'S' && decode_base32(seed, bytes) &&
                 checksum(bytes, SEED_SIZE - 2) == (bytes[SEED_SIZE - 2] | bytes[SEED_SIZE - 1] << 8);
    EVP_PKEY *key = valid ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes + 2, 32) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = key != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestSign(context, signature, &len, text.ptr, text.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return done;
}

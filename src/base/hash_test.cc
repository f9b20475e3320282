#include "base/hash.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace quarry {
namespace {

// FIPS 180-2, appendix B.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// RFC 3720, section B.4.
// RFC 4231, test case 2.
TEST(HmacSha256, KnownAnswer) {
  EXPECT_EQ(hmac_sha256_hex("Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending, descending;
  for (int i = 0; i < 32; ++i) {
    ascending.push_back(static_cast<char>(i));
    descending.push_back(static_cast<char>(31 - i));
  }
  EXPECT_EQ(crc32c(ascending), 0x46dd794eu);
  EXPECT_EQ(crc32c(descending), 0x113fdb5cu);
}

// Bit by bit, as the polynomial is defined.
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

TEST(Crc32c, AgreesWithItsDefinitionAtEveryLengthAndAlignment) {
  Rng rng(1);
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes.push_back(static_cast<char>(rng.next()));
  std::string_view all = bytes;
  for (size_t start = 0; start < 9; ++start)
    for (size_t length = 0; length <= 80; ++length) EXPECT_EQ(crc32c(all.substr(start, length)), slow_crc32c(all.substr(start, length)));
}

TEST(Crc32c, GoesOnFromASeed) {
  std::string text = "The quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= text.size(); ++cut) EXPECT_EQ(crc32c(text.substr(cut), crc32c(text.substr(0, cut))), crc32c(text));
}

// Stored on disk: these values may never change.
TEST(Hash64, IsStable) {
  EXPECT_EQ(hash64(""), 0x111cb3a78f59a58eu);
  EXPECT_EQ(hash64("a"), 0x32d3412a45ea3296u);
  EXPECT_EQ(hash64("doc_aaaaaaaaaaaaaaaaaaaaaaaaaa"), 0x3730d58f99529da3u);
  EXPECT_EQ(hash64("doc_aaaaaaaaaaaaaaaaaaaaaaaaaa", 7), 0x21ff02f314d3b71cu);
}

TEST(Hash64, SpreadsSimilarKeys) {
  std::set<uint64_t> hashes, low_bits;
  for (int i = 0; i < 10'000; ++i) {
    uint64_t h = hash64("doc_" + std::to_string(i));
    hashes.insert(h);
    low_bits.insert(h & 0xffff);
  }
  EXPECT_EQ(hashes.size(), 10'000u);
  EXPECT_GT(low_bits.size(), 9'000u);  // 10,000 balls in 65,536 bins leave about 9,270 bins hit
  EXPECT_NE(hash64("a"), hash64(std::string_view("a\0", 2)));
}

// RFC 4648, section 10.
TEST(Base64, KnownAnswers) {
  const char* pairs[][2] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : pairs) {
    EXPECT_EQ(base64_encode(plain), encoded);
    std::string decoded;
    EXPECT_TRUE(base64_decode(encoded, decoded)) << encoded;
    EXPECT_EQ(decoded, plain);
  }
}

TEST(Base64, RoundTripsEveryByte) {
  std::string bytes;
  for (int i = 0; i < 1'000; ++i) bytes.push_back(static_cast<char>(i));
  std::string decoded;
  ASSERT_TRUE(base64_decode(base64_encode(bytes), decoded));
  EXPECT_EQ(decoded, bytes);
}

TEST(Base64, TakesWhiteSpaceAndMissingPadding) {
  for (const char* text : {"Zm9v\nYg==", "Zm9v Yg", "Zm9vYg==\r\n", " Zm9vYg = = ", "Zm9vYg="}) {
    std::string decoded;
    EXPECT_TRUE(base64_decode(text, decoded)) << text;
    EXPECT_EQ(decoded, "foob") << text;
  }
}

TEST(Base64, RefusesOtherText) {
  for (const char* text : {"Zm9v!", "Z", "Zm9vY", "Zm=9v", "Zm9v-_", "hello world.", "\xff"}) {
    std::string decoded;
    EXPECT_FALSE(base64_decode(text, decoded)) << text;
  }
}

TEST(EqualSecrets, ComparesWhole) {
  EXPECT_TRUE(equal_secrets("", ""));
  EXPECT_TRUE(equal_secrets("abc", "abc"));
  EXPECT_FALSE(equal_secrets("abc", "abd"));
  EXPECT_FALSE(equal_secrets("abc", "abcd"));
  EXPECT_FALSE(equal_secrets(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

TEST(Hex, IsLowerCase) {
  const uint8_t bytes[] = {0x00, 0x0f, 0xab, 0xff};
  EXPECT_EQ(hex(bytes), "000fabff");
}

}  // namespace
}  // namespace quarry

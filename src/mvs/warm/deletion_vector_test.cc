#include "mvs/warm/deletion_vector.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>

#include "base/bytes.h"
#include "base/hash.h"

namespace quarry::mvs {
namespace {

std::string from_hex(std::string_view text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) out += char(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  return out;
}

std::string to_hex(std::string_view bytes) { return hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}); }

// The head of an array of `bitmaps`, the first of which has key 0.
std::string array_head(uint64_t bitmaps) {
  std::string out;
  append_little(out, uint32_t{1681511377});
  append_little(out, bitmaps);
  append_little(out, uint32_t{0});
  return out;
}

// A bitmap of run containers, each of which has all of its 65,536 rows in each of `runs` runs.
std::string full_runs(uint32_t containers, uint16_t runs) {
  std::string out;
  append_little(out, uint32_t{12347u | ((containers - 1) << 16)});
  out.append((containers + 7) / 8, char(0xff));
  for (uint32_t c = 0; c < containers; ++c) append_little(out, uint16_t(c)), append_little(out, uint16_t{65535});
  const size_t head = out.size() + (containers >= 4 ? containers * 4 : 0);
  for (uint32_t c = 0; containers >= 4 && c < containers; ++c) append_little(out, uint32_t(head + c * (2 + runs * 4)));
  for (uint32_t c = 0; c < containers; ++c) {
    append_little(out, runs);
    for (uint16_t r = 0; r < runs; ++r) append_little(out, uint16_t{0}), append_little(out, uint16_t{65535});
  }
  return out;
}

// Of one container, as bits: it says that it has `stated` of them and has 65,536.
std::string full_bits(uint16_t stated) {
  std::string out;
  for (const uint32_t word : {12346u, 1u}) append_little(out, word);
  append_little(out, uint16_t{0});
  append_little(out, uint16_t(stated - 1));
  append_little(out, uint32_t{16});
  return out + std::string(8192, char(0xff));
}

int64_t peak_memory_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t(usage.ru_maxrss) * 1024;
}

TEST(Z85, MatchesTheExampleOfItsRfc) {
  EXPECT_EQ(z85_encode(from_hex("864fd26fb559f75b")), "HelloWorld");
  std::string bytes;
  ASSERT_TRUE(z85_decode("HelloWorld", bytes));
  EXPECT_EQ(to_hex(bytes), "864fd26fb559f75b");
  EXPECT_FALSE(z85_decode("Hell", bytes));
  EXPECT_FALSE(z85_decode("He lo", bytes));
  EXPECT_FALSE(z85_decode("#####", bytes));  // above 2^32
  EXPECT_FALSE(z85_decode(std::string_view("\0\0\0\0\0", 5), bytes));
}

TEST(DeletionVector, FindsTheFileOfTheProtocolsExample) {
  // "ab" is the folder, the rest the z85 of the UUID: the example of the protocol's text.
  DeletionVectorRef ref{"u", "ab^-aqEH.-t@S}K{vb[*k^", 4, 40, 6};
  EXPECT_EQ(*deletion_vector_path(ref), "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin");
  ref.storage_type = "p";
  EXPECT_FALSE(deletion_vector_path(ref).ok());
}

TEST(DeletionVector, ReadsTheInlineExampleOfTheProtocol) {
  // From the protocol's text: rows 3, 4, 7, 11, 18, 29.
  const DeletionVectorRef ref{"i", "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", std::nullopt, 44, 6};
  const auto bits = decode_deletion_vector(ref, {}, 30);
  ASSERT_TRUE(bits.ok()) << bits.error().message;
  std::vector<size_t> rows;
  bits->for_each([&](size_t i) { rows.push_back(i); });
  EXPECT_EQ(rows, (std::vector<size_t>{3, 4, 7, 11, 18, 29}));
}

TEST(DeletionVector, HasItsGoldenBytes) {
  Bitmap bits(30);
  for (size_t i : {3, 4, 7, 11, 18, 29}) bits.set(i);
  EXPECT_EQ(to_hex(encode_roaring_array(bits)),
            "d1d33964010000000000000000000000"
            "3a300000010000000000050010000000030004000700"
            "0b0012001d00");
  DeletionVectorFileBuilder file;
  const auto ref = file.append(bits);
  EXPECT_EQ(ref.offset, 1);
  EXPECT_EQ(ref.size_in_bytes, 44);
  EXPECT_EQ(to_hex(file.bytes().substr(0, 9)), "010000002cd1d33964");
  EXPECT_EQ(file.bytes().size(), 1u + 4 + 44 + 4);
  EXPECT_EQ(*deletion_vector_path(ref), file.file_name());
  EXPECT_EQ(crc32_ieee("123456789"), 0xcbf43926u);
}

TEST(DeletionVector, RoundTripsInAFileOfSeveral) {
  std::mt19937_64 rng(11);
  DeletionVectorFileBuilder file;
  std::vector<std::pair<Bitmap, DeletionVectorRef>> all;
  for (size_t rows : {1, 64, 65, 70'000, 200'000})
    for (size_t one_in : {1, 2, 50, 5000}) {
      Bitmap bits(rows);
      for (size_t i = 0; i < rows; ++i)
        if (rng() % one_in == 0) bits.set(i);
      const auto ref = file.append(bits);
      all.emplace_back(bits, ref);
    }
  for (const auto& [bits, ref] : all) {
    const auto back = decode_deletion_vector(ref, std::string_view(file.bytes()).substr(size_t(*ref.offset)), bits.size());
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_TRUE(std::equal(bits.words(), bits.words() + bits.word_count(), back->words()));
  }
}

TEST(DeletionVector, NoDamagedByteGoesUnnoticed) {
  Bitmap bits(5000);
  for (size_t i = 0; i < 5000; i += 3) bits.set(i);
  DeletionVectorFileBuilder file;
  const auto ref = file.append(bits);
  for (size_t at = 1; at < file.bytes().size(); at += 7) {
    std::string bytes = file.bytes();
    bytes[at] = char(bytes[at] ^ 0x20);
    const auto back = decode_deletion_vector(ref, std::string_view(bytes).substr(1), 5000);
    EXPECT_FALSE(back.ok()) << at;
  }
  EXPECT_FALSE(decode_deletion_vector(ref, std::string_view(file.bytes()).substr(1, 100), 5000).ok());
  EXPECT_FALSE(decode_deletion_vector(ref, std::string_view(file.bytes()).substr(1), 4000).ok());  // rows the file does not have
}

TEST(DeletionVector, FewBytesThatSpeakOfManyRowsTakeLittleMemory) {
  const std::string bytes = array_head(1) + full_runs(2048, 1);
  ASSERT_LT(bytes.size(), 40'000u);
  const int64_t before = peak_memory_bytes();
  EXPECT_EQ(decode_roaring_array(bytes, 10).error().kind, ErrorKind::kCorruption);
  EXPECT_LT(peak_memory_bytes() - before, 64 << 20);
}

TEST(DeletionVector, RowsAscend) {
  constexpr size_t kRows = 200'000;
  EXPECT_EQ(decode_roaring_array(array_head(1) + full_runs(2, 1), kRows)->count(), 2u << 16);
  EXPECT_EQ(decode_roaring_array(array_head(1) + full_runs(1, 2), kRows).error().kind, ErrorKind::kCorruption);
  const std::string twice = array_head(2) + full_runs(1, 1) + std::string(4, '\0') + full_runs(1, 1);
  EXPECT_EQ(decode_roaring_array(twice, kRows).error().kind, ErrorKind::kCorruption);
}

TEST(DeletionVector, ABitmapMayNotHoldMoreRowsThanItSays) {
  const std::string data = array_head(1) + full_bits(5000);
  std::string slot;
  append_little(slot, __builtin_bswap32(uint32_t(data.size())));
  slot += data;
  append_little(slot, __builtin_bswap32(crc32_ieee(data)));
  const DeletionVectorRef ref{"u", "", 1, int32_t(data.size()), 5000};
  EXPECT_EQ(decode_deletion_vector(ref, slot, 70'000).error().kind, ErrorKind::kCorruption);
}

TEST(Bitmap, DoesSets) {
  Bitmap a(130, true), b(130);
  EXPECT_EQ(a.count(), 130u);
  b.set(0);
  b.set(129);
  a.subtract(b);
  EXPECT_EQ(a.count(), 128u);
  EXPECT_FALSE(a.test(129));
  a |= b;
  a &= b;
  EXPECT_EQ(a.count(), 2u);
  a.clear(0);
  a.clear(129);
  EXPECT_TRUE(a.none());
}

}  // namespace
}  // namespace quarry::mvs

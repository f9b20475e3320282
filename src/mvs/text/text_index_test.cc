// Postings, kernels and the stored index.
#include "mvs/text/text_index.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/hash.h"
#include "mvs/text/bm25.h"
#include "mvs/text/index_layout.h"
#include "mvs/text/segment_text.h"
#include "mvs/text/text_index_builder.h"

namespace quarry::mvs {
namespace {

std::string build(const std::vector<std::vector<std::string>>& rows, size_t streams = 1, std::string_view language = "none") {
  const Analyzer analyzer = Analyzer::make(language).value();
  std::vector<TermStream> parts(streams, TermStream(analyzer));
  for (size_t i = 0; i < streams; ++i)
    for (size_t row = rows.size() * i / streams; row < rows.size() * (i + 1) / streams; ++row) {
      parts[i].begin_row();
      for (const auto& text : rows[row]) parts[i].add(text);
    }
  return build_text_index(parts, analyzer).value();
}

std::vector<std::vector<std::string>> draw_rows(uint64_t seed, size_t count) {
  std::mt19937_64 rng(seed);
  std::vector<std::vector<std::string>> rows(count);
  for (auto& row : rows)
    for (size_t texts = rng() % 3; texts > 0; --texts) {
      std::string text;
      for (size_t n = rng() % 20; n > 0; --n) text += "w" + std::to_string(rng() % (rng() % 200 + 1)) + " ";
      row.push_back(text);
    }
  return rows;
}

Postings draw_postings(std::mt19937_64& rng, uint32_t rows, std::vector<uint32_t>& lengths) {
  Postings p;
  lengths.assign(rows, 0);
  const uint64_t gap = 1 + rng() % 60;
  for (uint64_t row = rng() % gap; row < rows; row += 1 + rng() % gap) {
    p.rows.push_back(uint32_t(row));
    p.tfs.push_back(rng() % 4 == 0 ? 1 + uint32_t(rng() % 300) : 1);
    lengths[row] = p.tfs.back() + uint32_t(rng() % (rng() % 90'000 + 1));
    uint32_t position = uint32_t(rng() % 50);
    for (uint32_t k = 0; k < p.tfs.back(); ++k, position += 1 + uint32_t(rng() % 200)) p.positions.push_back(position);
  }
  return p;
}

TEST(TextKernels, EveryTargetGivesTheSameBits) {
  std::mt19937_64 rng(1);
  std::vector<uint32_t> lengths(1000), values(kBlockRows);
  for (auto& n : lengths) n = uint32_t(rng() % 100'000);
  for (const auto& [target, kernels] : all_text_kernels()) {
    SCOPED_TRACE(target);
    for (uint32_t bits = 0; bits <= 32; ++bits) {
      for (auto& v : values) v = bits == 0 ? 0 : uint32_t(rng()) >> (32 - bits);
      std::string packed;
      pack(values.data(), bits, packed);
      ASSERT_EQ(packed.size(), 16u * bits);
      uint32_t out[kPaddedRows], rows[kPaddedRows];
      kernels.unpack(reinterpret_cast<const uint8_t*>(packed.data()), bits, out);
      kernels.unpack_rows(reinterpret_cast<const uint8_t*>(packed.data()), bits, 41, rows);
      uint32_t row = 41;
      for (size_t i = 0; i < kBlockRows; ++i) {
        ASSERT_EQ(out[i], values[i]) << bits << " bits, value " << i;
        ASSERT_EQ(rows[i], row += values[i] + 1) << bits << " bits, row " << i;
      }
    }
    uint32_t rows[kPaddedRows] = {}, tfs[kPaddedRows] = {};
    float scores[kPaddedRows];
    const TermWeight w{3.7f, 0.3f, 0.0123f};
    for (size_t i = 0; i < kBlockRows; ++i) rows[i] = uint32_t(rng() % lengths.size()), tfs[i] = 1 + uint32_t(rng() % 50);
    kernels.score(w, rows, tfs, kBlockRows, lengths.data(), scores);
    for (size_t i = 0; i < kBlockRows; ++i) ASSERT_EQ(scores[i], term_score(w, float(tfs[i]), float(lengths[rows[i]])));
    std::vector<float> a(128), b(128);
    for (size_t i = 0; i < 128; ++i) a[i] = float(rng() % 10), b[i] = float(rng() % 10);
    const float* lists[] = {a.data(), b.data()};
    uint64_t words[2];
    kernels.select(lists, 2, 9, 128, words);
    for (size_t i = 0; i < 128; ++i) ASSERT_EQ((words[i / 64] >> (i % 64)) & 1, uint64_t(a[i] + b[i] >= 9));
  }
}

TEST(Postings, ComeBackAndAreBounded) {
  std::mt19937_64 rng(2);
  for (int round = 0; round < 60; ++round) {
    std::vector<uint32_t> lengths;
    const Postings p = draw_postings(rng, 1 + uint32_t(rng() % 5000), lengths);
    if (p.rows.empty()) continue;
    std::string record, positions;
    encode_postings(p, lengths.data(), record, positions);
    const PostingsReader reader(uint32_t(p.rows.size()), record, positions);
    Postings back;
    reader.decode_all(back, true);
    EXPECT_EQ(back.rows, p.rows);
    EXPECT_EQ(back.tfs, p.tfs);
    EXPECT_EQ(back.positions, p.positions);
    uint64_t words = 0;
    EXPECT_TRUE(reader.check(lengths.data(), uint32_t(lengths.size()), words).ok());
    EXPECT_EQ(words, p.positions.size());
    for (int slope = 0; slope < 4; ++slope) {
      const TermWeight w{2.5f, 0.3f, 0.9f / float(1 + rng() % 1000)};
      std::vector<float> bounds(reader.blocks() + 16);
      reader.bounds(w, lengths.data(), bounds.data());
      for (size_t i = 0; i < p.rows.size(); ++i)
        ASSERT_LE(term_score(w, float(p.tfs[i]), float(lengths[p.rows[i]])), bounds[i / kBlockRows] * 1.000001f);
    }
    Bitmap deleted(lengths.size());
    uint32_t dead = 0;
    const uint64_t one_in = 1 + rng() % 300;
    for (size_t row = 0; row < lengths.size(); ++row)
      if (rng() % one_in == 0) deleted.set(row);
    for (const uint32_t row : p.rows) dead += deleted.test(row);
    EXPECT_EQ(count_dead(reader, deleted), dead);
  }
}

// Without a checksum a changed byte may leave a record that is whole, if another one; no other passes.
TEST(Postings, BrokenRecordsAreFound) {
  std::mt19937_64 rng(3);
  std::vector<uint32_t> lengths;
  const Postings p = draw_postings(rng, 4000, lengths);
  std::string record, positions;
  encode_postings(p, lengths.data(), record, positions);
  uint64_t words = 0;
  int found = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bad = record, bad_positions = positions;
    std::string& target = round % 3 == 0 ? bad_positions : bad;
    if (round % 5 == 0)
      target.resize(rng() % target.size());
    else
      target[rng() % target.size()] ^= char(1 + rng() % 255);
    const PostingsReader reader(uint32_t(p.rows.size()), bad, bad_positions);
    if (!reader.check(lengths.data(), uint32_t(lengths.size()), words).ok()) {
      ++found;
      continue;
    }
    Postings back;
    reader.decode_all(back, true);
    std::string again, positions_again;
    encode_postings(back, lengths.data(), again, positions_again);
    EXPECT_EQ(again, bad);
    EXPECT_EQ(positions_again, bad_positions);
    EXPECT_LT(back.rows.back(), lengths.size());
  }
  EXPECT_GT(found, 2000);
}

TEST(TextIndex, IsTheSameHoweverItIsBuilt) {
  const auto rows = draw_rows(4, 3000);
  const std::string one = build(rows, 1);
  EXPECT_EQ(one, build(rows, 2));
  EXPECT_EQ(one, build(rows, 7));
  const auto index = TextIndex::open(one, "t").value();
  EXPECT_EQ(index->rows(), rows.size());
  std::map<std::string, std::map<uint32_t, std::vector<uint32_t>>> wanted;
  uint64_t words = 0;
  for (uint32_t row = 0; row < rows.size(); ++row) {
    uint32_t position = 0, length = 0;
    for (const auto& text : rows[row]) {
      if (length > 0) ++position;
      for (size_t at = 0; at < text.size(); ++length) {
        const size_t end = text.find(' ', at);
        wanted[text.substr(at, end - at)][row].push_back(position++);
        at = end + 1;
      }
    }
    ASSERT_EQ(index->lengths()[row], length);
    words += length;
  }
  EXPECT_EQ(index->total_length(), words);
  ASSERT_EQ(index->terms(), wanted.size());
  for (const auto& [term, places] : wanted) {
    const auto found = index->find(term);
    ASSERT_TRUE(found) << term;
    Postings p;
    found->postings.decode_all(p, true);
    size_t i = 0, at = 0;
    ASSERT_EQ(p.rows.size(), places.size());
    for (const auto& [row, positions] : places) {
      ASSERT_EQ(p.rows[i], row);
      for (const uint32_t position : positions) ASSERT_EQ(p.positions[at++], position);
      ++i;
    }
  }
  EXPECT_FALSE(index->find("absent"));
  EXPECT_FALSE(index->find(""));
  std::vector<std::string> with_prefix;
  index->for_each_with_prefix("w19", [&](std::string_view term, const TextTerm&) {
    with_prefix.emplace_back(term);
    return true;
  });
  std::vector<std::string> wanted_prefix;
  for (const auto& [term, places] : wanted)
    if (term.starts_with("w19")) wanted_prefix.push_back(term);
  EXPECT_EQ(with_prefix, wanted_prefix);
}

TEST(TextIndex, EmptyOnesWork) {
  for (const auto& rows : {std::vector<std::vector<std::string>>{}, std::vector<std::vector<std::string>>(3)}) {
    const auto index = TextIndex::open(build(rows), "t").value();
    EXPECT_EQ(index->terms(), 0u);
    EXPECT_FALSE(index->find("a"));
    index->for_each_with_prefix("", [](std::string_view, const TextTerm&) { return ADD_FAILURE(), false; });
  }
}

TEST(TextIndex, EveryBrokenByteIsFound) {
  const std::string bytes = build(draw_rows(5, 400));
  ASSERT_TRUE(TextIndex::open(bytes, "t").ok());
  std::mt19937_64 rng(6);
  for (size_t at = 0; at < bytes.size(); at += 1 + rng() % 9) {
    std::string bad = bytes;
    bad[at] = char(bad[at] ^ (1 + rng() % 255));
    const auto opened = TextIndex::open(bad, "file_x");
    ASSERT_FALSE(opened.ok()) << at;
    EXPECT_NE(opened.error().message.find("file_x"), std::string::npos);
  }
  for (size_t size = 0; size < bytes.size(); size += 1 + rng() % 97) EXPECT_FALSE(TextIndex::open(bytes.substr(0, size), "t").ok());
  EXPECT_FALSE(TextIndex::open(bytes + "x", "t").ok());
}

// Right checksums make no index right.
TEST(TextIndex, FalseKeysAreFoundBehindRightChecksums) {
  const std::string bytes = build(draw_rows(8, 400));
  ASSERT_LT(bytes.size(), text_layout::kPageBytes) << "one page, one checksum";
  uint64_t keys = 0, sums = 0;
  std::memcpy(&keys, bytes.data() + text_layout::kSectionsAt + 4 * 16, sizeof keys);
  std::memcpy(&sums, bytes.data() + text_layout::kSectionsAt + 5 * 16, sizeof sums);
  const auto mended = [&](std::string changed) {
    const uint32_t page = crc32c(std::string_view(changed).substr(0, sums));
    std::memcpy(changed.data() + sums, &page, sizeof page);
    const uint32_t both = crc32c(std::string_view(changed).substr(sums, sizeof page));
    std::memcpy(changed.data() + sums + sizeof page, &both, sizeof both);
    return changed;
  };
  ASSERT_TRUE(TextIndex::open(mended(bytes), "t").ok());
  for (size_t at = keys; at < sums; ++at) {
    std::string bad = bytes;
    bad[at] = char(bad[at] ^ 1);
    EXPECT_FALSE(TextIndex::open(mended(bad), "t").ok()) << at - keys;
  }
}

// docs/formats/text_index.md describes these bytes.
TEST(TextIndex, GoldenBytes) {
  constexpr std::string_view kGolden =
      "5154584901000100030000000200000006000000000000000300000001000000"                                  // magic .. dictionary blocks
      "c0000000000000000c00000000000000cc000000000000000600000000000000d2000000000000000600000000000000"  // sections
      "d800000000000000280000000000000000010000000000000b000000000000000b010000000000000800000000000000"
      "656e676c69736800000000000000000000000000000000000000000000000000078f4c81000000000000000000000000"  // language, checksum
      "00000000000000000000000000000000"
      "020000000000000004000000"                                                          // lengths 2, 0, 4
      "000204000300"                                                                      // postings
      "010103000001"                                                                      // positions
      "00000000000000000000000000000000000363617402020200036861740101010003746865020303"  // dictionary
      "0000000008000000636174"                                                            // keys
      "2b9a05d265bb5fe8";                                                                 // checksums
  const std::string bytes = build({{"the cat"}, {}, {"the cat, the hat"}}, 1, "english");
  EXPECT_EQ(hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}), kGolden);
}

TEST(Bm25, TheLogarithmIsOne) {
  std::mt19937_64 rng(7);
  for (int i = 0; i < 100'000; ++i) {
    const double x = 1 + std::ldexp(double(rng() >> 11), int(rng() % 60) - 80);
    EXPECT_NEAR(fixed_log(x), std::log(x), 4e-16 * std::max(1.0, std::abs(std::log(x))));
  }
  EXPECT_EQ(fixed_log(1), 0.0);
  EXPECT_EQ(std::bit_cast<uint64_t>(fixed_log(10)), 0x40026bb1bbb55515u);
}

}  // namespace
}  // namespace quarry::mvs

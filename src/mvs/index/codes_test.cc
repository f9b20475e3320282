// The arithmetic of codes, and what sketches estimate.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <numeric>

#include "mvs/index/code_kernels.h"
#include "mvs/index/query_kernels.h"
#include "mvs/index/test_points.h"

namespace quarry::mvs {
namespace {

using test::Points, test::Row, test::score_of;

TEST(CodeKernelsTest, EveryTargetGivesTheSameSums) {
  std::mt19937_64 random(3);
  const std::pair<size_t, size_t> sizes[] = {{1, 1}, {4, 1}, {6, 2}, {6, 3}, {6, 6}, {8, 8}, {9, 9}, {10, 5}, {16, 16}, {24, 24}};
  for (const auto& [words, plane_words] : sizes) {
    const size_t record_bytes = words * 8 + sizeof(SketchTail), width = words * 64, count = 21;
    std::vector<uint64_t> planes(kQueryPlanes * words), storage(count * record_bytes / 8);
    for (auto& p : planes) p = random();
    for (auto& s : storage) s = random();
    auto* base = reinterpret_cast<uint8_t*>(storage.data());
    const size_t blocks = (count + kBlockSketches - 1) / kBlockSketches, block_bytes = sketch_block_bytes(words);
    std::vector<std::array<uint64_t, 8>> memory(blocks * block_bytes / 64 + 1);
    auto* in_blocks = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
    std::vector<uint32_t> ids;
    for (uint32_t i = 0; i < count; ++i) {
      const float bias = float(random() % (40 * width)) - 20 * float(width);
      const SketchTail tail{float(random() % 100) / 50, bias, float(random() % 10), float(random() % width)};
      std::memcpy(base + i * record_bytes + words * 8, &tail, sizeof tail);
      ids.push_back((i * 5) % count);
    }
    for (uint32_t i = 0; i < blocks * kBlockSketches; ++i)
      put_in_block(i < count ? base + i * record_bytes : nullptr, words, i % kBlockSketches, in_blocks + i / kBlockSketches * block_bytes);
    std::vector<int8_t> query(width);
    std::vector<std::vector<uint8_t>> codes(count, std::vector<uint8_t>(width));
    std::vector<const uint8_t*> code_pointers;
    for (auto& q : query) q = int8_t(random());
    for (auto& code : codes) {
      for (auto& c : code) c = uint8_t(random());
      code_pointers.push_back(code.data());
    }
    const SketchQuery sketch{planes.data(), words, plane_words, record_bytes, 0.25f, 0.5f, 3, 1.5f};
    const float bound = -2 * float(width);
    const auto all = all_code_kernels();
    const auto run = [&](const CodeKernels& k) {
      std::vector<uint32_t> kept = ids, places(blocks * kBlockSketches);
      std::vector<float> keys(places.size());
      std::vector<int32_t> dots(count);
      const size_t below = k.block_filter(sketch, in_blocks, blocks, bound, places.data(), keys.data());
      places.resize(below);
      keys.resize(below);
      k.byte_dots(query.data(), width, code_pointers.data(), count, dots.data());
      kept.resize(k.sketch_filter(sketch, base, bound, kept.data(), count));
      std::vector<int8_t> as_query(width);
      const int32_t sum = k.to_query(codes[0].data(), width, as_query.data());
      return std::make_tuple(places, keys, dots, kept, as_query, sum);
    };
    const auto expected = run(all.back().kernels);
    std::vector<uint32_t> kept = std::get<3>(expected);
    ASSERT_GT(kept.size(), 0u);
    ASSERT_LT(kept.size(), count);
    std::sort(kept.begin(), kept.end());
    EXPECT_EQ(std::get<0>(expected), kept) << "blocks hold what the records do";
    for (const auto& named : all) EXPECT_EQ(run(named.kernels), expected) << named.target << " " << words << " " << plane_words;
  }
}

TEST(QueryKernelsTest, EveryTargetGivesTheSameBits) {
  std::mt19937_64 random(4);
  std::normal_distribution<float> normal;
  const auto all = all_query_kernels();
  for (const size_t width : {64, 128, 384, 1024}) {
    std::vector<float> values(width), signs(width);
    for (float& v : values) v = normal(random);
    for (float& s : signs) s = (random() % 2 == 0 ? 1.0f : -1.0f) / 8;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const float low = *least, high = *most;
    const auto run = [&](const QueryKernels& k) {
      EXPECT_EQ(k.range(values.data(), width), (ValueRange{low, high}));
      std::vector<float> rotated = values;
      k.flip(rotated.data(), signs.data(), width);
      k.hadamard(rotated.data(), std::bit_floor(width));
      std::vector<uint64_t> planes(kQueryPlanes * width / 64);
      const int64_t levels = k.cut(values.data(), width, low, 15 / (high - low), planes.data());
      std::vector<int8_t> bytes(width);
      const int32_t sum = k.to_bytes(values.data(), width, 127 / std::max(high, -low), bytes.data());
      return std::make_tuple(rotated, planes, levels, bytes, sum);
    };
    const auto expected = run(all.back().kernels);
    for (const auto& named : all) EXPECT_EQ(run(named.kernels), expected) << named.target << " " << width;
    const auto& [rotated, planes, levels, bytes, sum] = expected;
    int64_t from_planes = 0;
    for (size_t p = 0; p < kQueryPlanes; ++p)
      for (size_t w = 0; w < width / 64; ++w) from_planes += int64_t(std::popcount(planes[p * (width / 64) + w])) << p;
    EXPECT_EQ(from_planes, levels);
    EXPECT_EQ(std::accumulate(bytes.begin(), bytes.end(), 0), sum);
  }
}

TEST(RotationTest, KeepsLengthsAndProducts) {
  for (const size_t width : {64, 128, 192, 384, 448, 768}) {
    Points points(width, 5);
    const Rotation rotation(width, 17);
    Row a = points.draw(), b = points.draw();
    const double before = score_of(Metric::kDot, a, b), length = score_of(Metric::kDot, a, a);
    rotation.apply(a.data());
    rotation.apply(b.data());
    EXPECT_NEAR(score_of(Metric::kDot, a, b), before, 1e-4 * length);
    EXPECT_NEAR(score_of(Metric::kDot, a, a), length, 1e-4 * length);
  }
}

// How far sketches are off, in lengths of vector and query over the root of the width: mean and root of the mean square.
struct SketchErrors {
  double mean = 0, spread = 0, stated = 0;
};

SketchErrors errors_of(size_t dimension) {
  Points points(dimension, 29);
  const auto rows = points.draw_many(400);
  const auto quantizer = test::trained(Metric::kEuclidean, rows);
  SketchErrors out;
  std::vector<uint8_t> bytes(quantizer->width());
  alignas(64) std::array<uint8_t, 4096> record, block;
  QueryCodes codes;
  for (size_t i = 0; i + 1 < rows.size(); i += 2) {
    const auto norms = quantizer->encode(rows[i].data(), record.data(), bytes.data());
    quantizer->prepare(rows[i + 1].data(), codes);
    for (size_t place = 0; place < kBlockSketches; ++place) put_in_block(record.data(), quantizer->words(), place, block.data());
    uint32_t places[kBlockSketches];
    float keys[kBlockSketches];
    EXPECT_EQ(code_kernels().block_filter(quantizer->sketch_query(codes, 0), block.data(), 1, INFINITY, places, keys), kBlockSketches);
    const double truth = (-score_of(Metric::kEuclidean, rows[i], rows[i + 1]) - double(codes.length) * codes.length) / 2;
    const double unit = std::sqrt(norms.squared) * codes.length / std::sqrt(double(quantizer->width()));
    const double error = (keys[0] - truth) / unit;
    out.mean += error / 200;
    out.spread += error * error / 200;
    out.stated += quantizer->tail(record.data()).error * codes.error_factor / unit / 200;
  }
  out.spread = std::sqrt(out.spread);
  return out;
}

TEST(QuantizerTest, SketchesOfNarrowVectorsHaveMoreBitsAndErrLess) {
  const auto planes_of = [](size_t dimension) { return Quantizer(Metric::kEuclidean, std::vector<float>(dimension), 0).planes(); };
  EXPECT_EQ(planes_of(64), 1u);
  EXPECT_EQ(planes_of(128), 3u);
  EXPECT_EQ(planes_of(192), 2u);
  EXPECT_EQ(planes_of(384), 1u);
  for (const auto& [dimension, most] : std::vector<std::pair<size_t, double>>{{64, 0.85}, {128, 0.25}, {192, 0.4}, {384, 0.85}}) {
    const SketchErrors errors = errors_of(dimension);
    EXPECT_LT(std::abs(errors.mean), 0.1 * most + 0.03) << dimension;
    EXPECT_LT(errors.spread, most) << dimension;
    EXPECT_GT(errors.spread, errors.stated * 0.8) << dimension << ": the stated error is no guess";
    EXPECT_LT(errors.spread, errors.stated * 1.25) << dimension;
  }
}

TEST(QuantizerTest, VectorsTooSmallOrTooLargeToScaleHaveCodes) {
  for (const size_t dimension : {64, 128, 384})
    for (const float length : {1e-40f, 3e38f}) {
      const Quantizer quantizer(Metric::kEuclidean, std::vector<float>(dimension), 0);
      Row row(dimension, length);
      row[0] = -length;
      std::vector<uint8_t> bytes(quantizer.width());
      alignas(64) std::array<uint8_t, 4096> record;
      quantizer.encode(row.data(), record.data(), bytes.data());  // sanitizers look on
      EXPECT_LE(quantizer.tail(record.data()).levels, float(quantizer.width() * ((size_t{1} << quantizer.planes()) - 1)));
    }
}

}  // namespace
}  // namespace quarry::mvs

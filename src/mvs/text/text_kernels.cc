#include "mvs/text/text_kernels.h"

#include <array>
#include <cstring>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mvs/text/text_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace quarry::mvs::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kStreams = 4;
constexpr size_t kSteps = kBlockRows / kStreams;
// One vector holds one step of the four streams; on a machine without vectors a lane at a time.
using Quad = hn::CappedTag<uint32_t, kStreams>;
constexpr size_t kQuadLanes = hn::MaxLanes(Quad());

using UnpackFunction = void (*)(const uint8_t*, uint32_t*);

template <uint32_t kBits>
void unpack_bits(const uint8_t* HWY_RESTRICT in, uint32_t* HWY_RESTRICT out) {
  const Quad d;
  for (size_t lane = 0; lane < kStreams; lane += kQuadLanes) {
    if constexpr (kBits == 0) {
      for (size_t step = 0; step < kSteps; ++step) hn::StoreU(hn::Zero(d), d, out + step * kStreams + lane);
    } else {
      const auto load = [&](size_t word) {
        return hn::LoadU(d, reinterpret_cast<const uint32_t*>(in + (word * kStreams + lane) * sizeof(uint32_t)));
      };
      const auto mask = hn::Set(d, kBits == 32 ? ~0u : (1u << (kBits % 32)) - 1);
      auto word = load(0);
#pragma GCC unroll 32
      for (uint32_t step = 0; step < kSteps; ++step) {
        const uint32_t at = step * kBits, shift = at % 32;
        auto value = hn::ShiftRightSame(word, int(shift));
        if (shift + kBits >= 32 && step + 1 < kSteps) {
          word = load(at / 32 + 1);
          if (shift + kBits > 32) value = hn::Or(value, hn::ShiftLeftSame(word, int(32 - shift)));
        }
        hn::StoreU(hn::And(value, mask), d, out + step * kStreams + lane);
      }
    }
  }
}

template <size_t... kBits>
constexpr std::array<UnpackFunction, sizeof...(kBits)> unpack_table(std::index_sequence<kBits...>) {
  return {unpack_bits<uint32_t(kBits)>...};
}

constexpr auto kUnpack = unpack_table(std::make_index_sequence<33>());

void unpack(const uint8_t* in, uint32_t bits, uint32_t* out) { kUnpack[bits](in, out); }

void unpack_rows(const uint8_t* in, uint32_t bits, uint32_t before, uint32_t* out) {
  kUnpack[bits](in, out);
#if HWY_TARGET == HWY_SCALAR
  for (size_t i = 0; i < kBlockRows; ++i) out[i] = before += out[i] + 1;
#else
  const Quad d;
  auto carry = hn::Set(d, before);
  const auto ones = hn::Iota(d, 1);
  for (size_t i = 0; i < kBlockRows; i += kStreams) {
    auto v = hn::LoadU(d, out + i);
    v = hn::Add(v, hn::ShiftLeftLanes<1>(d, v));
    v = hn::Add(v, hn::ShiftLeftLanes<2>(d, v));
    v = hn::Add(hn::Add(v, ones), carry);
    hn::StoreU(v, d, out + i);
    carry = hn::Broadcast<3>(v);
  }
#endif
}

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Ints = hn::RebindToSigned<Floats>;

// term_score() in every lane.
HWY_INLINE hn::Vec<Floats> scores_of(const TermWeight& w, hn::Vec<Floats> tf, hn::Vec<Floats> length) {
  const Floats d;
  const auto norm = hn::Add(hn::Set(d, w.base), hn::Mul(hn::Set(d, w.slope), length));
  return hn::Div(hn::Mul(hn::Set(d, w.weight), tf), hn::Add(tf, norm));
}

// Of numbers below 2^31.
HWY_INLINE hn::Vec<Floats> to_float(hn::Vec<Words> v) { return hn::ConvertTo(Floats(), hn::BitCast(Ints(), v)); }

void score(const TermWeight& w, const uint32_t* HWY_RESTRICT rows, const uint32_t* HWY_RESTRICT tfs, size_t n,
           const uint32_t* HWY_RESTRICT lengths, float* HWY_RESTRICT out) {
  const Floats d;
  const Words u;
  const Ints s;
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto length = hn::GatherIndex(u, lengths, hn::BitCast(s, hn::LoadU(u, rows + i)));
    hn::StoreU(scores_of(w, to_float(hn::LoadU(u, tfs + i)), to_float(length)), d, out + i);
  }
}

void bound(const TermWeight& w, const uint8_t* HWY_RESTRICT points, size_t n, float* HWY_RESTRICT out) {
  const Floats d;
  const Words u;
  const auto low = hn::Set(u, 0xffffu);
  const auto any = hn::Set(d, float(kAnyTf));
  const size_t lanes = hn::Lanes(d);
  for (size_t b = 0; b < n; b += lanes) {
    auto best = hn::Zero(d);
    for (size_t p = 0; p < kImpactPoints; ++p) {
      HWY_ALIGN uint32_t rest[hn::MaxLanes(Words())] = {};
      const uint8_t* at = points + (p * n + b) * sizeof(uint32_t);
      std::memcpy(rest, at, (n - b < lanes ? n - b : lanes) * sizeof(uint32_t));
      const auto v = hn::Load(u, rest);
      auto tf = to_float(hn::And(v, low));
      tf = hn::IfThenElse(hn::Eq(tf, any), hn::Set(d, 1e30f), tf);
      best = hn::Max(best, scores_of(w, tf, to_float(hn::ShiftRight<16>(v))));
    }
    hn::StoreU(best, d, out + b);
  }
}

void select(const float* const* lists, size_t count, float threshold, size_t length, uint64_t* HWY_RESTRICT words) {
  const Floats d;
  const size_t lanes = hn::Lanes(d);
  const auto least = hn::Set(d, threshold);
  for (size_t i = 0; i < length; i += 64) {
    uint64_t word = 0;
    for (size_t j = 0; j < 64; j += lanes) {
      auto sum = hn::LoadU(d, lists[0] + i + j);
      for (size_t l = 1; l < count; ++l) sum = hn::Add(sum, hn::LoadU(d, lists[l] + i + j));
      uint8_t bits[8] = {};
      hn::StoreMaskBits(d, hn::Ge(sum, least), bits);
      uint64_t part;
      std::memcpy(&part, bits, sizeof part);
      word |= part << j;
    }
    words[i / 64] = word;
  }
}

TextKernels target_text_kernels() { return {unpack, unpack_rows, score, bound, select}; }

}  // namespace quarry::mvs::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quarry::mvs {

HWY_EXPORT(target_text_kernels);

const TextKernels& text_kernels() {
  static const TextKernels chosen = HWY_DYNAMIC_DISPATCH(target_text_kernels)();
  return chosen;
}

std::vector<NamedTextKernels> all_text_kernels() {
  std::vector<NamedTextKernels> out;
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    out.push_back({hwy::TargetName(target), HWY_DYNAMIC_DISPATCH(target_text_kernels)()});
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return out;
}

void pack(const uint32_t* values, uint32_t bits, std::string& out) {
  std::vector<uint32_t> words(size_t(4) * bits);
  for (size_t i = 0; i < kBlockRows; ++i) {
    const size_t lane = i % 4, at = i / 4 * bits, shift = at % 32;
    if (bits == 0) break;
    words[at / 32 * 4 + lane] |= values[i] << shift;
    if (shift + bits > 32) words[(at / 32 + 1) * 4 + lane] |= values[i] >> (32 - shift);
  }
  out.append(reinterpret_cast<const char*>(words.data()), words.size() * sizeof(uint32_t));
}

}  // namespace quarry::mvs
#endif

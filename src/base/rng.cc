#include "base/rng.h"

#include <sodium.h>

namespace quarry {
namespace {

uint64_t splitmix64(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

}  // namespace

Rng::Rng(uint64_t seed) {
  for (auto& word : s_) word = splitmix64(seed);
}

uint64_t Rng::next() {
  uint64_t result = rotl(s_[1] * 5, 7) * 9;
  uint64_t t = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= t;
  s_[3] = rotl(s_[3], 45);
  return result;
}

uint64_t Rng::below(uint64_t bound) {
  uint64_t threshold = -bound % bound;  // rejects the biased low range
  uint64_t x = next();
  while (x < threshold) x = next();
  return x % bound;
}

double Rng::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

void fill_secure_random(std::span<uint8_t> out) { randombytes_buf(out.data(), out.size()); }

std::string secure_token(size_t length) {
  static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr uint8_t kUsable = 252;  // 7 * 36; what lies above would make some characters likelier
  std::string token;
  token.reserve(length);
  uint8_t bytes[32];
  while (token.size() < length) {
    fill_secure_random(bytes);  // one system call, where a number at a time takes one each
    for (size_t i = 0; i < sizeof bytes && token.size() < length; ++i)
      if (bytes[i] < kUsable) token.push_back(kAlphabet[bytes[i] % 36]);
  }
  return token;
}

}  // namespace quarry

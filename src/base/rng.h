// Randomness as a seam: seeded where a run must repeat, from the operating system where a secret is made.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace quarry {

// splitmix64 (Steele, Lea, Flood 2014) seeding xoshiro256** (Blackman, Vigna 2018). Not for secrets. Not thread-safe.
class Rng {
 public:
  explicit Rng(uint64_t seed);
  uint64_t next();
  uint64_t below(uint64_t bound);  // uniform in [0, bound); bound > 0
  double uniform();                // [0, 1)

 private:
  uint64_t s_[4];
};

// Bytes from the operating system, fit for keys. Thread-safe.
void fill_secure_random(std::span<uint8_t> out);
// `length` characters out of [a-z0-9]; each carries about 5.17 bits.
std::string secure_token(size_t length);

}  // namespace quarry

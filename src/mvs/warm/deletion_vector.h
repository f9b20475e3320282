// Deletion vectors: which rows of a data file are gone. In memory a plain bit set; on disk the Delta format.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mvs/warm/delta_actions.h"

namespace quarry::mvs {

// A fixed number of bits. Mutable while it is built; shared only as const.
class Bitmap {
 public:
  Bitmap() = default;
  explicit Bitmap(size_t size, bool value = false) : size_(size), words_((size + 63) / 64, value ? ~uint64_t{0} : 0) { trim(); }

  size_t size() const { return size_; }
  bool test(size_t i) const { return (words_[i / 64] >> (i % 64)) & 1; }
  void set(size_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
  void clear(size_t i) { words_[i / 64] &= ~(uint64_t{1} << (i % 64)); }
  size_t count() const;
  bool none() const;

  void operator&=(const Bitmap& other);
  void operator|=(const Bitmap& other);
  void subtract(const Bitmap& other);

  // Calls f(i) for each set bit, ascending.
  template <class F>
  void for_each(F&& f) const {
    for (size_t w = 0; w < words_.size(); ++w)
      for (uint64_t bits = words_[w]; bits != 0; bits &= bits - 1) f(w * 64 + size_t(__builtin_ctzll(bits)));
  }

  const uint64_t* words() const { return words_.data(); }
  uint64_t* words() { return words_.data(); }
  size_t word_count() const { return words_.size(); }
  size_t memory_bytes() const { return words_.size() * sizeof(uint64_t); }

 private:
  void trim() {
    if (size_ % 64 != 0) words_.back() &= (uint64_t{1} << (size_ % 64)) - 1;
  }

  size_t size_ = 0;
  std::vector<uint64_t> words_;
};

using Uuid = std::array<uint8_t, 16>;
Uuid random_uuid();                       // version 4
std::string to_string(const Uuid& uuid);  // 8-4-4-4-12

// ZeroMQ RFC 32. `bytes` is a multiple of 4 long; decode answers false for anything else than what encode makes.
std::string z85_encode(std::string_view bytes);
bool z85_decode(std::string_view text, std::string& bytes);

// Several deletion vectors in one file.
class DeletionVectorFileBuilder {
 public:
  DeletionVectorFileBuilder();
  // The reference to put into the add action.
  DeletionVectorRef append(const Bitmap& deleted);
  bool empty() const { return bytes_.size() == 1; }
  std::string file_name() const;  // "deletion_vector_<uuid>.bin"
  const std::string& bytes() const { return bytes_; }

 private:
  Uuid uuid_;
  std::string bytes_;
};

// The file a 'u' reference points to, relative to the table. kNotImplemented for absolute paths.
Result<std::string> deletion_vector_path(const DeletionVectorRef& ref);
// `bytes`: the slot of the file, offset .. offset + size_in_bytes + 8, or nothing for an inline vector. Rows at `rows` or beyond are
// kCorruption.
Result<Bitmap> decode_deletion_vector(const DeletionVectorRef& ref, std::string_view bytes, size_t rows);

// RoaringBitmapArray, the serialised form inside a slot.
std::string encode_roaring_array(const Bitmap& bits);
// kCorruption if rows do not ascend or are not below `rows`. Takes memory in proportion to `bytes` and `rows`, time too.
Result<Bitmap> decode_roaring_array(std::string_view bytes, size_t rows);

// CRC-32 (IEEE 802.3), as the Delta format wants; elsewhere Quarry uses CRC-32C.
uint32_t crc32_ieee(std::string_view bytes);

}  // namespace quarry::mvs

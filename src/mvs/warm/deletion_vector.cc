// File:  version u8 = 1, slot*.
// Slot:  size u32 big-endian, data[size], crc32(data) u32 big-endian. A reference's offset points at `size`.
// Data:  magic u32 = 1681511377, bitmap count u64, (key u32, 32-bit roaring bitmap in the portable format)*; all little-endian,
//        keys ascending: a row number is key * 2^32 + value.
#include "mvs/warm/deletion_vector.h"

#include <fmt/format.h>
#include <roaring/roaring.h>

#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/rng.h"

namespace quarry::mvs {
namespace {

constexpr uint32_t kMagic = 1681511377;
constexpr char kFormatVersion = 1;
constexpr char kZ85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

using RoaringPtr = std::unique_ptr<roaring_bitmap_t, decltype(&roaring_bitmap_free)>;

void append_big(std::string& out, uint32_t value) { append_little(out, __builtin_bswap32(value)); }
uint32_t read_big(std::string_view bytes, size_t offset) { return __builtin_bswap32(read_little<uint32_t>(bytes, offset)); }

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c >> 1) ^ ((c & 1) ? 0xedb88320u : 0);
    table[i] = c;
  }
  return table;
}

constexpr auto kCrcTable = make_crc_table();

Error bad_vector(std::string_view why) { return corruption(fmt::format("deletion vector: {}", why)); }

// Takes rows one by one: neither how many a bitmap says that it has nor how many its runs amount to is to be trusted.
struct RowSink {
  Bitmap& out;
  uint64_t base = 0;
  uint64_t row = 0, next = 0;  // the row given last; the least that may follow
};

bool take_row(uint32_t value, void* to) {
  auto& sink = *static_cast<RowSink*>(to);
  sink.row = sink.base + value;
  if (sink.row < sink.next || sink.row >= sink.out.size()) return false;
  sink.out.set(sink.row);
  sink.next = sink.row + 1;
  return true;
}

}  // namespace

namespace {

inline __attribute__((always_inline)) size_t bits_in(const uint64_t* words, size_t count) {
  size_t n = 0;
  for (size_t w = 0; w < count; ++w) n += size_t(std::popcount(words[w]));
  return n;
}

#ifdef __x86_64__
__attribute__((target("popcnt"))) size_t bits_in_by_instruction(const uint64_t* words, size_t count) { return bits_in(words, count); }
#endif

}  // namespace

size_t Bitmap::count() const {
#ifdef __x86_64__
  static const bool has_instruction = __builtin_cpu_supports("popcnt");
  if (has_instruction) return bits_in_by_instruction(words_.data(), words_.size());
#endif
  return bits_in(words_.data(), words_.size());
}

bool Bitmap::none() const {
  for (uint64_t w : words_)
    if (w != 0) return false;
  return true;
}

void Bitmap::operator&=(const Bitmap& other) {
  for (size_t w = 0; w < words_.size(); ++w) words_[w] &= other.words_[w];
}

void Bitmap::operator|=(const Bitmap& other) {
  for (size_t w = 0; w < words_.size(); ++w) words_[w] |= other.words_[w];
}

void Bitmap::subtract(const Bitmap& other) {
  for (size_t w = 0; w < words_.size(); ++w) words_[w] &= ~other.words_[w];
}

Uuid random_uuid() {
  Uuid uuid;
  fill_secure_random(uuid);
  uuid[6] = uint8_t((uuid[6] & 0x0f) | 0x40);
  uuid[8] = uint8_t((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

std::string to_string(const Uuid& uuid) {
  std::string out;
  for (size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", uuid[i]);
  }
  return out;
}

std::string z85_encode(std::string_view bytes) {
  QUARRY_CHECK(bytes.size() % 4 == 0);
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 4) {
    uint32_t v = read_big(bytes, i);
    char group[5];
    for (int k = 4; k >= 0; --k, v /= 85) group[k] = kZ85[v % 85];
    out.append(group, 5);
  }
  return out;
}

bool z85_decode(std::string_view text, std::string& bytes) {
  if (text.size() % 5 != 0) return false;
  bytes.clear();
  for (size_t i = 0; i < text.size(); i += 5) {
    uint64_t v = 0;
    for (size_t k = 0; k < 5; ++k) {
      const void* at = text[i + k] == '\0' ? nullptr : std::memchr(kZ85, text[i + k], 85);
      if (at == nullptr) return false;
      v = v * 85 + uint64_t(static_cast<const char*>(at) - kZ85);
    }
    if (v > UINT32_MAX) return false;
    append_big(bytes, uint32_t(v));
  }
  return true;
}

uint32_t crc32_ieee(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ uint8_t(c)) & 0xff];
  return ~crc;
}

std::string encode_roaring_array(const Bitmap& bits) {
  QUARRY_CHECK(bits.size() <= (uint64_t{1} << 32));
  RoaringPtr set(roaring_bitmap_create(), roaring_bitmap_free);
  bits.for_each([&](size_t i) { roaring_bitmap_add(set.get(), uint32_t(i)); });
  roaring_bitmap_run_optimize(set.get());
  std::string out;
  append_little(out, kMagic);
  append_little(out, uint64_t{1});
  append_little(out, uint32_t{0});
  const size_t header = out.size();
  out.resize(header + roaring_bitmap_portable_size_in_bytes(set.get()));
  roaring_bitmap_portable_serialize(set.get(), out.data() + header);
  return out;
}

Result<Bitmap> decode_roaring_array(std::string_view bytes, size_t rows) {
  if (bytes.size() < 12 || read_little<uint32_t>(bytes, 0) != kMagic) return bad_vector("wrong magic number");
  const auto bitmaps = read_little<uint64_t>(bytes, 4);
  Bitmap out(rows);
  RowSink sink{out};
  size_t at = 12;
  for (uint64_t b = 0; b < bitmaps; ++b) {
    if (bytes.size() - at < 4) return bad_vector("cut short");
    const auto key = read_little<uint32_t>(bytes, at);
    at += 4;
    const size_t size = roaring_bitmap_portable_deserialize_size(bytes.data() + at, bytes.size() - at);
    RoaringPtr set(size == 0 ? nullptr : roaring_bitmap_portable_deserialize_safe(bytes.data() + at, bytes.size() - at),
                   roaring_bitmap_free);
    if (set == nullptr) return bad_vector("not a roaring bitmap");
    at += size;
    sink.base = uint64_t(key) << 32;
    if (roaring_iterate(set.get(), take_row, &sink)) continue;
    return bad_vector(sink.row >= rows ? fmt::format("row {} of a file of {} rows", sink.row, rows)
                                       : fmt::format("row {} does not ascend", sink.row));
  }
  return out;
}

DeletionVectorFileBuilder::DeletionVectorFileBuilder() : uuid_(random_uuid()), bytes_(1, kFormatVersion) {}

DeletionVectorRef DeletionVectorFileBuilder::append(const Bitmap& deleted) {
  const std::string data = encode_roaring_array(deleted);
  DeletionVectorRef ref;
  ref.path_or_inline = z85_encode({reinterpret_cast<const char*>(uuid_.data()), uuid_.size()});
  ref.offset = int32_t(bytes_.size());
  ref.size_in_bytes = int32_t(data.size());
  ref.cardinality = int64_t(deleted.count());
  append_big(bytes_, uint32_t(data.size()));
  bytes_ += data;
  append_big(bytes_, crc32_ieee(data));
  return ref;
}

std::string DeletionVectorFileBuilder::file_name() const { return fmt::format("deletion_vector_{}.bin", to_string(uuid_)); }

Result<std::string> deletion_vector_path(const DeletionVectorRef& ref) {
  if (ref.storage_type != "u")
    return Error(ErrorKind::kNotImplemented,
                 fmt::format("deletion vector of storage type '{}' is outside the table's folder", ref.storage_type));
  std::string bytes;
  const size_t prefix = ref.path_or_inline.size() - std::min<size_t>(20, ref.path_or_inline.size());
  if (!z85_decode(std::string_view(ref.path_or_inline).substr(prefix), bytes) || bytes.size() != 16)
    return bad_vector("its name is not a UUID in z85");
  Uuid uuid;
  std::memcpy(uuid.data(), bytes.data(), uuid.size());
  const std::string name = fmt::format("deletion_vector_{}.bin", to_string(uuid));
  return prefix == 0 ? name : fmt::format("{}/{}", ref.path_or_inline.substr(0, prefix), name);
}

Result<Bitmap> decode_deletion_vector(const DeletionVectorRef& ref, std::string_view bytes, size_t rows) {
  std::string inline_bytes;
  std::string_view data;
  if (ref.storage_type == "i") {
    if (!z85_decode(ref.path_or_inline, inline_bytes) || ref.size_in_bytes < 0 || inline_bytes.size() < size_t(ref.size_in_bytes))
      return bad_vector("inline bytes are not z85");
    data = std::string_view(inline_bytes).substr(0, size_t(ref.size_in_bytes));
  } else {
    if (ref.size_in_bytes < 0 || bytes.size() < size_t(ref.size_in_bytes) + 8) return bad_vector("cut short");
    data = bytes.substr(4, size_t(ref.size_in_bytes));
    if (read_big(bytes, 0) != data.size()) return bad_vector("its size differs from the log's");
    if (read_big(bytes, 4 + data.size()) != crc32_ieee(data)) return bad_vector("checksum mismatch");
  }
  QUARRY_ASSIGN_OR_RETURN(Bitmap out, decode_roaring_array(data, rows));
  if (int64_t(out.count()) != ref.cardinality) return bad_vector("its cardinality differs from the log's");
  return out;
}

}  // namespace quarry::mvs

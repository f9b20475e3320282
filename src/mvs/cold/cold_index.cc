#include "mvs/cold/cold_index.h"

#include <fmt/format.h>

#include <numeric>

#include "base/bytes.h"
#include "base/hash.h"

namespace quarry::mvs {
namespace {

constexpr std::string_view kMagic = "QRYCLD";
constexpr std::string_view kVersion = "01";

void append_text(std::string& out, std::string_view text) {
  append_little(out, uint32_t(text.size()));
  out.append(text);
}

template <class T>
void append_all(std::string& out, const std::vector<T>& values) {
  append_little(out, uint32_t(values.size()));
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// Takes values off the front; after the first that is not there it only gives empty ones.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  T number() {
    if (!has(sizeof(T))) return T{};
    const T value = read_little<T>(bytes_, at_);
    at_ += sizeof(T);
    return value;
  }
  std::string text() {
    const auto size = number<uint32_t>();
    if (!has(size)) return {};
    at_ += size;
    return std::string(bytes_.substr(at_ - size, size));
  }
  template <class T>
  std::vector<T> all() {
    const auto count = number<uint32_t>();
    if (!has(uint64_t(count) * sizeof(T))) return {};
    std::vector<T> out(count);
    std::memcpy(out.data(), bytes_.data() + at_, count * sizeof(T));
    at_ += count * sizeof(T);
    return out;
  }
  // How many things of at least `bytes` each follow.
  size_t count(size_t bytes) {
    const auto n = number<uint32_t>();
    return has(uint64_t(n) * bytes) ? n : 0;
  }

  bool complete() const { return good_ && at_ == bytes_.size(); }
  size_t at() const { return at_; }

 private:
  bool has(uint64_t bytes) { return good_ = good_ && bytes <= bytes_.size() - at_; }

  std::string_view bytes_;
  size_t at_ = 0;
  bool good_ = true;
};

void append_layout(std::string& out, const ParquetLayout& layout) {
  append_little(out, layout.file_bytes);
  append_text(out, layout.footer);
  append_little(out, uint32_t(layout.chunks.size()));
  for (const auto& chunk : layout.chunks) {
    append_little(out, chunk.range.offset);
    append_little(out, chunk.range.length);
    append_little(out, chunk.crc);
  }
}

ParquetLayout read_layout(Reader& reader) {
  ParquetLayout out;
  out.file_bytes = reader.number<uint64_t>();
  out.footer = reader.text();
  out.chunks.resize(reader.count(20));
  for (auto& chunk : out.chunks) {
    chunk.range.offset = reader.number<uint64_t>();
    chunk.range.length = reader.number<uint64_t>();
    chunk.crc = reader.number<uint32_t>();
  }
  return out;
}

void append_lists(std::string& out, const ColdIndex::Lists& lists) {
  append_text(out, lists.vector_name);
  append_little(out, uint32_t(lists.metric));
  append_little(out, lists.dimension);
  append_little(out, lists.largest_norm);
  append_all(out, lists.origin);
  append_all(out, lists.centres);
  append_all(out, lists.sizes);
  append_all(out, lists.rows);
}

ColdIndex::Lists read_lists(Reader& reader) {
  ColdIndex::Lists out;
  out.vector_name = reader.text();
  out.metric = Metric(reader.number<uint32_t>());
  out.dimension = reader.number<uint32_t>();
  out.largest_norm = reader.number<float>();
  out.origin = reader.all<float>();
  out.centres = reader.all<float>();
  out.sizes = reader.all<uint32_t>();
  out.rows = reader.all<uint32_t>();
  return out;
}

bool is_sound(const ColdIndex::Lists& lists, uint32_t rows) {
  if (lists.metric > Metric::kEuclidean || lists.dimension == 0 || lists.origin.size() != lists.dimension) return false;
  if (lists.centres.size() != lists.sizes.size() * lists.dimension) return false;
  if (std::accumulate(lists.sizes.begin(), lists.sizes.end(), uint64_t{0}) != lists.rows.size()) return false;
  return std::all_of(lists.rows.begin(), lists.rows.end(), [&](uint32_t row) { return row < rows; });
}

bool is_sound(const ColdIndex& index) {
  if (index.rows_per_page == 0 || index.positions.size() != index.rows) return false;
  if (index.page_bytes.size() != (uint64_t(index.rows) + index.rows_per_page - 1) / index.rows_per_page) return false;
  return std::all_of(index.positions.begin(), index.positions.end(), [&](uint32_t p) { return p < index.rows; }) &&
         std::all_of(index.lists.begin(), index.lists.end(), [&](const auto& lists) { return is_sound(lists, index.rows); });
}

std::string path_of(std::string_view data_file, std::string_view part) { return fmt::format("{}{}/{}", kColdFolder, data_file, part); }

}  // namespace

std::string ColdIndex::encode() const {
  std::string out(kMagic);
  out.append(kVersion);
  append_layout(out, layout);
  append_little(out, rows);
  append_little(out, rows_per_page);
  append_text(out, page_schema);
  append_all(out, positions);
  append_all(out, page_bytes);
  append_little(out, uint32_t(lists.size()));
  for (const auto& column : lists) append_lists(out, column);
  append_little(out, uint32_t(texts.size()));
  for (const auto& text : texts) {
    append_text(out, text.field);
    append_little(out, text.bytes);
  }
  append_little(out, crc32c(out));
  return out;
}

Result<ColdIndex> ColdIndex::decode(std::string_view bytes, const std::string& key) {
  const size_t head = kMagic.size() + kVersion.size();
  if (bytes.size() < head + 4 || !bytes.starts_with(kMagic)) return corruption(fmt::format("{}: no cold index at offset 0", key));
  const size_t end = bytes.size() - 4;
  if (crc32c(bytes.substr(0, end)) != read_little<uint32_t>(bytes, end))
    return corruption(fmt::format("{}: the checksum at offset {} differs", key, end));
  if (bytes.substr(kMagic.size(), kVersion.size()) != kVersion) return corruption(fmt::format("{}: of another version", key));
  Reader reader(bytes.substr(head, end - head));
  ColdIndex out;
  out.layout = read_layout(reader);
  out.rows = reader.number<uint32_t>();
  out.rows_per_page = reader.number<uint32_t>();
  out.page_schema = reader.text();
  out.positions = reader.all<uint32_t>();
  out.page_bytes = reader.all<uint32_t>();
  out.lists.resize(reader.count(16));
  for (auto& column : out.lists) column = read_lists(reader);
  out.texts.resize(reader.count(12));
  for (auto& text : out.texts) {
    text.field = reader.text();
    text.bytes = reader.number<uint64_t>();
  }
  if (!reader.complete() || !is_sound(out)) return corruption(fmt::format("{}: impossible values before offset {}", key, head + reader.at()));
  return out;
}

std::string cold_index_path(std::string_view data_file) { return path_of(data_file, "index"); }
std::string cold_rows_path(std::string_view data_file) { return path_of(data_file, "rows"); }
std::string cold_lists_path(std::string_view data_file, size_t ordinal) { return path_of(data_file, fmt::format("lists-{}", ordinal)); }
std::string cold_text_path(std::string_view data_file, size_t ordinal) { return path_of(data_file, fmt::format("text-{}", ordinal)); }

std::string_view data_file_of(std::string_view cold_path) {
  if (!cold_path.starts_with(kColdFolder)) return {};
  cold_path.remove_prefix(kColdFolder.size());
  const size_t slash = cold_path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : cold_path.substr(0, slash);
}

}  // namespace quarry::mvs

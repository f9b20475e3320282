#include "extract/models/wordpiece_tokenizer.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "base/file.h"
#include "extract/models/wordpiece_characters.h"
#include "extract/utf8.h"

namespace quarry::extract {
namespace {

constexpr size_t kMaxWordCharacters = 100;  // longer words are unknown
constexpr size_t kMaxPieces = 1 << 24;
constexpr size_t kMaxPieceBytes = 256;
constexpr std::string_view kContinues = "##";

// A prefix's hash grows byte by byte, so that every prefix of a word costs one multiplication.
constexpr uint64_t seed_of(bool continues) { return continues ? 0x9E3779B97F4A7C15ull : 0xD1B54A32D192ED03ull; }
constexpr uint64_t grow(uint64_t hash, char c) { return (hash ^ static_cast<unsigned char>(c)) * 0x2127599BF4325C37ull; }
constexpr uint64_t finish(uint64_t hash) { return hash ^ hash >> 29; }

uint64_t hash_of(std::string_view piece, bool continues) {
  uint64_t hash = seed_of(continues);
  for (char c : piece) hash = grow(hash, c);
  return finish(hash);
}

bool is_boundary(std::string_view text, size_t at) { return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80; }

}  // namespace

// One text on its way through: gathers a word's normalised characters, hands complete words on.
class WordPieceRun {
 public:
  WordPieceRun(const WordPieceTokenizer& tokenizer, std::vector<int64_t>& ids) : tokenizer_(tokenizer), ids_(ids) {}

  void add(char c) {
    if (characters_++ < kMaxWordCharacters) buffer_[bytes_++] = c;
  }
  void add(char32_t point) {
    if (characters_++ < kMaxWordCharacters) bytes_ += encode_utf8(point, buffer_ + bytes_);
  }
  void end_word() {
    if (characters_ == 0) return;
    if (characters_ > kMaxWordCharacters || !tokenizer_.append_word({buffer_, bytes_}, ids_)) ids_.push_back(tokenizer_.unknown_id());
    bytes_ = characters_ = 0;
  }
  template <typename Character>
  void add_alone(Character c) {
    end_word();
    add(c);
    end_word();
  }
  void add_special(int64_t id) {
    end_word();
    ids_.push_back(id);
  }
  void add_wide(char32_t point);

 private:
  const WordPieceTokenizer& tokenizer_;
  std::vector<int64_t>& ids_;
  size_t bytes_ = 0, characters_ = 0;
  char buffer_[kMaxWordCharacters * 4];
};

void WordPieceRun::add_wide(char32_t point) {
  const CharacterTables& tables = character_tables();
  Folded folded = tables.fold(point);
  switch (folded.kind) {
    case CharacterKind::kDrop: return;
    case CharacterKind::kSpace: return end_word();
    case CharacterKind::kIsolated: return add_alone(folded.points[0]);
    case CharacterKind::kWord:
      for (int i = 0; i < folded.count; ++i) add(folded.points[i]);
  }
}

bool WordPieceTokenizer::encode(std::string_view text, size_t limit, std::vector<int64_t>& ids) const {
  const auto& ascii = character_tables().ascii();
  WordPieceRun run(*this, ids);
  const char *at = text.data(), *end = at + text.size();
  while (at < end) {
    auto byte = static_cast<unsigned char>(*at);
    if (byte >= 0x80) {
      run.add_wide(decode_utf8(at, end));
      if (ids.size() >= limit) break;  // wide characters may end words
      continue;
    }
    ++at;
    AsciiEntry entry = ascii[byte];
    if (entry.kind == CharacterKind::kWord) {
      run.add(entry.folded);
      continue;
    }
    if (entry.kind == CharacterKind::kDrop) continue;
    int64_t special = byte == '[' ? special_at({at - 1, end}) : -1;
    if (special >= 0) {
      at += piece(special).size() - 1;
      run.add_special(special);
    } else if (entry.kind == CharacterKind::kSpace) {
      run.end_word();
    } else {
      run.add_alone(entry.folded);
    }
    if (ids.size() >= limit) break;
  }
  run.end_word();
  return at == end;
}

bool WordPieceTokenizer::append_word(std::string_view word, std::vector<int64_t>& ids) const {
  const size_t before = ids.size();
  for (bool continues = false; !word.empty(); continues = true) {
    size_t length = 0;
    int32_t id = longest_piece(word, continues, length);
    if (id < 0) {
      ids.resize(before);
      return false;
    }
    ids.push_back(id);
    word.remove_prefix(length);
  }
  return true;
}

int32_t WordPieceTokenizer::longest_piece(std::string_view rest, bool continues, size_t& length) const {
  uint64_t hashes[kMaxPieceBytes];
  const size_t limit = std::min(rest.size(), longest_bytes_);
  uint64_t hash = seed_of(continues);
  for (size_t i = 0; i < limit; ++i) hashes[i] = hash = grow(hash, rest[i]);
  for (length = limit; length > 0; --length) {
    if (!is_boundary(rest, length)) continue;
    int32_t id = find(finish(hashes[length - 1]), rest.substr(0, length), continues);
    if (id >= 0) return id;
  }
  return -1;
}

int32_t WordPieceTokenizer::find(uint64_t hash, std::string_view wanted, bool continues) const {
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.id < 0) return -1;
    if (slot.tag != tag) continue;
    std::string_view candidate = piece(slot.id);
    if (continues != candidate.starts_with(kContinues)) continue;
    if (continues) candidate.remove_prefix(kContinues.size());
    if (candidate == wanted) return slot.id;
  }
}

std::string_view WordPieceTokenizer::piece(int64_t id) const {
  auto i = static_cast<size_t>(id);
  return std::string_view(lines_).substr(starts_[i], starts_[i + 1] - 1 - starts_[i]);
}

int64_t WordPieceTokenizer::special_at(std::string_view rest) const {
  for (const auto& [text, id] : specials_)
    if (rest.starts_with(text)) return id;
  return -1;
}

void WordPieceTokenizer::insert(std::string_view text, bool continues, int32_t id) {
  const uint64_t hash = hash_of(text, continues);
  if (find(hash, text, continues) >= 0) return;  // the first of equal lines counts
  size_t at = hash & (slots_.size() - 1);
  while (slots_[at].id >= 0) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {static_cast<uint32_t>(hash >> 32), id};
  longest_bytes_ = std::max(longest_bytes_, text.size());
}

Status WordPieceTokenizer::index() {
  if (!lines_.empty() && lines_.back() != '\n') lines_ += '\n';
  for (size_t at = 0; at < lines_.size(); at = lines_.find('\n', at) + 1) starts_.push_back(static_cast<uint32_t>(at));
  starts_.push_back(static_cast<uint32_t>(lines_.size()));
  if (size() > kMaxPieces) return bad_request("vocabulary: too many pieces");
  slots_.resize(std::bit_ceil(size() * 2 + 2));
  for (size_t id = 0; id < size(); ++id) {
    std::string_view text = piece(static_cast<int64_t>(id));
    if (text.size() >= kMaxPieceBytes)
      return bad_request(fmt::format("vocabulary: piece {} is longer than {} bytes", id, kMaxPieceBytes - 1));
    bool continues = text.starts_with(kContinues) && text.size() > kContinues.size();
    if (continues) text.remove_prefix(kContinues.size());
    if (!text.empty()) insert(text, continues, static_cast<int32_t>(id));
  }
  for (std::string_view name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    int32_t id = find(hash_of(name, false), name, false);
    if (id >= 0) specials_.emplace_back(piece(id), id);
  }
  return Ok{};
}

Result<std::unique_ptr<const WordPieceTokenizer>> WordPieceTokenizer::from_vocabulary(std::string lines) {
  if (lines.size() >= UINT32_MAX) return bad_request("vocabulary: larger than 4 GiB");
  std::unique_ptr<WordPieceTokenizer> made(new WordPieceTokenizer);
  made->lines_ = std::move(lines);
  QUARRY_RETURN_IF_ERROR(made->index());
  auto id_of = [&](std::string_view name) -> int64_t {
    for (const auto& [text, id] : made->specials_)
      if (text == name) return id;
    return -1;
  };
  made->unknown_ = id_of("[UNK]"), made->cls_ = id_of("[CLS]"), made->sep_ = id_of("[SEP]");
  if (made->unknown_ < 0 || made->cls_ < 0 || made->sep_ < 0) return bad_request("vocabulary: [UNK], [CLS] or [SEP] is missing");
  return std::unique_ptr<const WordPieceTokenizer>(std::move(made));
}

Result<std::unique_ptr<const WordPieceTokenizer>> WordPieceTokenizer::load(const std::filesystem::path& vocabulary) {
  QUARRY_ASSIGN_OR_RETURN(std::string lines, read_file(vocabulary));
  auto made = from_vocabulary(std::move(lines));
  if (!made.ok()) return std::move(made).error().with_context(vocabulary.string());
  return made;
}

}  // namespace quarry::extract

// BERT's uncased WordPiece tokenizer, id for id as the `tokenizers` package with BertNormalizer and BertPreTokenizer: control characters
// dropped, white space split, Chinese characters and punctuation standing alone, lower case without accents (NFD), then the longest piece
// first (Devlin et al. 2018). The text of a special token, "[SEP]", stands for that token, as there.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quarry::extract {

// Immutable, thread-safe. Keeps about 1 MB for a vocabulary of 30,522 pieces.
class WordPieceTokenizer {
 public:
  // One piece a line; the line's number, from 0, is its id. Must hold [UNK], [CLS] and [SEP].
  static Result<std::unique_ptr<const WordPieceTokenizer>> from_vocabulary(std::string lines);
  static Result<std::unique_ptr<const WordPieceTokenizer>> load(const std::filesystem::path& vocabulary);

  // Appends the ids of `text` without [CLS] and [SEP]. Invalid UTF-8 counts as U+FFFD, which is dropped. Stops behind the first word that
  // brings `ids` to `limit` or more; true: all of the text was read. A word adds at most 100 ids.
  bool encode(std::string_view text, size_t limit, std::vector<int64_t>& ids) const;

  int64_t cls_id() const { return cls_; }
  int64_t sep_id() const { return sep_; }
  int64_t unknown_id() const { return unknown_; }
  size_t size() const { return starts_.size() - 1; }
  std::string_view piece(int64_t id) const;
  // True for pieces that continue a word ("##ing").
  bool is_continuation(int64_t id) const { return piece(id).starts_with("##"); }

 private:
  friend class WordPieceRun;
  struct Slot {
    uint32_t tag = 0;
    int32_t id = -1;  // -1: free
  };

  WordPieceTokenizer() = default;
  Status index();
  void insert(std::string_view piece, bool continues, int32_t id);
  int32_t find(uint64_t hash, std::string_view piece, bool continues) const;
  bool append_word(std::string_view word, std::vector<int64_t>& ids) const;
  int32_t longest_piece(std::string_view rest, bool continues, size_t& length) const;
  // The special token that `rest` begins with, or -1.
  int64_t special_at(std::string_view rest) const;

  std::string lines_;
  std::vector<uint32_t> starts_;  // of each piece in lines_; one more for the end
  std::vector<Slot> slots_;       // open addressing, a power of two
  size_t longest_bytes_ = 0;
  int64_t cls_ = -1, sep_ = -1, unknown_ = -1;
  std::vector<std::pair<std::string_view, int64_t>> specials_;
};

}  // namespace quarry::extract

// The inverted index of one field of one data file. Its memory is its stored form (docs/formats/text_index.md): one run of bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mvs/text/postings.h"

namespace quarry::mvs {

// A word of the index. Points into it.
struct TextTerm {
  uint32_t ordinal = 0;  // in the order of the terms' bytes
  PostingsReader postings;
};

// Immutable and thread-safe.
class TextIndex {
 public:
  struct Section {
    uint64_t offset = 0, size = 0;
  };
  struct Header {
    uint32_t rows = 0, documents = 0, terms = 0, dictionary_blocks = 0;
    uint64_t words = 0;
    Section lengths, postings, positions, dictionary, keys, checksums;
  };
  // Of an index of `size` bytes that begins with `bytes`; errors as open()'s.
  static Result<Header> read_header(std::string_view bytes, uint64_t size, std::string_view name);

  // Checks everything, so that nothing later needs to: kCorruption names `name` and the offset. kStorage: of another version of the
  // format or the analysis, which is to be built again.
  static Result<std::shared_ptr<const TextIndex>> open(std::string bytes, std::string_view name);
  // Of bytes that TextIndexBuilder has just made.
  static std::shared_ptr<const TextIndex> trusted(std::string bytes);
  // Of `bytes`, which `owner` keeps, only what is not a posting or a position need be there yet; that is checked, but for the pages'
  // checksums. text_index_parts.h brings the rest.
  static Result<std::shared_ptr<const TextIndex>> open_parts(std::shared_ptr<const void> owner, std::string_view bytes,
                                                             std::string_view name);

  uint32_t rows() const { return header_.rows; }
  uint32_t documents() const { return header_.documents; }  // rows with at least one word
  uint64_t total_length() const { return header_.words; }   // words of all rows
  uint32_t terms() const { return header_.terms; }
  const uint32_t* lengths() const { return lengths_; }  // words of each row
  std::string_view language() const { return language_; }
  std::string_view bytes() const { return bytes_; }
  uint64_t memory_bytes() const { return memory_bytes_; }  // 0: they are another's

  std::optional<TextTerm> find(std::string_view term) const;
  // Calls visit(term, TextTerm) for every term that begins with `prefix`, ascending, until it returns false.
  template <class Visit>
  void for_each_with_prefix(std::string_view prefix, Visit&& visit) const {
    TermCursor cursor(*this, block_of(prefix));
    while (cursor.next())
      if (cursor.term() >= prefix && (!cursor.term().starts_with(prefix) || !visit(cursor.term(), cursor.entry()))) return;
  }

 private:
  // Walks the dictionary from the start of a block.
  class TermCursor {
   public:
    TermCursor(const TextIndex& index, size_t block) : index_(index), next_block_(block) {}
    bool next();
    const std::string& term() const { return term_; }
    TextTerm entry() const;
    bool at_end() const;
    // For checks: whether the entry's records begin where others ended, and where they end.
    bool follows(uint64_t postings, uint64_t positions) const { return postings_at_ == postings && positions_at_ == positions; }
    void ends(uint64_t& postings, uint64_t& positions) const {
      postings = postings_at_ + postings_size_;
      positions = positions_at_ + positions_size_;
    }

   private:
    bool enter_block();

    const TextIndex& index_;
    size_t next_block_, in_block_ = 0, at_ = 0, block_end_ = 0;
    uint32_t ordinal_ = 0, df_ = 0;
    uint64_t postings_at_ = 0, positions_at_ = 0, postings_size_ = 0, positions_size_ = 0;
    std::string term_;
  };

  enum class Extent { kWhole, kParts };

  explicit TextIndex(std::string bytes);
  TextIndex(std::shared_ptr<const void> owner, std::string_view bytes) : owner_(std::move(owner)), bytes_(bytes) {}
  void bind();
  Status check(std::string_view name, Extent extent);
  Status check_keys(std::string_view name) const;
  Status check_lengths(std::string_view name) const;
  Status check_dictionary(std::string_view name, Extent extent) const;
  std::string_view section(const Section& s) const { return bytes_.substr(s.offset, s.size); }
  size_t block_of(std::string_view term) const;  // the last block whose first term is not greater, or the first
  std::string_view first_term(size_t block) const;

  const std::shared_ptr<const void> owner_;
  std::string_view bytes_;
  uint64_t memory_bytes_ = 0;
  Header header_;
  std::string language_;
  const uint32_t* lengths_ = nullptr;
};

}  // namespace quarry::mvs

// The words of a text in reading order, folded.
//
// A text is cut at ASCII white space and at '@' (ICU makes a letter of it, UAX #29 does not); each piece is cut by Unicode word boundaries
// (UAX #29) and its words are folded (NFKC_Casefold). Pieces of ASCII alone are cut by hand, the others by ICU. Words without a letter or
// digit are dropped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quarry::mvs {

inline constexpr size_t kMaxWordBytes = 128;  // a longer word is cut there, at a character's edge

// Not thread-safe; breakers of several threads are independent. `text` outlives it and need not be valid UTF-8.
class WordBreaker {
 public:
  explicit WordBreaker(std::string_view text) : text_(text) {}

  // False at the end. `word` is valid until the next call.
  bool next(std::string_view& word);

 private:
  struct Range {
    size_t begin, end;
  };

  bool next_piece();
  bool next_ascii(std::string_view& word);
  bool next_unicode(std::string_view& word);
  void break_piece();

  const std::string_view text_;
  size_t piece_end_ = 0, at_ = 0;  // at_ <= piece_end_: what of the piece is left
  std::vector<Range> ranges_;      // words of a piece that is not ASCII
  size_t next_range_ = 0;
  std::string folded_;
};

}  // namespace quarry::mvs

// From words to terms: what two texts have in common when they use the same word.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quarry::mvs {

// Stands for the terms that texts become, and is stored with every index: an index of another version is built again. Raise it whenever a
// text's terms change, be it by this folder's code or by a newer ICU or Snowball; a test holds a list of texts and terms to it.
inline constexpr uint16_t kAnalysisVersion = 1;

inline constexpr std::string_view kTextLanguage = "quarry.text_language";  // the table property that names the language

inline constexpr size_t kMaxWordsPerText = 1 << 20;  // what comes after is not indexed

// One language's stemming. A small value; thread-safe.
class Analyzer {
 public:
  Analyzer() : Analyzer("none") {}
  // A language as parse_text_language takes it; "none" or "simple": words as they are. kBadRequest lists what there is.
  static Result<Analyzer> make(std::string_view language);
  static std::vector<std::string> languages();

  const std::string& language() const { return language_; }  // "none" also where "simple" was asked for

  // The term of a word that WordBreaker found; at most kMaxTermBytes. Valid until the thread's next call.
  std::string_view stem(std::string_view word) const;

 private:
  explicit Analyzer(std::string language) : language_(std::move(language)) {}

  std::string language_;
};

inline constexpr size_t kMaxTermBytes = 192;

}  // namespace quarry::mvs

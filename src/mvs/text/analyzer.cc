#include "mvs/text/analyzer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <libstemmer.h>

#include <algorithm>
#include <map>
#include <memory>

namespace quarry::mvs {
namespace {

constexpr std::string_view kNone = "none";

using Stemmer = std::unique_ptr<sb_stemmer, decltype(&sb_stemmer_delete)>;

// One per thread and language: a stemmer keeps the word it works on. There are as many as Snowball has languages.
sb_stemmer* stemmer_of(const std::string& language) {
  thread_local std::map<std::string, Stemmer, std::less<>> stemmers;
  auto it = stemmers.find(language);
  if (it == stemmers.end()) it = stemmers.emplace(language, Stemmer(sb_stemmer_new(language.c_str(), "UTF_8"), sb_stemmer_delete)).first;
  return it->second.get();
}

}  // namespace

std::vector<std::string> Analyzer::languages() {
  std::vector<std::string> out;
  for (const char** name = sb_stemmer_list(); *name != nullptr; ++name) out.emplace_back(*name);
  out.emplace_back(kNone);
  std::sort(out.begin(), out.end());
  return out;
}

Result<Analyzer> Analyzer::make(std::string_view language) {
  if (language == "simple") language = kNone;
  const auto known = languages();
  if (std::find(known.begin(), known.end(), language) == known.end())
    return bad_request(fmt::format("unknown text language '{}'; known: {}", clip(language, 64), fmt::join(known, ", ")));
  return Analyzer(std::string(language));
}

std::string_view Analyzer::stem(std::string_view word) const {
  if (language_ == kNone) return word;
  sb_stemmer* stemmer = stemmer_of(language_);
  if (stemmer == nullptr) return word;
  const sb_symbol* out = sb_stemmer_stem(stemmer, reinterpret_cast<const sb_symbol*>(word.data()), int(word.size()));
  if (out == nullptr) return word;  // out of memory
  const auto length = size_t(sb_stemmer_length(stemmer));
  return length == 0 ? word : clip({reinterpret_cast<const char*>(out), length}, kMaxTermBytes);
}

}  // namespace quarry::mvs

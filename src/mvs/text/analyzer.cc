#include "mvs/text/analyzer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <libstemmer.h>

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <map>
#include <memory>

#include "mvs/mvs.h"

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

// ISO 639-1 codes of the languages that Snowball knows; of a tag the first part counts.
constexpr std::pair<std::string_view, std::string_view> kCodes[] = {
    {"ar", "arabic"}, {"ca", "catalan"}, {"da", "danish"}, {"de", "german"}, {"el", "greek"}, {"en", "english"}, {"es", "spanish"},
    {"eu", "basque"}, {"fi", "finnish"}, {"fr", "french"}, {"ga", "irish"}, {"hi", "hindi"}, {"hu", "hungarian"}, {"hy", "armenian"},
    {"id", "indonesian"}, {"it", "italian"}, {"lt", "lithuanian"}, {"nb", "norwegian"}, {"ne", "nepali"}, {"nl", "dutch"},
    {"nn", "norwegian"}, {"no", "norwegian"}, {"pt", "portuguese"}, {"ro", "romanian"}, {"ru", "russian"}, {"sr", "serbian"},
    {"sv", "swedish"}, {"ta", "tamil"}, {"tr", "turkish"}, {"yi", "yiddish"}};

std::string_view language_of_tag(std::string_view tag) {
  const std::string_view code = tag.substr(0, tag.find_first_of("-_"));
  for (const auto& [known, language] : kCodes)
    if (boost::iequals(code, known)) return language;
  return {};
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
  QUARRY_ASSIGN_OR_RETURN(std::string known, parse_text_language(language));
  return Analyzer(std::move(known));
}

Result<std::string> parse_text_language(std::string_view name) {
  if (name == "simple") return std::string(kNone);
  const auto known = Analyzer::languages();
  if (std::find(known.begin(), known.end(), name) != known.end()) return std::string(name);
  const std::string_view named = language_of_tag(name);
  if (std::find(known.begin(), known.end(), named) != known.end()) return std::string(named);
  return bad_request(fmt::format("no stemmer for the text language '{}'; known are, also by their tags such as 'de' or 'pt-BR': {}",
                                 clip(name, 64), fmt::join(known, ", ")));
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

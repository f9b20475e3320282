// Text as filters and analysers see it: folded, and cut into words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quarry {

// Unicode NFKC_Casefold: case, width and composition no longer differ. Invalid UTF-8 never fails. Thread-safe.
std::string fold_text(std::string_view text);

// The words of `text` by Unicode word boundaries (UAX #29), folded; spaces and punctuation are dropped. Thread-safe.
std::vector<std::string> fold_words(std::string_view text);

}  // namespace quarry

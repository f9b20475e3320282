// mixpeek://{extractor}@{version}/{output}
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace quarry {

struct FeatureUri {
  std::string extractor;  // "text_extractor"
  std::string version;    // "v1"
  std::string output;     // "all_minilm_l6_v2_v1"

  std::string to_string() const;
  bool operator==(const FeatureUri&) const = default;
};

// 400 naming the form when `text` is not one.
Result<FeatureUri> parse_feature_uri(std::string_view text);

struct ExtractorName {
  std::string name;
  std::string version;
};

// "text_extractor", "text_extractor_v1", "text_extractor@v1" with `version` "", "v1", "1" or "1.0.0" -> {"text_extractor", "v1"}.
ExtractorName normalize_extractor(std::string_view name, std::string_view version);

}  // namespace quarry

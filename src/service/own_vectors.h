// Vectors that clients bring along bear the URI of the extractor that passes them on, which made none of them.
#pragma once

#include <string_view>

namespace quarry::service {

inline constexpr std::string_view kOwnVectorUri = "mixpeek://passthrough_extractor@v1/";

}  // namespace quarry::service

// Extractors as the listings show them.
#pragma once

#include "service/service.h"

namespace quarry::service {

// Covers the contract's FeatureExtractorResponseModel and UnifiedExtractorResponse.
json::object show_extractor(const extract::Extractor& extractor, const Dependencies& deps);

// The contract's VectorIndex of one output.
json::object vector_index_of(const std::string& name, uint32_t dimension, std::string_view metric, std::string_view made_by);
json::object vector_index_of(const CollectionVector& vector, std::string_view made_by);

// "text_extractor_v1", or any other form of its name; 404 listing the known ones.
Result<const extract::Extractor*> find_listed_extractor(std::string_view identifier);

}  // namespace quarry::service

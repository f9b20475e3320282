// The text members of a lineage, under the names that the API and the tables use.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "model/document.h"

namespace quarry {

struct LineageText {
  std::string_view name;
  std::string Lineage::*member;
};

inline constexpr std::array<LineageText, 7> kLineageTexts{{{"root_object_id", &Lineage::root_object_id},
                                                           {"root_bucket_id", &Lineage::root_bucket_id},
                                                           {"source_type", &Lineage::source_type},
                                                           {"source_object_id", &Lineage::source_object_id},
                                                           {"source_collection_id", &Lineage::source_collection_id},
                                                           {"source_document_id", &Lineage::source_document_id},
                                                           {"lineage_path", &Lineage::lineage_path}}};

}  // namespace quarry
